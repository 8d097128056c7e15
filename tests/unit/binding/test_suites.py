"""The algorithms are the standards': vectors that others have published."""

import pytest

from services.binding.suites import OFFERED, SUITES, AesKey, BadKey, NotAuthentic, Sm4Key

INDEX_KEY = bytes(range(32))
# RFC 8998, A.1: SM4-GCM.
SM4 = {
    "key": "0123456789abcdeffedcba9876543210",
    "nonce": "00001234567800000000abcd",
    "place": "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    "plain": "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
    "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
    "sealed": "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
    "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d",
    "tag": "83de3541e4c2b58177e065a9bf7b62ec",
}
# The Galois/Counter Mode of Operation (McGrew, Viega), test case 16: AES-256-GCM.
AES = {
    "key": "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    "nonce": "cafebabefacedbaddecaf888",
    "place": "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    "plain": "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    "sealed": "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
    "tag": "76fc6ece0f4e1768cddf8853bb2d551b",
}


@pytest.mark.parametrize(("kind", "vector"), [(AesKey, AES), (Sm4Key, SM4)], ids=["aes-256-gcm", "sm4-gcm"])
def test_sealing_is_the_standard_s(
    kind: type[AesKey | Sm4Key], vector: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nonce, the ciphertext and the tag, in this order; only the nonce is chance."""
    told = {name: bytes.fromhex(value) for name, value in vector.items()}
    monkeypatch.setattr("os.urandom", lambda _: told["nonce"])
    key = kind(told["key"], INDEX_KEY)

    sealed = key.seal(told["plain"], told["place"])

    assert sealed == told["nonce"] + told["sealed"] + told["tag"]
    assert key.open(sealed, told["place"]) == told["plain"]


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        (AesKey(bytes(32), b"Jefe"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (Sm4Key(bytes(16), b"Jefe"), "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882"),
    ],
    ids=["HMAC-SHA-256", "HMAC-SM3"],
)
def test_the_index_is_an_hmac(key: AesKey | Sm4Key, digest: str) -> None:
    """RFC 4231, test case 2; with SM3 as OpenSSL computes it."""
    assert key.digest(b"what do ya want for nothing?").hex() == digest


@pytest.mark.parametrize("suite", OFFERED)
@pytest.mark.parametrize("length", [0, 1, 12, 27])
def test_what_is_too_short_is_not_authentic(suite: str, length: int) -> None:
    """Never an error of another kind."""
    key = SUITES[suite].load(*SUITES[suite].make())

    with pytest.raises(NotAuthentic):
        key.open(bytes(length), b"")


@pytest.mark.parametrize("suite", OFFERED)
@pytest.mark.parametrize("text", ["c2hvcnQ=", "not base64!", "密钥"])
def test_what_is_no_key_is_refused_without_being_shown(suite: str, text: str) -> None:
    """Too short, or not base64; neither the message nor its cause has it."""
    sealing, index = SUITES[suite].make()

    for wrong in ((text, index), (sealing, text)):
        with pytest.raises(BadKey) as refused:
            SUITES[suite].load(*wrong)
        assert text not in repr((refused.value, refused.value.__cause__))


def test_suites_have_numbers_of_their_own() -> None:
    """They are in everything that was ever sealed."""
    assert {name: suite.number for name, suite in SUITES.items()} == {
        "aes-256-gcm-1": 0,
        "aes-256-gcm": 1,
        "sm4-gcm": 2,
    }
