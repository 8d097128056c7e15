"""The algorithms that personal data is sealed and indexed with, and all that is asked of whatever does it.

A key seals, opens and digests; nobody else ever sees what it is made of. So an HSM takes the place of these classes with
one class of the same three methods and one line in `SUITES`, whose ring line then names its objects instead of holding bytes.
"""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
TAG_BYTES = 16
INDEX_KEY_BYTES = 32


class BadKey(Exception):
    """What a ring says of a key cannot be used; the message never holds the key."""


class NotAuthentic(Exception):
    """A sealed value is not what this key sealed for this place: another key, another place, or changed bytes."""


class Key(Protocol):
    """What a sealing key and its index key do together."""

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """The bytes, sealed so that they open nowhere but at this place; each time differently."""

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What was sealed. Raises NotAuthentic."""

    def digest(self, text: bytes) -> bytes:
        """The same for the same text, 32 bytes, and of no use without the key."""


@dataclass(frozen=True, slots=True)
class Suite:
    """How keys of one kind are made and used.

    `number` stands for it in what it sealed, for good. `make` gives what a ring keeps of a new key: of the sealing key, then
    of the index key. `load` takes them back, and raises BadKey.
    """

    number: int
    make: Callable[[], tuple[str, str]]
    load: Callable[[str, str], Key]


class AesKey:
    """AES-256-GCM and HMAC-SHA-256 (NIST SP 800-38D, RFC 2104)."""

    def __init__(self, sealing_key: bytes, index_key: bytes) -> None:
        self._aead = AESGCM(sealing_key)
        self._index_key = index_key

    def seal(self, plain: bytes, place: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        nonce, rest = _taken_apart(sealed)
        try:
            return self._aead.decrypt(nonce, rest, place)
        except InvalidTag as error:
            raise NotAuthentic from error

    def digest(self, text: bytes) -> bytes:
        return _hmac(self._index_key, text, hashes.SHA256())


class Sm4Key:
    """SM4-GCM and HMAC-SM3 (GB/T 32907 and GB/T 32905, as in RFC 8998)."""

    def __init__(self, sealing_key: bytes, index_key: bytes) -> None:
        self._cipher = algorithms.SM4(sealing_key)
        self._index_key = index_key

    def seal(self, plain: bytes, place: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        sealing = Cipher(self._cipher, modes.GCM(nonce)).encryptor()
        sealing.authenticate_additional_data(place)
        return nonce + sealing.update(plain) + sealing.finalize() + sealing.tag

    def open(self, sealed: bytes, place: bytes) -> bytes:
        nonce, rest = _taken_apart(sealed)
        opening = Cipher(self._cipher, modes.GCM(nonce, rest[-TAG_BYTES:])).decryptor()
        opening.authenticate_additional_data(place)
        plain = opening.update(rest[:-TAG_BYTES])
        try:
            return plain + opening.finalize()
        except InvalidTag as error:
            raise NotAuthentic from error

    def digest(self, text: bytes) -> bytes:
        return _hmac(self._index_key, text, hashes.SM3())


def _taken_apart(sealed: bytes) -> tuple[bytes, bytes]:
    """The nonce, and the ciphertext with its tag."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise NotAuthentic
    return sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]


def _hmac(key: bytes, text: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hmac.HMAC(key, algorithm)
    digest.update(text)
    return digest.finalize()


def _in_software(number: int, sealing_key_bytes: int, kind: Callable[[bytes, bytes], Key]) -> Suite:
    """A suite whose ring lines hold the keys themselves, in base64."""

    def make() -> tuple[str, str]:
        return _text(os.urandom(sealing_key_bytes)), _text(os.urandom(INDEX_KEY_BYTES))

    def load(sealing: str, index: str) -> Key:
        return kind(_bytes(sealing, sealing_key_bytes), _bytes(index, INDEX_KEY_BYTES))

    return Suite(number, make, load)


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _bytes(text: str, length: int) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        # Not chained: the cause would show what was read.
        raise BadKey("holds something that is not base64") from None
    if len(key) != length:
        raise BadKey(f"holds {len(key)} bytes where a key has {length}")
    return key


# Numbers are never reused. What the first release sealed names no suite and is of the first one here.
FIRST_RELEASE = "aes-256-gcm-1"
SUITES: dict[str, Suite] = {
    FIRST_RELEASE: _in_software(0, 32, AesKey),
    "aes-256-gcm": _in_software(1, 32, AesKey),
    "sm4-gcm": _in_software(2, 16, Sm4Key),
}
# What a new key may be of; the first is the default.
OFFERED = ("aes-256-gcm", "sm4-gcm")
