"""A gift to a relative's wallet: every refusal and its neighbour, and where the money comes from. Contract: "transfer"."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from services.settlement.model import Position, Transfer
from services.settlement.transferring import end_of
from shared.domain.ids import PersonKey
from shared.domain.policy import WalletPolicy
from shared.domain.times import SHANGHAI
from tests.support.builders import PATIENT, binding, decided, enrolment, policy, position, transfer

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)
RECEIVER = PersonKey(12, "receiver")


def gift(
    *,
    receiver: dict[str, Any] | None = None,
    related: bool = True,
    auto_accept: bool = False,
    made: int = 0,
    **where: Any,
) -> Position:
    """At noon, an employee with 1,000 yuan of this year and 1,000 of earlier years who has opened the wallet to somebody."""
    fields = where.pop("policy", {})
    at = position(**{"kind": "agency", "current": 100_000, "prior": 100_000, "now": NOON, **where})
    return replace(
        at,
        policy=policy(**fields) if at.patient else None,
        receiver=enrolment("120100", **receiver) if receiver is not None else enrolment("120100", "resident"),
        wallet_binding=replace(binding("patient"), wallet=True, auto_accept=auto_accept) if related else None,
        transfers_today=made,
    )


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        pytest.param({"known": False}, "person_unknown", id="giver unknown"),
        pytest.param({"receiver": {"status": "suspended"}}, "person_not_insured", id="receiver suspended"),
        pytest.param({"receiver": {"insurance": "resident"}}, None, id="good neighbour: resident receiver"),
        pytest.param({"related": False}, "not_related", id="no wallet binding"),
        pytest.param({"insurance": "resident"}, "payer_not_eligible", id="giver a resident"),
        pytest.param({"status": "suspended"}, "payer_not_eligible", id="giver suspended"),
        pytest.param({"frozen": True}, "payer_account_frozen", id="giver frozen"),
        pytest.param({"receiver": {"frozen": True}}, "payer_account_frozen", id="receiver frozen"),
        pytest.param({"now": NOON.replace(hour=22)}, "transfer_closed_hours", id="at 22:00"),
        pytest.param({"now": NOON.replace(hour=21, minute=59)}, None, id="good neighbour: 21:59"),
        pytest.param({"now": NOON.replace(hour=5, minute=59)}, "transfer_closed_hours", id="at 05:59"),
        pytest.param({"now": NOON.replace(hour=6)}, None, id="good neighbour: 06:00"),
        pytest.param(
            {"policy": {"wallet": {"per_transfer_fen": 9_999}}}, "transfer_limit_reached", id="too much at once"
        ),
        pytest.param({"policy": {"wallet": {"per_transfer_fen": 10_000}}}, None, id="good neighbour: just that much"),
        pytest.param({"made": 3}, "transfer_limit_reached", id="the fourth of the day"),
        pytest.param({"made": 2}, None, id="good neighbour: the third"),
        pytest.param({"current": 9_999, "prior": 0}, "balance_insufficient", id="one fen short"),
        pytest.param({"current": 10_000, "prior": 0}, None, id="good neighbour: just enough"),
        pytest.param(
            {"prior": 9_999, "policy": {"funds": "prior_years"}}, "balance_insufficient", id="earlier years only"
        ),
        pytest.param({"policy": {"keep_fen": 190_001}}, "balance_insufficient", id="what must be kept"),
        pytest.param({"policy": {"keep_fen": 190_000}}, None, id="good neighbour: all above what is kept"),
        pytest.param({"current": 0, "prior": 0, "wallet": 10_000}, "balance_insufficient", id="wallet money"),
    ],
)
def test_a_transfer_is_declined_for_the_first_reason_that_applies(where: dict[str, Any], reason: str | None) -> None:
    """One condition at a time, each beside its neighbour."""
    decision = decided(transfer(), gift(**where))

    assert (decision.outcome, decision.reason) == ("declined" if reason else "pending", reason)
    assert bool(decision.entries) == (reason is None)


def test_the_reasons_come_in_the_contracts_order() -> None:
    """Everything is wrong at once; put right one by one, the next reason shows."""
    wrong: dict[str, dict[str, Any]] = {
        "person_unknown": {"known": False},
        "person_not_insured": {"receiver": {"status": "ended"}},
        "not_related": {"related": False},
        "payer_not_eligible": {"insurance": "resident"},
        "payer_account_frozen": {"frozen": True},
        "transfer_closed_hours": {"now": NOON.replace(hour=23)},
        "transfer_limit_reached": {"made": 3},
        "balance_insufficient": {"current": 0, "prior": 0},
    }
    order = list(wrong)

    found = [
        decided(
            transfer(), gift(**{name: value for left in order[place:] for name, value in wrong[left].items()})
        ).reason
        for place in range(len(order))
    ]

    assert found == order


def test_earlier_years_money_goes_first() -> None:
    """As with mutual aid; the rest is this year's."""
    (entry,) = decided(transfer(amount_fen=10_000), gift(current=50_000, prior=4_000)).entries

    assert (entry.prior_years_fen, entry.current_year_fen, entry.wallet_fen) == (-4_000, -6_000, 0)
    assert (entry.contra, entry.contra_fen, entry.binding_id) == ("in_transit", 10_000, None)


