"""The key files the services read, made once for each stack."""

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SYMMETRIC_KEY_BYTES = 32


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
    def id_number(self) -> Path:
        return self.directory / "id_number.key"

    @property
    def blind_index(self) -> Path:
        return self.directory / "blind_index.key"

    def environment(self) -> dict[str, str]:
        """The files a service may read; the private key is for those who issue tokens."""
        return {
            "GONGJI_JWT_PUBLIC_KEY_FILE": str(self.jwt_public),
            "GONGJI_ID_NUMBER_KEY_FILE": str(self.id_number),
            "GONGJI_BLIND_INDEX_KEY_FILE": str(self.blind_index),
        }

    def create_missing(self) -> None:
        """Write the keys that do not exist yet; existing ones are left as they are."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.jwt_private.exists() and self.jwt_public.exists()):
            self._create_jwt_pair()
        for path in (self.id_number, self.blind_index):
            if not path.exists():
                write_private(path, base64.b64encode(secrets.token_bytes(SYMMETRIC_KEY_BYTES)))

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
