"""Who owes whom between pooling areas. domain.md: "clearing"."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.clearing import Debt, Position, debts, positions


@dataclass(frozen=True)
class Line:
    insured_region: str
    care_region: str
    owed_fen: int


def test_care_at_home_is_nobody_elses_affair() -> None:
    """One pooling area, whatever the last two digits say."""
    owed = debts([Line("130100", "130102", 500), Line("130100", "130200", 70), Line("130102", "130299", 7)])

    assert owed == [Debt("1301", "1302", 77)]


def test_both_directions_stand_and_the_position_is_their_difference() -> None:
    """What each owes is not set off silently: the sums are shown, and the net beside them."""
    owed = debts([Line("130100", "130200", 100), Line("130200", "130100", 30)])

    assert owed == [Debt("1301", "1302", 100), Debt("1302", "1301", 30)]
    assert positions(owed) == [Position("1301", 100, 30), Position("1302", 30, 100)]
    assert [each.net_fen for each in positions(owed)] == [-70, 70]


def test_a_day_on_which_more_came_back_than_was_paid() -> None:
    """The debt is below nothing: the other side gives back."""
    owed = debts([Line("130100", "330100", -40)])

    assert owed == [Debt("1301", "3301", -40)]
    assert [each.net_fen for each in positions(owed)] == [40, -40]


REGIONS = st.sampled_from(["130100", "130102", "130200", "330100", "350100"])
LINES = st.lists(st.builds(Line, REGIONS, REGIONS, st.integers(-(10**9), 10**9)))


@given(LINES)
def test_the_net_sums_add_up_to_nothing(lines: list[Line]) -> None:
    """Clearing moves money between areas and makes none."""
    assert sum(each.net_fen for each in positions(debts(lines))) == 0


@given(LINES)
def test_debts_are_the_lines_across_areas(lines: list[Line]) -> None:
    """Nothing is lost and nothing comes in on the way from lines to debts."""
    across = sum(each.owed_fen for each in lines if each.insured_region[:4] != each.care_region[:4])

    assert sum(each.owed_fen for each in debts(lines)) == across
