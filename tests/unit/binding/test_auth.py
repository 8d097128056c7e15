"""What a token proves, and every way that is known of making one that proves nothing."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from services.binding.auth import Authenticator
from services.binding.keys import Key, Keyring, KeySet
from shared.domain.roles import Role
from tests.unit.binding.test_keys import set_of

EDDSA, RS256 = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
OTHER = ed25519.Ed25519PrivateKey.generate()
AUDIENCE, ISSUER, LEEWAY_S = "gongji", "https://id.example", 30
CLERK = {"sub": "li", "role": "clerk", "aud": AUDIENCE, "iss": ISSUER}


def claims(**said: Any) -> dict[str, Any]:
    now = int(time.time())
    return {**CLERK, "iat": now, "exp": now + 600, **said}


def token(said: dict[str, Any], key: Any = EDDSA, algorithm: str | None = "EdDSA", kid: str | None = "e") -> str:
    return jwt.encode(said, key, algorithm, headers={"kid": kid} if kid else {})


def without(name: str) -> dict[str, Any]:
    return {claim: value for claim, value in claims().items() if claim != name}


def handmade(header: dict[str, Any] | bytes, signed: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """A token as no library would make it."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, json.dumps(claims()).encode()))
    return b".".join([content, base64.urlsafe_b64encode(signed(content)).rstrip(b"=")]).decode()


def pem(private: Any) -> bytes:
    content: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return content


def raw(private: ed25519.Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def with_secret(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda content: hmac.digest(secret, content, hashlib.sha256)


NOW = int(time.time())
# The tokens are made when the tests are collected, and looked at minutes later.
AN_HOUR_S = 3_600
FORGED = {
    "unsigned": handmade({"alg": "none", "kid": "e"}),
    "unsigned, in capitals": handmade({"alg": "NONE", "kid": "e"}),
    "the public key as a secret": handmade({"alg": "HS256", "kid": "e"}, with_secret(pem(EDDSA))),
    "the RSA key as a secret": handmade({"alg": "HS256", "kid": "r"}, with_secret(pem(RS256))),
    "the raw key as a secret": handmade({"alg": "HS256", "kid": "e"}, with_secret(raw(EDDSA))),
    "EdDSA that says HS256": handmade({"alg": "HS256", "kid": "e"}, EDDSA.sign),
    "EdDSA that says RS256": handmade({"alg": "RS256", "kid": "e"}, EDDSA.sign),
    "signed with RS512": token(claims(), RS256, "RS512", "r"),
    "signed with PS256": token(claims(), RS256, "PS256", "r"),
    "somebody else's key": token(claims(), OTHER),
    "one key under the other's name": token(claims(), RS256, "RS256", "e"),
    "an unknown key": token(claims(), OTHER, kid="x"),
    "a key of the token's own": handmade(
        {"alg": "EdDSA", "jwk": json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(OTHER.public_key()))}, OTHER.sign
    ),
    "a set of the token's own": handmade({"alg": "EdDSA", "kid": "x", "jku": "https://evil/keys"}, OTHER.sign),
    "an extension nobody knows": handmade({"alg": "EdDSA", "kid": "e", "crit": ["new"], "new": 1}, EDDSA.sign),
    "a name that is no text": handmade({"alg": "EdDSA", "kid": 7}, EDDSA.sign),
    "a header nested a thousandfold": handmade(b"[" * 4_000, EDDSA.sign),
    "a changed payload": token(claims()).replace(".ey", ".eY", 1),
    "another audience": token(claims(aud="elsewhere")),
    "no audience": token(without("aud")),
    "another issuer": token(claims(iss="https://evil.example")),
    "no issuer": token(without("iss")),
    "expired": token(claims(exp=NOW - LEEWAY_S - 5)),
    "without an end": token(without("exp")),
    "an end that is no number": token(claims(exp="tomorrow")),
    "an end without end": token(claims(exp=float("inf"))),
    "not valid yet": token(claims(nbf=NOW + AN_HOUR_S)),
    "issued in the future": token(claims(iat=NOW + AN_HOUR_S)),
    "an unknown role": token(claims(role="emperor")),
    "several roles": token(claims(role=["clerk", "operator"])),
    "no subject": token(without("sub")),
    "an empty subject": token(claims(sub="")),
    "a subject PostgreSQL cannot hold": token(claims(sub="li\0")),
    "a subject with a line break": token(claims(sub="li\nclerk:wang")),
    "a subject without end": token(claims(sub="l" * 256)),
    "a member who is nobody": token(claims(role="member")),
    "a member who is not a person": token(claims(role="member", person_id="a b")),
    "an institution that is none": token(claims(role="institution", person_id="ME")),
    "no token": "",
    "three dots": "...",
    "not ASCII": "共济.共济.共济",
}


@pytest.fixture
async def authenticator() -> Authenticator:
    """Knows one key of each kind, by name, and none for tokens that name none."""
    known = [
        {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(EDDSA.public_key())), "kid": "e"},
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RS256.public_key())), "kid": "r"},
    ]

    async def read() -> bytes:
        return set_of(*known)

    keys = KeySet(read)
    await keys.refresh()
    return Authenticator(Keyring(None, keys), AUDIENCE, LEEWAY_S, ISSUER)


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_a_token_that_proves_nothing_is_nobodys(authenticator: Authenticator, forged: str) -> None:
    """Neither who nor what it says is believed, and nothing breaks."""
    assert await authenticator.caller(f"Bearer {forged}") is None


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(EDDSA, "EdDSA", "e"), (RS256, "RS256", "r")])
async def test_a_good_token_says_who_acts(authenticator: Authenticator, key: Any, algorithm: str, kid: str) -> None:
    """Its `sub`, under the role it acts in: as it is written down."""
    caller = await authenticator.caller(f"Bearer {token(claims(), key, algorithm, kid)}")

    assert caller is not None
    assert (caller.subject, caller.role) == ("clerk:li", Role.CLERK)


@pytest.mark.parametrize(
    "said",
    [
        lambda now: {"exp": now - LEEWAY_S + 10},
        lambda now: {"nbf": now + LEEWAY_S - 10},
        lambda now: {"iat": now + LEEWAY_S - 10},
        lambda _: {"aud": ["x", AUDIENCE]},
    ],
    ids=["just expired", "just not yet valid", "just issued", "several audiences"],
)
async def test_a_clock_may_be_a_little_off(authenticator: Authenticator, said: Callable[[int], dict[str, Any]]) -> None:
    """Within the leeway, an issuer's clock is believed."""
    assert await authenticator.caller(f"Bearer {token(claims(**said(int(time.time()))))}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic bGk6bGk=", f"Token {token(claims())}"])
async def test_only_a_bearer_has_a_token(authenticator: Authenticator, header: str | None) -> None:
    """Other schemes prove nobody."""
    assert await authenticator.caller(header) is None


async def test_without_an_issuer_to_expect_any_will_do() -> None:
    """One key, one issuer: the key says enough."""
    key = Key.from_pem(pem(EDDSA))

    caller = await Authenticator(Keyring(key), AUDIENCE, LEEWAY_S).caller(f"Bearer {token(without('iss'), kid=None)}")

    assert caller is not None
