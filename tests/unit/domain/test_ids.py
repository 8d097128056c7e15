"""Ids: the province in front, time next, no personal data."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.domain.ids import parse_public_id, public_id, time_ordered_uuid

NOW = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
ROW = UUID("0199f3a0-1111-7222-8333-444455556666")


def test_public_id_is_province_and_uuid() -> None:
    """The province says which cell to ask, in two digits."""
    assert public_id(13, ROW) == "13-0199f3a0111172228333444455556666"
    assert public_id(1, ROW).startswith("01-")


@pytest.mark.parametrize("province", [0, 1, 13, 65, 99])
def test_public_id_can_be_read_back(province: int) -> None:
    """What goes out can come back."""
    assert parse_public_id(public_id(province, ROW)) == (province, ROW)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("13", id="province only"),
        pytest.param("13-", id="no uuid"),
        pytest.param(f"-{ROW.hex}", id="no province"),
        pytest.param(ROW.hex, id="uuid only"),
        pytest.param(str(ROW), id="uuid with dashes"),
        pytest.param(f"13-{ROW}", id="province and uuid with dashes"),
        pytest.param(f"1-{ROW.hex}", id="one digit"),
        pytest.param(f"013-{ROW.hex}", id="three digits"),
        pytest.param(f"xx-{ROW.hex}", id="letters"),
        pytest.param(f"１３-{ROW.hex}", id="other digits"),
        pytest.param(f"-1-{ROW.hex}", id="negative"),
        pytest.param(f"13-{ROW.hex[:-1]}", id="a digit short"),
        pytest.param(f"13-{ROW.hex}0", id="a digit long"),
        pytest.param(f"13-{ROW.hex[:-1]}g", id="no hexadecimal"),
        pytest.param(f"13-{ROW.hex[:-1]}\n", id="newline"),
        pytest.param(f"13_{ROW.hex}", id="underscore"),
        pytest.param(f"13-{{{ROW.hex[:-2]}}}", id="braces"),
        pytest.param(f"13-{ROW.hex[0]}_{ROW.hex[2:]}", id="underscore among the digits"),
        pytest.param(f"13-+{ROW.hex[1:]}", id="plus"),
        pytest.param(f"13-0x{ROW.hex[2:]}", id="0x"),
        pytest.param(f"13- {ROW.hex[1:]}", id="blank in front"),
        pytest.param(f"13-{ROW.hex[:-1]}１", id="another digit one"),
    ],
)
def test_what_is_no_public_id_is_not_taken_for_one(text: str) -> None:
    """None, never an exception and never another thing's id."""
    assert parse_public_id(text) is None


def test_uuid_has_the_layout_of_version_7() -> None:
    """Version, variant and the milliseconds are where version 7 has them."""
    made = time_ordered_uuid(NOW, "13", "hospital-1", "R-1")

    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(NOW.timestamp() * 1000)


def test_same_name_at_the_same_moment_is_the_same_id() -> None:
    """Whatever is derived from it can be derived again."""
    assert time_ordered_uuid(NOW, "a", "b") == time_ordered_uuid(NOW, "a", "b")


@pytest.mark.parametrize(
    "name",
    [("a",), ("b", "a"), ("ab",), ("a", "b", ""), ("", "a", "b"), ("A", "b"), ()],
    ids=ascii,
)
def test_another_name_is_another_id(name: tuple[str, ...]) -> None:
    """Names differ in any part, and in where the parts begin."""
    assert time_ordered_uuid(NOW, *name) != time_ordered_uuid(NOW, "a", "b")


def test_ids_come_in_the_order_of_time() -> None:
    """Whatever the names, a later millisecond is a greater id."""
    moments = [NOW + timedelta(milliseconds=n) for n in range(200)]

    made = [time_ordered_uuid(moment, str(-n)) for n, moment in enumerate(moments)]

    assert made == sorted(made)


def test_id_carries_nothing_of_its_name() -> None:
    """The tail is a digest."""
    assert b"1301021990".hex() not in time_ordered_uuid(NOW, "130102199003071234").hex
    assert "130102" not in time_ordered_uuid(NOW, "130102199003071234").hex[12:]
