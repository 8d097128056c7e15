"""The shell's own small rules."""

from datetime import date

import pytest

from services.bookkeeping.handler import each_on_its_own, later


async def test_one_province_does_not_hold_up_the_others() -> None:
    """Each has its turn; then it is told what went wrong first."""
    turns = []

    async def work(province: int) -> int:
        turns.append(province)
        if province in (13, 33):
            raise ValueError(province)
        return province

    with pytest.raises(ValueError, match="13"):
        await each_on_its_own([12, 13, 33, 35], work)
    done = await each_on_its_own([12, 35], work)

    assert turns == [12, 13, 33, 35, 12, 35]
    assert done == [12, 35]


@pytest.mark.parametrize(
    ("month", "ahead", "then"),
    [
        (date(2026, 11, 1), 1, date(2026, 12, 1)),
        (date(2026, 11, 1), 2, date(2027, 1, 1)),
        (date(2026, 12, 1), 12, date(2027, 12, 1)),
        (date(2026, 1, 1), 0, date(2026, 1, 1)),
    ],
)
def test_a_month_is_counted_on_over_the_year(month: date, ahead: int, then: date) -> None:
    assert later(month, ahead) == then