def test_it_waits_until_six_in_the_morning_of_the_next_day() -> None:
    """And needs no waiting where the receiver accepts beforehand."""
    pending, at_once = decided(transfer(), gift()), decided(transfer(), gift(auto_accept=True))

    assert (pending.outcome, pending.accept_by) == ("pending", datetime(2026, 11, 23, 6, tzinfo=SHANGHAI))
    assert at_once.outcome == "transferred"


@pytest.mark.parametrize(
    ("closed_from", "closed_until", "at", "closed"),
    [
        ("22:00", "06:00", (0, 0), True),
        ("22:00", "06:00", (12, 0), False),
        ("12:00", "13:30", (12, 0), True),
        ("12:00", "13:30", (13, 30), False),
        ("12:00", "13:30", (0, 0), False),
        ("00:00", "00:00", (0, 0), False),
    ],
    ids=["over midnight", "over midnight, noon", "lunch", "after lunch", "lunch, midnight", "never"],
)
def test_closed_hours_may_cross_midnight(
    closed_from: str, closed_until: str, at: tuple[int, int], closed: bool
) -> None:
    """Closed from the first moment up to and not including the last; equal ends mean never."""
    wallet = WalletPolicy.model_validate({"closed_from": closed_from, "closed_until": closed_until})

    assert wallet.is_closed(NOON.replace(hour=at[0], minute=at[1])) is closed


def given(**fields: Any) -> Transfer:
    made: dict[str, Any] = {
        "province": 13,
        "transfer_id": binding().binding_id,
        "giver": PATIENT,
        "receiver": RECEIVER,
        "binding_id": binding().binding_id,
        "current_year_fen": 700,
        "prior_years_fen": 300,
        "accepted": False,
        "made_at": NOON,
        "accept_by": NOON,
    }
    return Transfer(**{**made, **fields})


def test_what_was_accepted_arrives_in_the_wallet() -> None:
    """All of it, whatever parts it came from."""
    kind, entry = end_of(given(accepted=True), NOON)

    assert (kind, entry.person, entry.wallet_fen, entry.contra_fen) == ("arrival", RECEIVER, 1_000, -1_000)


@pytest.mark.parametrize(("year", "parts"), [(2026, (700, 300)), (2027, (0, 1_000))], ids=["same year", "next year"])
def test_what_was_not_accepted_returns_to_where_it_came_from(year: int, parts: tuple[int, int]) -> None:
    """Part for part; this year's money of a past year returns as earlier years'."""
    kind, entry = end_of(given(), NOON.replace(year=year))

    assert (kind, entry.person, (entry.current_year_fen, entry.prior_years_fen)) == ("return", PATIENT, parts)
