"""A provider's keys: which are taken, when they are asked for, and that a provider who is away for a while takes nobody's keys away."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from services.binding import keys
from services.binding.keys import UNKNOWN_EVERY_S, Key, Keyring, KeySet, KeysNotRead, keys_of, read_over_http
from services.binding.settings import JWKS_STALE_MAX_S

ED25519 = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate().public_key(), as_dict=True)
RSA_2048 = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
RSA_1024 = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)  # noqa: S505 the attack
ED25519_PRIVATE = OKPAlgorithm.to_jwk(ed25519.Ed25519PrivateKey.generate(), as_dict=True)
SECRET = {"kty": "oct", "k": base64.urlsafe_b64encode(bytes(32)).decode()}

UNUSABLE: dict[str, Any] = {
    "a shared secret": {**SECRET, "kid": "k"},
    "a shared secret that says EdDSA": {**SECRET, "kid": "k", "alg": "EdDSA"},
    "a short RSA key": {**RSA_1024, "kid": "k"},
    "an RSA key for HS256": {**RSA_2048, "kid": "k", "alg": "HS256"},
    "an RSA key for RS512": {**RSA_2048, "kid": "k", "alg": "RS512"},
    "an Ed25519 key that says RS256": {**ED25519, "kid": "k", "alg": "RS256"},
    "a key for encryption": {**RSA_2048, "kid": "k", "use": "enc"},
    "a private key": {**ED25519_PRIVATE, "kid": "k"},
    "another curve of Edwards'": {
        **OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True),
        "kid": "k",
    },
    "an elliptic curve": {
        **ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True),
        "kid": "k",
    },
    "a key without a name": RSA_2048,
    "a key whose name is no text": {**RSA_2048, "kid": 7},
    "half a key": {"kty": "RSA", "kid": "k", "e": "AQAB"},
    "no key": "k",
}


class Provider:
    """Gives a set, or nothing, and counts how often it is asked."""

    def __init__(self, **named: dict[str, Any]) -> None:
        self.named, self.away, self.asked = named, False, 0

    async def read(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise httpx.ConnectError("nobody there")
        return set_of(*({**jwk, "kid": kid} for kid, jwk in self.named.items()))


class Hours:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def set_of(*jwks: Any) -> bytes:
    return json.dumps({"keys": jwks}).encode()


def test_a_key_brings_its_own_algorithm() -> None:
    """Ed25519 is for EdDSA, RSA for RS256, whether or not the set says so."""
    found = keys_of(set_of({**ED25519, "kid": "e"}, {**RSA_2048, "kid": "r", "alg": "RS256", "use": "sig"}))

    assert {kid: key.algorithm for kid, key in found.items()} == {"e": "EdDSA", "r": "RS256"}


@pytest.mark.parametrize("jwk", UNUSABLE.values(), ids=UNUSABLE)
def test_what_nobody_may_sign_with_is_passed_over(jwk: Any) -> None:
    """The others of its set are taken."""
    found = keys_of(set_of(jwk, {**ED25519, "kid": "good"}))

    assert found.keys() == {"good"}


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b"7", b'{"keys": 7}', b'{"keys": {}}', b'{"keys": "k"}', b"<html>"]
)
def test_what_is_no_set_is_not_read(document: bytes) -> None:
    """A provider's error page takes nobody's keys away."""
    with pytest.raises(KeysNotRead):
        keys_of(document)


@pytest.mark.parametrize("jwks", [[], [SECRET], [UNUSABLE["an elliptic curve"]]], ids=["empty", "a secret", "a curve"])
async def test_a_set_without_a_key_takes_all_of_them_away(jwks: list[Any]) -> None:
    """It is a set, and says that no key is good any more; a provider that takes the last one back is heard."""
    documents = [set_of({**ED25519, "kid": "stolen"}), set_of(*jwks)]
    known = KeySet(lambda: asyncio.sleep(0, documents.pop(0)), Hours())
    await known.refresh()
    before = await known.find("stolen")

    await known.refresh()

    assert before is not None
    assert await known.find("stolen") is None
    assert Keyring(None, known).is_empty


def test_a_set_is_bounded() -> None:
    """However many keys it has, the first are enough."""
    found = keys_of(set_of(*({**ED25519, "kid": f"k{n}"} for n in range(1_000))))

    assert len(found) == keys.KEYS_MAX


async def test_an_unknown_name_is_asked_for_once() -> None:
    """A thousand tokens at once that name keys nobody has: one question."""
    provider = Provider(known=ED25519)
    known = KeySet(provider.read, Hours())

    found = await asyncio.gather(*(known.find(f"forged-{n}") for n in range(1_000)))

    assert (set(found), provider.asked) == ({None}, 1)


async def test_a_flood_of_unknown_names_does_not_reach_an_absent_provider_either() -> None:
    """A question that failed counts as one."""
    provider, hours = Provider(), Hours()
    provider.away = True
    known = KeySet(provider.read, hours)

    for n in range(100):
        await known.find(f"forged-{n}")
        hours.now += UNKNOWN_EVERY_S / 50

    assert provider.asked == 2


async def test_a_new_key_is_found_when_a_token_names_it() -> None:
    """Once the last question is long enough ago."""
    provider, hours = Provider(old=ED25519), Hours()
    known = KeySet(provider.read, hours)
    await known.refresh()
    provider.named = {"new": RSA_2048}

    too_soon = await known.find("new")
    hours.now += UNKNOWN_EVERY_S
    in_time = await known.find("new")

    assert too_soon is None
    assert in_time is not None


async def test_known_keys_stay_good_while_the_provider_is_away() -> None:
    """For a day, unless something else is said; then nobody knows whether they were taken back."""
    provider, hours = Provider(known=ED25519), Hours()
    known = KeySet(provider.read, hours)
    await known.refresh()
    provider.away = True

    hours.now += JWKS_STALE_MAX_S
    with pytest.raises(KeysNotRead):
        await known.refresh()
    within, empty_within = await known.find("known"), known.is_empty
    hours.now += 1
    beyond, empty_beyond = await known.find("known"), known.is_empty
    provider.away = False
    hours.now += UNKNOWN_EVERY_S
    back = await known.find("known")

    assert (within is not None, empty_within) == (True, False)
    assert (beyond, empty_beyond) == (None, True)
    assert back is not None


async def test_a_key_that_was_taken_back_is_good_no_more() -> None:
    """The set that was read last is the one that counts."""
    provider = Provider(stolen=ED25519, other=RSA_2048)
    known = KeySet(provider.read, Hours())
    await known.refresh()
    del provider.named["stolen"]

    await known.refresh()

    assert await known.find("stolen") is None


async def test_a_token_with_a_name_is_not_checked_with_the_key_file() -> None:
    """A provider's token that names a key of its own choosing gets that key or none."""
    own = Key.of(ed25519.Ed25519PrivateKey.generate().public_key())
    ring = Keyring(own, KeySet(Provider(known=RSA_2048).read, Hours()))

    found = [await ring.find(kid) for kid in (None, "unknown")]

    assert found == [own, None]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"Location": "https://elsewhere/keys"}),
        httpx.Response(500),
        httpx.Response(200, content=b" " * (keys.SET_BYTES_MAX + 1)),
    ],
    ids=["a redirect", "an error", "too much"],
)
async def test_only_a_set_is_read_over_http(answer: httpx.Response) -> None:
    """No redirect is followed, no end of bytes kept."""
    asked: list[str] = []

    def answers(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as client:
        with pytest.raises((httpx.HTTPStatusError, KeysNotRead)):
            await read_over_http(client, "https://provider/keys")

    assert asked == ["https://provider/keys"]
