"""Names and ID numbers at rest: sealed with AES-256-GCM, found again by a keyed index.

A sealed value is one byte of key id, twelve of nonce, then the ciphertext with its tag. It is bound to its person and
field, so that it cannot be moved to another row unnoticed.
"""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID = 1


class BadKey(Exception):
    """A key file does not hold a key."""


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals and opens personal data with keys that never leave this process."""

    sealing_key: bytes
    index_key: bytes

    @classmethod
    def from_files(cls, sealing_key_file: Path, index_key_file: Path) -> "Sealer":
        """Both files hold 32 bytes in base64. Raises BadKey."""
        return cls(_read_key(sealing_key_file), _read_key(index_key_file))

    def seal(self, text: str, *, person_id: str, field: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self.sealing_key).encrypt(nonce, text.encode(), _context(person_id, field))
        return bytes([KEY_ID]) + nonce + sealed

    def open(self, sealed: bytes, *, person_id: str, field: str) -> str:
        """Raises cryptography.exceptions.InvalidTag where the value was not sealed for this person and field."""
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        return AESGCM(self.sealing_key).decrypt(nonce, ciphertext, _context(person_id, field)).decode()

    def index(self, id_number: str) -> bytes:
        """The same for the same ID number, and of no use without the key."""
        return hmac.digest(self.index_key, id_number.upper().encode(), hashlib.sha256)


def mask_name(name: str) -> str:
    """The family name stays: 张三丰 -> 张**."""
    return name[:1] + "*" * (len(name) - 1)


def mask_id_number(id_number: str) -> str:
    """Enough to recognise one's own: 130102199003071234 -> 130***********1234."""
    if len(id_number) <= 7:
        return "*" * len(id_number)
    return id_number[:3] + "*" * (len(id_number) - 7) + id_number[-4:]


def _context(person_id: str, field: str) -> bytes:
    return f"{person_id}\x1f{field}".encode()


def _read_key(file: Path) -> bytes:
    try:
        key = base64.b64decode(file.read_text(encoding="ascii").strip(), validate=True)
    except ValueError as error:
        raise BadKey(f"{file.name} does not hold base64") from error
    if len(key) != KEY_BYTES:
        raise BadKey(f"{file.name} holds {len(key)} bytes; a key has {KEY_BYTES}")
    return key
