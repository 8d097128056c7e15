"""Answers as the sender reads them. Contract: "settle, quote", "credit"."""

from typing import Any

import pytest

from shared.domain.accounts import Account
from shared.domain.reasons import TEXTS, Reason
from tests.support.builders import NOW, PATIENT, answered, batch, credit, enrolment, family, settle

MONEY = ("amount_fen", "own_account_fen", "wallet_fen", "mutual_aid_fen", "cash_fen")


def test_settled_answer_in_full() -> None:
    """Every field of the contract, and no other."""
    answer = answered(family(wallet=3_000), settle())

    settlement_id = answer.pop("settlement_id")
    assert settlement_id.startswith("13-")
    assert answer == {
        "operation": "settle",
        "request_id": "R-1",
        "institution_id": "hospital-1",
        "outcome": "settled",
        "reason": None,
        "reason_text": None,
        "amount_fen": 10_000,
        "own_account_fen": 0,
        "wallet_fen": 3_000,
        "mutual_aid_fen": 7_000,
        "cash_fen": 0,
        "payer_id": "payer",
        "own_balance_fen": 0,
        "decided_at": NOW.isoformat().replace("+00:00", "Z"),
        "replayed": False,
    }


def test_declined_answer_leaves_all_to_the_patient() -> None:
    """No settlement, no payer; cash_fen is the amount."""
    answer = answered(family(), settle(amount_fen=50_001))

    assert answer["outcome"] == "declined"
    assert (answer["settlement_id"], answer["payer_id"], answer["cash_fen"]) == (None, None, 50_001)
    assert [answer[name] for name in MONEY] == [50_001, 0, 0, 0, 50_001]


def test_partial_answer_leaves_the_rest_to_the_patient() -> None:
    """What accounts paid and the cash add up to the amount."""
    answer = answered(family(wallet=3_000), settle(amount_fen=60_000))

    assert (answer["outcome"], answer["payer_id"]) == ("partial", None)
    assert [answer[name] for name in MONEY] == [60_000, 0, 3_000, 0, 57_000]
    assert answer["settlement_id"] is not None


def test_rejected_answer_has_no_money_and_no_ids() -> None:
    """Money fields and the ids of payer and settlement are null."""
    answer = answered(family(), settle(institution_id="nobody"))

    assert (answer["outcome"], answer["reason"]) == ("rejected", "institution_unknown")
    assert {answer[name] for name in (*MONEY, "own_balance_fen", "payer_id", "settlement_id")} == {None}


@pytest.mark.parametrize(
    "fields",
    [
        {"institution_id": "nobody"},
        {"person_id": "nobody"},
        {"expense_type": "fitness"},
        {"amount_fen": 90_000},
        {"use_mutual_aid": False},
    ],
    ids=str,
)
def test_reason_comes_with_its_chinese_sentence(fields: dict[str, Any]) -> None:
    """reason_text is the sentence that a clerk reads out."""
    answer = answered(family(), settle(**fields))

    assert answer["reason_text"] == TEXTS[Reason(answer["reason"])].chinese


def test_two_settlements_have_two_ids() -> None:
    """Requests decided at one moment are told apart."""
    in_batch = family()

    ids = {answered(in_batch, settle(request_id=f"R-{n}", amount_fen=1))["settlement_id"] for n in range(50)}

    assert len(ids) == 50


@pytest.mark.parametrize(
    ("fund", "after"),
    [("current_year", (10_000, 0)), ("prior_years", (0, 10_000))],
    ids=["current_year", "prior_years"],
)
def test_credit_answer_tells_both_parts_after(fund: str, after: tuple[int, int]) -> None:
    """Credited, with the account as it is afterwards."""
    answer = answered(batch({PATIENT: enrolment()}, {PATIENT: Account()}), credit(fund=fund))

    assert (answer["outcome"], answer["reason"], answer["reason_text"]) == ("credited", None, None)
    assert (answer["current_year_fen"], answer["prior_years_fen"]) == after


def test_declined_credit_tells_no_balance() -> None:
    """A resident has no personal account to tell of."""
    answer = answered(batch({PATIENT: enrolment(insurance="resident")}), credit())

    assert (answer["outcome"], answer["reason"]) == ("declined", "person_not_employee")
    assert (answer["current_year_fen"], answer["prior_years_fen"]) == (None, None)
