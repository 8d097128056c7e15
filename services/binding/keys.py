"""The public keys that tokens are checked with, each with the one algorithm it is good for.

A token names a key (`kid`), never an algorithm: that is the key's own. A provider's set (JWKS) is kept in memory. PyJWT's
client for such sets is not used: while a provider is away it asks again for every unknown key, and forgets those it knew.
Source: RFC 7517; RFC 8725, 3.1 and 3.2.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic, time
from typing import Any, NamedTuple

import httpx
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.binding.metrics import KEYS_READ_AT, KEYS_READS
from services.binding.settings import JWKS_STALE_MAX_S

log = structlog.get_logger()

# By key type, as sets name them. All others are passed over: with a symmetric one, whoever checks could sign.
ALGORITHMS = {"OKP": "EdDSA", "RSA": "RS256"}
RSA_BITS_MIN = 2048
KEYS_MAX = 32
SET_BYTES_MAX = 256 * 1024
READ_TIMEOUT_S = 5.0
# However many tokens name unknown keys, and whatever the provider answers, it is asked for them no more often than this.
UNKNOWN_EVERY_S = 30.0


class KeysNotRead(Exception):
    """A set could not be had: nobody answered, or what came is none."""


class Key(NamedTuple):
    """A public key, and the algorithm of the signatures that it checks."""

    public: Ed25519PublicKey | RSAPublicKey
    algorithm: str

    @classmethod
    def of(cls, public: object) -> "Key | None":
        """A key that is good enough: Ed25519, or RSA of at least 2048 bits."""
        if isinstance(public, Ed25519PublicKey):
            return cls(public, ALGORITHMS["OKP"])
        if isinstance(public, RSAPublicKey) and public.key_size >= RSA_BITS_MIN:
            return cls(public, ALGORITHMS["RSA"])
        return None

    @classmethod
    def from_pem(cls, content: bytes) -> "Key":
        """The key of a PEM file. Raises ValueError if it is of another kind."""
        key = cls.of(load_pem_public_key(content))
        if key is None:
            raise ValueError(f"GONGJI_JWT_PUBLIC_KEY_FILE must be an Ed25519 key, or an RSA key of {RSA_BITS_MIN} bits")
        return key


def keys_of(document: bytes) -> dict[str, Key]:
    """The keys of a set that tokens may be signed with, by `kid`: Ed25519 or RSA, for signatures. There may be none.

    Raises KeysNotRead if it is no set.
    """
    try:
        listed = orjson.loads(document)["keys"]
    except (ValueError, TypeError, KeyError) as error:
        raise KeysNotRead("it is no JSON Web Key Set") from error
    if not isinstance(listed, list):
        raise KeysNotRead("its keys are no list")
    return {jwk["kid"]: key for jwk in listed[:KEYS_MAX] if (key := _key_of(jwk)) is not None}


def _key_of(jwk: Any) -> Key | None:
    """The key that an entry of a set describes, if tokens may be signed with it."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str):
        return None
    algorithm = ALGORITHMS.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    try:
        return Key.of(jwt.PyJWK(jwk, algorithm).key)
    except jwt.PyJWTError:
        return None


@dataclass(slots=True)
class KeySet:
    """A provider's keys: asked for now and then, and when a token names one that is not known.

    Those that were read last stay good while the provider is away, for `stale_max_s` seconds.
    """

    read: Callable[[], Awaitable[bytes]]
    clock: Callable[[], float] = monotonic
    stale_max_s: float = JWKS_STALE_MAX_S
    _keys: dict[str, Key] = field(default_factory=dict)
    _read_at: float = -inf
    _asked_at: float = -inf
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def known(self) -> dict[str, Key]:
        """The keys that are trusted now, by name."""
        return self._keys if self.clock() - self._read_at <= self.stale_max_s else {}

    @property
    def is_empty(self) -> bool:
        return not self.known

    async def find(self, kid: str) -> Key | None:
        if kid not in self.known:
            async with self._asking:
                # Whoever waited here finds what the one before was told.
                if kid not in self.known and self.clock() - self._asked_at >= UNKNOWN_EVERY_S:
                    with suppress(KeysNotRead):
                        await self._ask()
        return self.known.get(kid)

    async def refresh(self) -> None:
        """Asks for the set; one without a key that is good for anything takes all of them away. Raises KeysNotRead, and keeps what it has."""
        async with self._asking:
            await self._ask()

    async def _ask(self) -> None:
        self._asked_at = self.clock()
        try:
            self._keys = keys_of(await self.read())
        except (httpx.HTTPError, OSError, TimeoutError, KeysNotRead) as error:
            KEYS_READS.labels("failed").inc()
            log.warning("keys_not_read", error=type(error).__name__, known=len(self.known))
            raise KeysNotRead(str(error)) from error
        self._read_at = self.clock()
        if not self._keys:
            log.error("no_keys_published")
        KEYS_READS.labels("read").inc()
        KEYS_READ_AT.set(time())


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key for a token: of the provider's set by its name; the one of the key file where no name or no set is given."""

    own: Key | None = None
    provider: KeySet | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no token can be told from a forged one, for want of keys."""
        return self.own is None and (self.provider is None or self.provider.is_empty)

    async def find(self, kid: str | None) -> Key | None:
        if kid is None or self.provider is None:
            return self.own
        return await self.provider.find(kid)


async def read_over_http(client: httpx.AsyncClient, url: str) -> bytes:
    """A set as its provider gives it now. It follows no redirect and reads no more than a set may have.

    Raises httpx.HTTPError, TimeoutError, KeysNotRead.
    """
    content = bytearray()
    async with asyncio.timeout(READ_TIMEOUT_S), client.stream("GET", url, follow_redirects=False) as response:
        response.raise_for_status()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > SET_BYTES_MAX:
                raise KeysNotRead(f"it is larger than {SET_BYTES_MAX} bytes")
    return bytes(content)


async def read_file(path: Path) -> bytes:
    """A set as it lies there now."""
    return await asyncio.to_thread(path.read_bytes)
