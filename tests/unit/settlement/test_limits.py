"""How much a payer may give: usable balance and yearly limits. Contract: step 5 of the settlement."""

from typing import Any

import pytest

from shared.messages.envelope import Outcome
from tests.support.builders import candidate, decided, position, settle


@pytest.mark.parametrize(
    ("fields", "prior", "current", "usable"),
    [
        pytest.param({}, 700, 500, 1_200, id="whole balance"),
        pytest.param({"funds": "prior_years"}, 700, 500, 700, id="earlier years only"),
        pytest.param({"keep_fen": 200}, 700, 500, 1_000, id="less what is kept"),
        pytest.param({"funds": "prior_years", "keep_fen": 200}, 700, 500, 500, id="earlier years less what is kept"),
        pytest.param({"keep_fen": 1_200}, 700, 500, 0, id="all of it kept"),
        pytest.param({"keep_fen": 5_000}, 700, 500, 0, id="never below 0"),
        pytest.param({"funds": "prior_years"}, 0, 500, 0, id="only this year's money"),
    ],
)
def test_usable_balance_is_what_the_payers_region_lets_be_shared(
    fields: dict[str, Any], prior: int, current: int, usable: int
) -> None:
    """Usable is what may be shared less what must be kept; a payer covers that much and no fen more."""
    at = position(candidate(prior=prior, current=current, **fields))

    exact = decided(settle(amount_fen=max(usable, 1)), at)
    more = decided(settle(amount_fen=usable + 1), at)

    assert exact.considered[0].usable_fen == usable
    assert exact.outcome == (Outcome.SETTLED if usable else Outcome.DECLINED)
    assert more.reason == ("richest_payer_insufficient" if usable else "payer_balance_zero")


def test_payer_in_a_region_that_shares_earlier_years_only_keeps_this_years_money() -> None:
    """Under funds prior_years no fen of this year's money is taken."""
    (entry,) = decided(settle(), position(candidate(prior=10_000, current=10_000, funds="prior_years"))).entries

    assert (entry.prior_years_fen, entry.current_year_fen) == (-10_000, 0)


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        pytest.param({"limit": 10_000}, 10_000, id="the binding's"),
        pytest.param({"annual_limit_fen": 10_000}, 10_000, id="the policy's"),
        pytest.param({"limit": 10_000, "annual_limit_fen": 90_000}, 10_000, id="the binding's is the smaller"),
        pytest.param({"limit": 90_000, "annual_limit_fen": 10_000}, 10_000, id="the policy's is the smaller"),
        pytest.param({"limit": 30_000, "used": 20_000}, 10_000, id="less what was used"),
        pytest.param({"annual_limit_fen": 30_000, "used": 20_000}, 10_000, id="the policy's less what was used"),
        pytest.param({"limit": 30_000, "used": 30_000}, 0, id="used up"),
        pytest.param({"limit": 30_000, "used": 40_000}, 0, id="lowered below what was used"),
        pytest.param({"limit": 0}, 0, id="zero is a limit"),
        pytest.param({"annual_limit_fen": 0}, 0, id="the policy's zero is a limit"),
    ],
)
def test_limit_covers_the_whole_shortfall_or_takes_the_candidate_out(limits: dict[str, Any], left: int) -> None:
    """What the smaller of the two limits leaves is the most a binding can pay, to the fen."""
    at = position(candidate(prior=500_000, **limits))

    exact = decided(settle(amount_fen=max(left, 1)), at)
    more = decided(settle(amount_fen=left + 1), at)

    assert exact.outcome == ("settled" if left else "declined")
    assert more.reason == "authorised_limit_exceeded"


def test_limit_is_compared_with_the_shortfall_not_with_the_amount() -> None:
    """What the patient pays does not count against the binding's limit."""
    decision = decided(settle(amount_fen=10_000), position(candidate(prior=50_000, limit=4_000), current=6_000))

    assert (decision.outcome, decision.mutual_aid_fen) == ("settled", 4_000)


def test_no_limit_however_much_was_used() -> None:
    """Where neither binding nor policy has a limit, use is not limited."""
    decision = decided(settle(), position(candidate(prior=50_000, used=10**11)))

    assert decision.outcome == "settled"


@pytest.mark.parametrize("prior", [0, 9_999], ids=["zero", "short"])
def test_limit_takes_a_candidate_out_before_its_balance_is_looked_at(prior: int) -> None:
    """A payer who is over the limit and poor as well is over the limit."""
    decision = decided(settle(), position(candidate(prior=prior, limit=1)))

    assert decision.reason == "authorised_limit_exceeded"
