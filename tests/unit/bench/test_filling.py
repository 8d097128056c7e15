"""How a population is put into a database: lot by lot, each person once, in books with a month for everything."""

from datetime import date

from bench.filling import months, stretches
from bench.population import Population

NOVEMBER = date(2026, 11, 24)


def test_everybody_is_in_one_lot() -> None:
    numbers = [number for first, last in stretches(range(10), at_once=4) for number in range(first, last + 1)]

    assert numbers == list(range(10))


def test_nobody_needs_no_lot() -> None:
    assert not list(stretches(range(0)))


def test_without_earlier_years_there_is_this_month_and_the_next() -> None:
    assert months(Population(families=4, seed=1), NOVEMBER) == [date(2026, 11, 1), date(2026, 12, 1)]


def test_the_months_reach_back_without_a_gap_to_the_first_credit() -> None:
    found = months(Population(families=4, seed=1, years_before=1), NOVEMBER)

    assert (found[0], found[-1]) == (date(2025, 7, 1), date(2026, 12, 1))
    assert len(found) == 18


def test_after_december_comes_january() -> None:
    assert months(Population(families=4, seed=1), date(2026, 12, 31)) == [date(2026, 12, 1), date(2027, 1, 1)]
