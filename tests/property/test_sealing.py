"""Sealing, whatever the name, the person and the damage."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.binding.keyring import KeyRing, RingKey
from services.binding.sealing import Sealer, Unreadable, key_of
from services.binding.suites import FIRST_RELEASE, OFFERED

DAY = date(2026, 11, 28)
# Key 1 as the first release used it, and one of each suite.
RING = KeyRing.of(
    {number: RingKey.made(number, suite, DAY) for number, suite in enumerate((FIRST_RELEASE, *OFFERED), start=1)}
)
SEALER = Sealer(lambda: RING)
KEY_IDS = st.sampled_from(sorted(RING.lines))
NAMES = st.text(min_size=1, max_size=100)
PERSON_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,30}", fullmatch=True)


@given(name=NAMES, person_id=PERSON_IDS, key_id=KEY_IDS)
def test_whatever_is_sealed_opens_and_names_its_key(name: str, person_id: str, key_id: int) -> None:
    """Under every suite."""
    sealed = SEALER.seal(name, "130102199003071234", person_id=person_id, key_id=key_id)

    assert SEALER.open(sealed.name, person_id=person_id, field="name") == name
    assert key_of(sealed.name) == key_of(sealed.id_number) == key_id


@given(name=NAMES, key_id=KEY_IDS, bit=st.integers(min_value=0))
def test_a_single_changed_bit_is_noticed(name: str, key_id: int, bit: int) -> None:
    """In the envelope, the nonce, the text or the tag."""
    sealed = bytearray(SEALER.seal(name, "130102199003071234", person_id="P1", key_id=key_id).name)
    bit %= len(sealed) * 8
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Unreadable):
        SEALER.open(bytes(sealed), person_id="P1", field="name")


@given(name=NAMES, key_id=KEY_IDS, kept=st.integers(min_value=0), more=st.binary(min_size=1, max_size=40))
def test_what_was_cut_off_or_added_to_is_noticed(name: str, key_id: int, kept: int, more: bytes) -> None:
    """And is never an error of another kind."""
    sealed = SEALER.seal(name, "130102199003071234", person_id="P1", key_id=key_id).name

    for wrong in (sealed[: kept % len(sealed)], sealed + more):
        with pytest.raises(Unreadable):
            SEALER.open(wrong, person_id="P1", field="name")


@given(anything=st.binary(max_size=80))
def test_what_was_never_sealed_does_not_open(anything: bytes) -> None:
    """Whatever it begins with."""
    with pytest.raises(Unreadable):
        SEALER.open(anything, person_id="P1", field="name")


@given(name=NAMES, key_id=KEY_IDS, people=st.lists(PERSON_IDS, min_size=2, max_size=2, unique=True))
def test_nobody_s_name_opens_as_somebody_else_s(name: str, key_id: int, people: list[str]) -> None:
    """Nor as their ID number."""
    mine, other = people
    sealed = SEALER.seal(name, "130102199003071234", person_id=mine, key_id=key_id)

    for value, person_id, field in ((sealed.name, other, "name"), (sealed.name, mine, "id_number")):
        with pytest.raises(Unreadable):
            SEALER.open(value, person_id=person_id, field=field)
