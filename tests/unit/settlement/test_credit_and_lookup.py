"""What the agency pays in, and what became of a request. Contract: "credit", "lookup"."""

from typing import Any

import pytest

from services.settlement.incoming import RequestName
from services.settlement.model import Original
from tests.support.builders import credit, decided, lookup, position, settle, stored


@pytest.mark.parametrize(
    ("fund", "after"),
    [("current_year", (10_003, 5)), ("prior_years", (3, 10_005))],
    ids=["current_year", "prior_years"],
)
def test_credit_goes_to_the_fund_that_it_names(fund: str, after: tuple[int, int]) -> None:
    """The contribution is in the account afterwards, and nothing else is."""
    decision = decided(credit(fund=fund), position(kind="agency", current=3, prior=5, wallet=7))

    (entry,) = decision.entries
    assert decision.account_after is not None
    assert (decision.account_after.current_year_fen, decision.account_after.prior_years_fen) == after
    assert (decision.outcome, decision.reason, decision.account_after.wallet_fen) == ("credited", None, 7)
    assert entry.contra_fen == -10_000


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        pytest.param({"known": False}, "person_unknown", id="unknown"),
        pytest.param({"insurance": "resident"}, "person_not_employee", id="resident"),
        pytest.param({"insurance": "resident", "status": "ended"}, "person_not_employee", id="resident who left"),
        pytest.param({"insurance": "employee"}, None, id="good neighbour: employee"),
    ],
)
def test_credit_is_for_employees(where: dict[str, Any], reason: str | None) -> None:
    """Only employees have personal accounts."""
    decision = decided(credit(), position(kind="agency", **where))

    assert (decision.outcome, decision.reason) == ("declined" if reason else "credited", reason)
    assert bool(decision.entries) == (reason is None)


def test_lookup_finds_what_was_decided() -> None:
    """The stored decision of the request it speaks of, or none."""
    known = Original(RequestName(13, "hospital-1", "R-1"), stored(settle()))

    found, not_found = decided(lookup(), position(original=known)), decided(lookup(), position())

    assert (found.outcome, found.original, found.entries) == ("found", known, ())
    assert (not_found.outcome, not_found.original) == ("not_found", None)
