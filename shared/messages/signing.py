"""Signed requests: a detached JWS over a message's body, by a key that the institution has registered. Pure.

The header `x-jws-signature` holds a compact JWS without its payload (RFC 7515, appendix F). Its protected header names the algorithm, the
key (`kid`) and the operation (`typ`): two operations have the same fields, and a signed lookup shall not be sent on as a cancel.
Algorithms are EdDSA (RFC 8037) and SGD_SM3_SM2 (GM/T 0125.2), which needs the extra `gm`.
"""

import base64
from functools import lru_cache
from importlib.util import find_spec
from typing import Annotated, Any, Literal, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SIGNATURE_HEADER = "x-jws-signature"
# A protected header is short; whatever is longer is no signature.
SIGNATURE_CHARACTERS_MAX = 1_000
ED25519_BYTES, SM2_BYTES = 32, 32
SM2_AVAILABLE = find_spec("tongsuopy") is not None

Coordinate = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class SigningKey(BaseModel):
    """A public key as a JWK: whatever is signed with its other half comes from the institution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kid: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    use: Literal["sig"] = "sig"


class EdwardsKey(SigningKey):
    """Ed25519, RFC 8037."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    alg: Literal["EdDSA"] = "EdDSA"
    x: Coordinate


class Sm2Key(SigningKey):
    """SM2 with SM3, GM/T 0003."""

    kty: Literal["EC"] = "EC"
    crv: Literal["SM2"] = "SM2"
    alg: Literal["SGD_SM3_SM2"] = "SGD_SM3_SM2"
    x: Coordinate
    y: Coordinate


AnyKey = Annotated[EdwardsKey | Sm2Key, Field(discriminator="crv")]
Keys = tuple[EdwardsKey | Sm2Key, ...]
KEYS: TypeAdapter[Keys] = TypeAdapter(tuple[AnyKey, ...])


class Signed(NamedTuple):
    """What came: the detached JWS, and what it is to be a signature of."""

    signature: str
    operation: str
    body: bytes


@lru_cache(maxsize=10_000)
def keys_of(text: str) -> Keys:
    """The keys that an institution has registered, from JSON. Institutions are few, requests many."""
    return KEYS.validate_json(text)


# The parts of a bulk message share one signature.
@lru_cache(maxsize=16)
def holds(keys: Keys, signed: Signed | None) -> bool:
    """Whether one of these keys has signed that body for that operation."""
    if signed is None or len(signed.signature) > SIGNATURE_CHARACTERS_MAX:
        return False
    try:
        protected, payload, signature = signed.signature.split(".")
        said = jwt.get_unverified_header(f"{protected}.{_encoded(signed.body)}.{signature}")
        key = next(key for key in keys if key.kid == said.get("kid"))
    except (ValueError, StopIteration, jwt.InvalidTokenError):
        return False
    # The key says which algorithm, never the sender; no extension is known, so none may be critical.
    if payload or said.get("typ") != signed.operation or said.get("alg") != key.alg or "crit" in said:
        return False
    content = f"{protected}.{_encoded(signed.body)}".encode()
    try:
        return _verify(key, _decoded(signature), content)
    except ValueError:
        return False


def sign(private: Ed25519PrivateKey, kid: str, operation: str, body: bytes) -> str:
    """The detached JWS to send in the header `x-jws-signature`."""
    whole = jwt.PyJWS().encode(body, private, algorithm="EdDSA", headers={"kid": kid, "typ": operation})
    protected, _, signature = whole.split(".")
    return f"{protected}..{signature}"


def public_key(private: Ed25519PrivateKey | Ed25519PublicKey, kid: str) -> EdwardsKey:
    """The key to register, of a pair."""
    public = private.public_key() if isinstance(private, Ed25519PrivateKey) else private
    return EdwardsKey(kid=kid, x=_encoded(public.public_bytes_raw()))


def _verify(key: EdwardsKey | Sm2Key, signature: bytes, content: bytes) -> bool:
    match key:
        case EdwardsKey():
            return jwt.algorithms.OKPAlgorithm().verify(
                content, Ed25519PublicKey.from_public_bytes(_decoded(key.x)), signature
            )
        case Sm2Key():
            return sm2_holds(key, signature, content)


def sm2_holds(key: Sm2Key, signature: bytes, content: bytes) -> bool:
    """R and s of 32 bytes each, as JWS writes every signature on a curve. The signer's id is the standard's default."""
    if not SM2_AVAILABLE or len(signature) != 2 * SM2_BYTES:
        return False
    from tongsuopy.crypto import hashes  # noqa: PLC0415  the extra may not be there
    from tongsuopy.crypto.asymciphers import ec  # noqa: PLC0415
    from tongsuopy.crypto.exceptions import InvalidSignature  # noqa: PLC0415

    x, y = (int.from_bytes(_decoded(each)) for each in (key.x, key.y))
    r, s = int.from_bytes(signature[:SM2_BYTES]), int.from_bytes(signature[SM2_BYTES:])
    public: Any = ec.EllipticCurvePublicNumbers(x, y, ec.SM2()).public_key()
    try:
        public.verify(encode_dss_signature(r, s), content, ec.ECDSA(hashes.SM3()))
    except InvalidSignature:
        return False
    return True


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Raises ValueError for what is not base64url without padding."""
    if set(text) - _ALPHABET:
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
