"""Names and ID numbers: sealed, masked, found again by a keyed index; in every suite, and as the first release did it."""

from datetime import date
from pathlib import Path

import pytest

from services.binding.keyring import KeyRing, RingKey
from services.binding.sealing import Sealer, Unreadable, key_of, mask_id_number, mask_name
from services.binding.suites import OFFERED

DAY = date(2026, 11, 28)
ID_NUMBER = "13010219900307123X"
# Sealed by the first release with the keys 00 01 02 ... and 20 21 22 ..., for person P1.
OLD_NAME = bytes.fromhex("013c2713075c73237b9f77bdd3738ef0c72e1e3ce401781084ff75037954d34f400285652d4c")
OLD_ID_NUMBER = bytes.fromhex(
    "01292402e89232ebfde7ba2d7da4cef1b74c4dd1e70ef33f403ffb982553d9eb9dcb1cb2e09d0ba97118bcd5500055"
)
OLD_INDEX = bytes.fromhex("3a23eeac09e95606eca9f96157a967a5804a092933a2696febf32fc28d243b32")


def ring_of(*suites: str) -> KeyRing:
    """A ring of new keys, 1, 2, ..., of these suites."""
    return KeyRing.of({number: RingKey.made(number, suite, DAY) for number, suite in enumerate(suites, start=1)})


def sealer_of(ring: KeyRing) -> Sealer:
    return Sealer(lambda: ring)


@pytest.fixture
def old_ring(tmp_path: Path) -> KeyRing:
    """The ring that comes of the first release's two files."""
    sealing, index = tmp_path / "id_number_key", tmp_path / "blind_index_key"
    sealing.write_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    index.write_text("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=")
    return KeyRing.first(sealing, index, made_on=DAY)


@pytest.mark.parametrize("suite", OFFERED)
def test_what_is_sealed_can_be_opened_by_its_owner_only(suite: str) -> None:
    """The person and the field are part of the seal."""
    sealer = sealer_of(ring_of(suite))

    sealed = sealer.seal("张三", ID_NUMBER, person_id="P1", key_id=1)

    assert sealer.open(sealed.name, person_id="P1", field="name") == "张三"
    assert sealer.open(sealed.id_number, person_id="P1", field="id_number") == ID_NUMBER
    for person_id, field in (("P2", "name"), ("P1", "id_number")):
        with pytest.raises(Unreadable, match="not sealed so with this key 1"):
            sealer.open(sealed.name, person_id=person_id, field=field)


@pytest.mark.parametrize("suite", OFFERED)
def test_the_same_text_is_sealed_differently_each_time(suite: str) -> None:
    """Equal names cannot be told from the table."""
    sealer = sealer_of(ring_of(suite))

    seals = {sealer.seal("张三", ID_NUMBER, person_id="P1", key_id=1).name for _ in range(5)}

    assert len(seals) == 5


@pytest.mark.parametrize("suite", OFFERED)
def test_the_index_is_the_same_for_the_same_id_number_and_key(suite: str) -> None:
    """Upper and lower case X are one character; another key gives another index."""
    sealer = sealer_of(ring_of(suite, suite))

    (first, second), lower, other = (
        sealer.indexes(ID_NUMBER),
        sealer.indexes(ID_NUMBER.lower()),
        sealer.indexes("130102199003071235"),
    )

    assert lower == [first, second]
    assert len({first, second, *other}) == 4
    assert sealer.seal("张三", ID_NUMBER, person_id="P1", key_id=2).id_number_index == second


def test_a_sealed_value_names_its_key_and_its_suite() -> None:
    """In the envelope, before anything is opened."""
    sealer = sealer_of(ring_of("aes-256-gcm", "sm4-gcm"))

    first, second = (sealer.seal("张三", ID_NUMBER, person_id="P1", key_id=each) for each in (1, 2))

    assert (key_of(first.name), key_of(second.id_number)) == (1, 2)
    assert (first.name[:4].hex(), second.name[:4].hex()) == ("02010001", "02020002")


def test_a_key_that_is_not_there_is_named() -> None:
    """Its id, so that whoever keeps the keys can look for it."""
    sealed = sealer_of(ring_of("aes-256-gcm", "aes-256-gcm")).seal("张三", ID_NUMBER, person_id="P1", key_id=2)
    without = sealer_of(ring_of("aes-256-gcm"))

    with pytest.raises(Unreadable, match="key 2 is not in the key ring") as refused:
        without.open(sealed.name, person_id="P1", field="name")

    assert refused.value.key_id == 2
    with pytest.raises(Unreadable, match="key 3 is not in the key ring"):
        without.seal("张三", ID_NUMBER, person_id="P1", key_id=3)


def test_another_key_of_the_same_id_opens_nothing() -> None:
    """Of the same suite or of another."""
    sealed = sealer_of(ring_of("aes-256-gcm")).seal("张三", ID_NUMBER, person_id="P1", key_id=1)

    with pytest.raises(Unreadable, match="not sealed so with this key 1"):
        sealer_of(ring_of("aes-256-gcm")).open(sealed.name, person_id="P1", field="name")
    with pytest.raises(Unreadable, match="of another suite"):
        sealer_of(ring_of("sm4-gcm")).open(sealed.name, person_id="P1", field="name")


def test_what_the_first_release_sealed_opens_and_is_found(old_ring: KeyRing) -> None:
    """Bytes that it wrote, with the ring that comes of its key files, beside a newer key too."""
    newer = old_ring.with_key(RingKey.made(2, "sm4-gcm", DAY))

    for sealer in (sealer_of(old_ring), sealer_of(newer)):
        assert sealer.open(OLD_NAME, person_id="P1", field="name") == "张三丰"
        assert sealer.open(OLD_ID_NUMBER, person_id="P1", field="id_number") == ID_NUMBER
        assert OLD_INDEX in sealer.indexes(ID_NUMBER)
    with pytest.raises(Unreadable, match="not sealed so"):
        sealer_of(newer).open(OLD_NAME, person_id="P2", field="name")
    with pytest.raises(Unreadable, match="of another suite"):
        sealer_of(ring_of("aes-256-gcm")).open(OLD_NAME, person_id="P1", field="name")


def test_the_first_release_s_key_seals_as_the_first_release_did(old_ring: KeyRing) -> None:
    """One that still runs beside this one can read it."""
    sealed = sealer_of(old_ring).seal("张三丰", ID_NUMBER, person_id="P1", key_id=1)

    assert sealed.name[0] == 1
    assert (len(sealed.name), len(sealed.id_number)) == (len(OLD_NAME), len(OLD_ID_NUMBER))
    assert sealed.id_number_index == OLD_INDEX
    assert sealer_of(old_ring).open(sealed.name, person_id="P1", field="name") == "张三丰"


@pytest.mark.parametrize(("name", "masked"), [("张三", "张*"), ("欧阳修文", "欧***"), ("A", "A")])
def test_a_masked_name_keeps_its_first_character(name: str, masked: str) -> None:
    """As counters do it."""
    assert mask_name(name) == masked


@pytest.mark.parametrize(
    ("id_number", "masked"), [("130102199003071234", "130***********1234"), ("1234567", "*******")]
)
def test_a_masked_id_number_is_recognised_by_its_owner_only(id_number: str, masked: str) -> None:
    """Too short to hide anything: nothing is shown."""
    assert mask_id_number(id_number) == masked
