"""The key files the services read, made once for each stack."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.binding.keyring import KeyRing
from shared.domain.times import shanghai_date, system_clock


@dataclass(frozen=True)
class KeyFiles:
    """Where the keys of one stack are."""

    directory: Path

    @property
    def jwt_private(self) -> Path:
        return self.directory / "jwt_private.pem"

    @property
    def jwt_public(self) -> Path:
        return self.directory / "jwt_public.pem"

    @property
    def ring(self) -> Path:
        return self.directory / "key_ring"

    @property
    def of_first_release(self) -> tuple[Path, Path]:
        """The two keys that a stack had before there were rings."""
        return self.directory / "id_number.key", self.directory / "blind_index.key"

    def environment(self) -> dict[str, str]:
        """The files a service may read; the private key is for those who issue tokens."""
        return {
            "GONGJI_JWT_PUBLIC_KEY_FILE": str(self.jwt_public),
            "GONGJI_KEY_RING_FILE": str(self.ring),
        }

    def create_missing(self) -> None:
        """Write the keys that do not exist yet; existing ones are left as they are."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.jwt_private.exists() and self.jwt_public.exists()):
            self._create_jwt_pair()
        if not self.ring.exists():
            ring = KeyRing.first(*self.of_first_release, made_on=shanghai_date(system_clock()))
            write_private(self.ring, ring.text.encode())

    def _create_jwt_pair(self) -> None:
        private = Ed25519PrivateKey.generate()
        write_private(
            self.jwt_private,
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        self.jwt_public.write_bytes(
            private.public_key().public_bytes(
                serialization.Encoding.PEM,
                serialization.PublicFormat.SubjectPublicKeyInfo,
            )
        )


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner only."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
