"""Detached signatures over a message's body: what holds, and everything that does not."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tongsuopy.crypto import hashes
from tongsuopy.crypto.asymciphers import ec

from shared.messages.signing import KEYS, EdwardsKey, Signed, Sm2Key, holds, public_key, sign, sm2_holds

PRIVATE, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
KEY = public_key(PRIVATE, "till-1")
BODY = b'{"request_id": "R-1"}'


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def header(**said: Any) -> str:
    return encoded(json.dumps({"alg": "EdDSA", "kid": "till-1", "typ": "settle", **said}).encode())


def signed_with(private: Ed25519PrivateKey, protected: str, body: bytes = BODY) -> str:
    signature = private.sign(f"{protected}.{encoded(body)}".encode())
    return f"{protected}..{encoded(signature)}"


def test_what_a_registered_key_has_signed_holds() -> None:
    """By our own hand, and by hand."""
    assert holds((KEY,), Signed(sign(PRIVATE, "till-1", "settle", BODY), "settle", BODY))
    assert holds((public_key(OTHER, "old"), KEY), Signed(signed_with(PRIVATE, header()), "settle", BODY))


WHOLE = jwt.PyJWS().encode(BODY, PRIVATE, algorithm="EdDSA", headers={"kid": "till-1", "typ": "settle"})
PUBLIC_PEM_AS_SECRET = jwt.PyJWS().encode(
    BODY, "guess" * 8, algorithm="HS256", headers={"kid": "till-1", "typ": "settle"}
)
BROKEN = {
    "no signature": None,
    "empty": "",
    "no JWS": "a.b",
    "another key under its name": signed_with(OTHER, header()),
    "an unknown key": signed_with(PRIVATE, header(kid="till-2")),
    "no key named": signed_with(PRIVATE, encoded(b'{"alg":"EdDSA","typ":"settle"}')),
    "another operation": signed_with(PRIVATE, header(typ="cancel")),
    "no operation": signed_with(PRIVATE, encoded(b'{"alg":"EdDSA","kid":"till-1"}')),
    "another body": signed_with(PRIVATE, header(), BODY + b" "),
    "no algorithm": f"{header(alg='none')}..",
    "a secret instead of a key": "..".join((PUBLIC_PEM_AS_SECRET.split(".")[0], PUBLIC_PEM_AS_SECRET.split(".")[2])),
    "a critical extension": signed_with(PRIVATE, header(crit=["b64"], b64=True)),
    "not detached": WHOLE,
    "padded": sign(PRIVATE, "till-1", "settle", BODY) + "==",
    "not base64": sign(PRIVATE, "till-1", "settle", BODY)[:-2] + "\u4e2d!",
    "cut off": sign(PRIVATE, "till-1", "settle", BODY)[:-4],
    "far too long": sign(PRIVATE, "till-1", "settle", BODY) + "A" * 2_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_everything_else_does_not_hold(name: str) -> None:
    signature = BROKEN[name]

    assert not holds((KEY,), None if signature is None else Signed(signature, "settle", BODY))


@given(st.text(max_size=80), st.binary(max_size=40))
def test_no_text_is_a_signature_by_chance(signature: str, body: bytes) -> None:
    """Nor does any make the check fail in another way."""
    assert not holds((KEY,), Signed(signature, "settle", body))


@given(st.binary(max_size=200), st.sampled_from(["settle", "settle_bulk", "lookup"]), st.data())
def test_a_changed_byte_breaks_it(body: bytes, operation: str, data: st.DataObject) -> None:
    """Of the body or of the signature."""
    signature = sign(PRIVATE, "till-1", operation, body)
    place = data.draw(st.integers(0, len(body)))
    other = body[:place] + b"x" + body[place:]

    assert holds((KEY,), Signed(signature, operation, body))
    assert not holds((KEY,), Signed(signature, operation, other))


# ---- SM2 ----

SM2 = ec.generate_private_key(ec.SM2())


def sm2_key() -> Sm2Key:
    numbers = SM2.public_key().public_numbers()
    return Sm2Key(kid="national", x=encoded(numbers.x.to_bytes(32)), y=encoded(numbers.y.to_bytes(32)))


def sm2_signed(body: bytes, **said: Any) -> str:
    protected = header(alg="SGD_SM3_SM2", kid="national", **said)
    r, s = decode_dss_signature(SM2.sign(f"{protected}.{encoded(body)}".encode(), ec.ECDSA(hashes.SM3())))
    return f"{protected}..{encoded(r.to_bytes(32) + s.to_bytes(32))}"


def test_sm2_with_sm3_holds_as_well() -> None:
    """As the national platform signs; r and s are written as JWS writes them."""
    key = sm2_key()

    assert holds((KEY, key), Signed(sm2_signed(BODY), "settle", BODY))
    assert not holds((KEY, key), Signed(sm2_signed(BODY), "settle", BODY + b" "))
    assert not holds((KEY, key), Signed(sm2_signed(BODY, typ="cancel"), "settle", BODY))
    assert not holds((KEY, key), Signed(sm2_signed(BODY)[:-4], "settle", BODY))


def test_the_example_of_the_standard_holds() -> None:
    """GM/T 0003.5 gives a key, a message and its signature over the recommended curve."""
    x, y = (
        "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020",
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13",
    )
    r, s = (
        "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3",
        "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
    )
    key = Sm2Key(kid="example", x=encoded(bytes.fromhex(x)), y=encoded(bytes.fromhex(y)))

    assert sm2_holds(key, bytes.fromhex(r + s), b"message digest")
    assert not sm2_holds(key, bytes.fromhex(r + s), b"message digest.")


# ---- what may be registered ----


@pytest.mark.parametrize(
    "key",
    [
        {"kid": "k", "crv": "P-256", "x": KEY.x, "y": KEY.x},
        {"kid": "k", "crv": "Ed25519", "kty": "EC", "x": KEY.x},
        {"kid": "k", "crv": "Ed25519", "x": KEY.x, "alg": "none"},
        {"kid": "k", "crv": "Ed25519", "x": KEY.x, "d": KEY.x},
        {"kid": "k", "crv": "Ed25519", "x": KEY.x[:-1]},
        {"kid": "", "crv": "Ed25519", "x": KEY.x},
        {"crv": "Ed25519", "x": KEY.x},
    ],
)
def test_only_public_keys_of_known_kinds_are_taken(key: dict[str, str]) -> None:
    """No other curve, no other algorithm, and never the private half."""
    with pytest.raises(ValidationError):
        KEYS.validate_python((key,))


def test_a_key_is_written_and_read_as_a_jwk() -> None:
    assert KEYS.validate_json(KEYS.dump_json((KEY, sm2_key()))) == (KEY, sm2_key())
    assert EdwardsKey.model_validate({"kid": "till-1", "crv": "Ed25519", "x": KEY.x}) == KEY
