"""Names and ID numbers: sealed, masked, found again by a keyed index."""

import base64
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from services.binding.sealing import BadKey, Sealer, mask_id_number, mask_name

SEALER = Sealer(b"k" * 32, b"i" * 32)


def test_what_is_sealed_can_be_opened_by_its_owner_only() -> None:
    """The person and the field are part of the seal."""
    sealed = SEALER.seal("张三", person_id="P1", field="name")

    assert SEALER.open(sealed, person_id="P1", field="name") == "张三"
    with pytest.raises(InvalidTag):
        SEALER.open(sealed, person_id="P2", field="name")
    with pytest.raises(InvalidTag):
        SEALER.open(sealed, person_id="P1", field="id_number")


def test_the_same_text_is_sealed_differently_each_time() -> None:
    """Equal names cannot be told from the table."""
    seals = {SEALER.seal("张三", person_id="P1", field="name") for _ in range(5)}

    assert len(seals) == 5


def test_the_index_is_the_same_for_the_same_id_number_and_key() -> None:
    """Upper and lower case X are one character; another key gives another index."""
    other = Sealer(b"k" * 32, b"j" * 32)

    assert SEALER.index("13010219900307123x") == SEALER.index("13010219900307123X")
    assert SEALER.index("130102199003071234") != SEALER.index("130102199003071235")
    assert SEALER.index("130102199003071234") != other.index("130102199003071234")


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


@pytest.mark.parametrize("content", ["not base64!", base64.b64encode(b"short").decode()])
def test_a_bad_key_file_is_named(tmp_path: Path, content: str) -> None:
    """The file, never what is in it."""
    file = tmp_path / "sealing.key"
    file.write_text(content)

    with pytest.raises(BadKey, match=r"sealing\.key holds|sealing\.key does not") as refused:
        Sealer.from_files(file, file)

    assert content not in str(refused.value)
