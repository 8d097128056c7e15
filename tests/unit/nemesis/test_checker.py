"""The checker of the nemesis finds what it is there to find: each lie of a service, told in a small history."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.nemesis.checker import violations
from tests.nemesis.history import INQUIRIES, Asked, Bound, Change, Heard, History, Period, Placed


def at(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat()


def answer(asked: Asked, **said: Any) -> dict[str, Any]:
    """A settlement that the mother pays all of, unless said otherwise."""
    return {
        "operation": asked.operation,
        "request_id": asked.name,
        "outcome": "settled",
        "reason": None,
        "own_account_fen": 0,
        "wallet_fen": 0,
        "mutual_aid_fen": 300,
        "cash_fen": 0,
        "amount_fen": 300,
        "payer_id": "MOTHER",
        "own_balance_fen": 0,
        "decided_at": at(asked.sent_s + 0.5),
        "replayed": False,
        **said,
    }


def heard(asked: Asked, sent_s: float, came_s: float, **said: Any) -> None:
    asked.heard.append(Heard(sent_s, came_s, answer(asked, **said)))


def ask(history: History, name: str, operation: str, sent_s: float, **body: Any) -> Asked:
    sender = "A1" if operation in ("credit", "transfer") else "H1"
    asked = Asked(operation, {"request_id": name, "institution_id": sender, **body}, sent_s)
    history.asked[name] = asked
    return asked


def bill(history: History, name: str, operation: str, sent_s: float, of_fen: int = 300, **said: Any) -> Asked:
    """A child's bill, and its answer a second later."""
    asked = ask(history, name, operation, sent_s, **of_child(of_fen))
    heard(asked, sent_s, sent_s + 1, **said)
    return asked


def of_child(amount_fen: int) -> dict[str, Any]:
    credential = {"type": "01", "person_id": "CHILD"}
    return {"person_id": "CHILD", "amount_fen": amount_fen, "expense_type": "outpatient", "credential": credential}


def family(told: History) -> None:
    """A mother and a father who pay for a child, a mother who gives to a son."""
    for who, insurance in (("MOTHER", "employee"), ("FATHER", "employee"), ("SON", "employee"), ("CHILD", "resident")):
        told.facts["insurance", who] = [Change(insurance, -10.0, -9.0)]
        told.facts["status", who] = [Change("active", -10.0, -9.0)]
    told.facts |= {
        ("binding", "MOTHER", "CHILD"): [
            Change(Bound("MOTHER", "CHILD", "B1", 1, wallet=True, auto_accept=True), -8.0, -7.0)
        ],
        ("binding", "FATHER", "CHILD"): [
            Change(Bound("FATHER", "CHILD", "B2", 2), -8.0, -7.0),
            Change(None, 9.5, 10.0),
            Change(Bound("FATHER", "CHILD", "B3", 3), 20.0, 21.0),
        ],
        ("binding", "MOTHER", "SON"): [Change(Bound("MOTHER", "SON", "B4", 4, wallet=True), -8.0, -7.0)],
        ("accepted", "G2"): [Change(value=True, from_s=9.6, until_s=9.8)],
    }
    told.unbound.append(Period("FATHER", "CHILD", 10.0, 20.0))


def credited(told: History, name: str, sent_s: float, holder: str, fen: int, *, after: tuple[int, int]) -> None:
    """Paid in, of earlier years' money where there is such money after it."""
    fund = "prior_years" if after[1] else "current_year"
    asked = ask(told, name, "credit", sent_s, person_id=holder, amount_fen=fen, fund=fund)
    heard(asked, sent_s, sent_s + 1, outcome="credited", current_year_fen=after[0], prior_years_fen=after[1])


def undoing(told: History, name: str, operation: str, sent_s: float, of: str, fen: int, **said: Any) -> None:
    """A refund or a cancel, of mutual aid unless said otherwise."""
    amount = {"amount_fen": fen} if operation == "refund" else {"effect": "reversed"}
    asked = ask(told, name, operation, sent_s, original_request_id=of, **({} if operation == "cancel" else amount))
    parts = {"amount_fen": fen, "mutual_aid_fen": fen, **({} if operation == "refund" else amount), **said}
    outcome = {"refund": "refunded", "cancel": "cancelled"}[operation]
    heard(asked, sent_s, sent_s + 1, **{"outcome": outcome, **parts})


def declined(told: History, name: str, operation: str, sent_s: float, reason: str, **body: Any) -> None:
    asked = ask(told, name, operation, sent_s, **body)
    cash = {"cash_fen": body["amount_fen"]} if operation == "settle" else {}
    nothing = {"mutual_aid_fen": 0, "payer_id": None, **cash}
    heard(asked, sent_s, sent_s + 1, outcome="declined", reason=reason, **nothing)


def paid_and_undone(told: History) -> None:
    """What those outside did to each other's money."""
    credited(told, "K", 0.0, "MOTHER", 1_000, after=(1_000, 0))
    credited(told, "K2", 0.0, "FATHER", 500, after=(0, 500))
    heard(bill(told, "S", "settle", 2.0), 3.0, 4.0, replayed=True)
    bill(told, "U", "settle", 2.0)
    undoing(told, "C", "cancel", 5.0, "U", 300)
    heard(told.asked["U"], 7.0, 8.0, outcome="rejected", reason="request_cancelled")
    undoing(told, "R", "refund", 5.0, "S", 50)
    undoing(told, "RC", "cancel", 6.0, "R", 50)
    credited(told, "M", 5.0, "MOTHER", 9, after=(459, 0))
    undoing(told, "MC", "cancel", 6.0, "M", 9, own_account_fen=9, mutual_aid_fen=0, payer_id=None)
    declined(told, "D", "settle", 7.0, "richest_payer_insufficient", **of_child(5_000))
    undoing(told, "X", "refund", 8.0, "S", 300)
    # It found all of it still there, and is named behind what took it away.
    declined(told, "Y", "refund", 8.0, "refund_exceeds_remaining", original_request_id="S", amount_fen=400)
    for name, receiver in (("G1", "CHILD"), ("G2", "SON"), ("G3", "SON"), ("G4", "SON")):
        gift = ask(told, name, "transfer", 8.1, from_person_id="MOTHER", to_person_id=receiver, amount_fen=10)
        heard(gift, 8.1, 9.0, outcome="transferred" if name == "G1" else "pending", transfer_id=name)
    undoing(told, "G3C", "cancel", 9.0, "G3", 10, own_account_fen=10, mutual_aid_fen=0, payer_id=None)


def asked_meanwhile(told: History) -> None:
    """What those were told who only asked."""
    lookup = ask(told, "L", "lookup", 4.5, original_request_id="S")
    heard(lookup, 4.5, 4.8, outcome="found", original=told.asked["S"].heard[0].answer, cancelled=False)
    lookup = ask(told, "LU", "lookup", 7.0, original_request_id="U")
    heard(lookup, 7.0, 8.0, outcome="found", original=told.asked["U"].heard[0].answer, cancelled=True)
    ours, theirs = totals(2, 600, 600, 0), totals(0, 0, 0, 0)
    day = ask(told, "DAY", "reconcile", 4.0, date="1970-01-01", **theirs)
    heard(day, 4.0, 4.5, outcome="differs", ours=ours, theirs=theirs)
    bill(told, "Q", "quote", 12.0, 100, wallet_fen=10, mutual_aid_fen=90, amount_fen=100)


def totals(count: int, account_fen: int, mutual_aid_fen: int, refunded_fen: int) -> dict[str, int]:
    return {
        "count": count,
        "account_fen": account_fen,
        "mutual_aid_fen": mutual_aid_fen,
        "refunded_fen": refunded_fen,
    }


# What was decided together is in one row; of what moved nothing the chain tells only that it is behind it.
ORDER = (
    "K K2",
    "S",
    "U",
    "R M",
    "C",
    "RC MC",
    "D",
    "X Y",
    "G1 G2 G3 G4",
    "arrived:G1",
    "returned:G3 G3C",
    "arrived:G2",
)


def in_order(told: History, rows: Sequence[str]) -> None:
    told.order[:] = []
    for number, row in enumerate(rows):
        for one in row.split():
            what, _, name = one.rpartition(":")
            told.order.append(Placed(name, what or "decided", at(12.0) if one == "arrived:G2" else f"row {number}"))
    # Only of a gift the time is read that the chain gives it.
    told.order[:] = [
        each._replace(at=at(9.5)) if each.name == "G1" and each.what == "arrived" else each for each in told.order
    ]


@pytest.fixture
def history() -> History:
    """Credits, a bill settled and told twice, another one cancelled, a refund and a credit taken again, gifts; all as it should be."""
    told = History(wall_ahead_s=0.0)
    family(told)
    paid_and_undone(told)
    asked_meanwhile(told)
    told.accepted.add("G2")
    told.transfers |= {"G1": "accepted", "G2": "accepted", "G3": "returned", "G4": "pending"}
    for asked in told.asked.values():
        if asked.operation not in INQUIRIES:
            told.looked_up[asked.name] = {
                "outcome": "found",
                "original": asked.heard[0].answer,
                "cancelled": asked.name in ("U", "R", "M", "G3"),
                "refunded_fen": 300 if asked.name in ("S", "U") else 0,
            }
    in_order(told, ORDER)
    told.reconciled["1970-01-01"] = {"outcome": "balanced"}
    told.balances |= {"MOTHER": (970, 0), "FATHER": (500, 0), "CHILD": (0, 10), "SON": (0, 10)}
    told.asked["S"].confirmed, told.asked_again_s = True, 25.0
    return told


def test_a_history_in_which_everything_holds_is_silent(history: History) -> None:
    assert violations(history) == []


def settled_as(history: History, **said: Any) -> None:
    """The bill was settled like this, from beginning to end."""
    bill = history.asked["S"]
    bill.heard[:] = [Heard(2.0, 3.0, answer(bill, **said))]
    history.looked_up["S"]["original"] = answer(bill, **said)


def paid_late(history: History) -> None:
    bill(history, "LATE", "settle", 11.0, payer_id="FATHER")


def lost(history: History) -> None:
    """Nobody answered before it was asked again."""
    bill = history.asked["S"]
    bill.confirmed, bill.heard[:] = True, [Heard(2.0, 30.0, bill.heard[0].answer)]


def asked_again(history: History, name: str, **said: Any) -> None:
    """What was asked meanwhile was answered like this."""
    history.asked[name].heard[0].answer.update(said)


def decline_everything(history: History) -> None:
    """A service that settles nothing, and takes no money for it."""
    for asked in history.decided("settle"):
        refused = answer(asked, outcome="declined", reason="payer_balance_zero", mutual_aid_fen=0, payer_id=None)
        asked.heard[:] = [Heard(asked.sent_s, asked.sent_s + 1, {**refused, "cash_fen": asked.body["amount_fen"]})]
        history.looked_up[asked.name]["original"] = asked.heard[0].answer


def cancelled_in_vain(history: History) -> None:
    """The money was not there any more, so the credit stands; and is said to be cancelled."""
    declined(history, "V", "cancel", 13.0, "balance_insufficient", original_request_id="K")
    history.looked_up["V"] = {"outcome": "found", "original": history.asked["V"].heard[0].answer, "cancelled": False}
    heard(history.asked["K"], 15.0, 16.0, outcome="rejected", reason="request_cancelled")


# What is untrue, and the check that is there to find it.
LIES: dict[str, tuple[str, Callable[[History], Any]]] = {
    "no answer": ("answered", lambda told: ask(told, "N", "quote", 1.0)),
    "acknowledged and forgotten": ("nothing_is_lost", lost),
    "another payer the second time": (
        "one_decision",
        lambda told: heard(told.asked["S"], 4.0, 5.0, payer_id="FATHER", replayed=True),
    ),
    "rejected under its own name": (
        "one_decision",
        lambda told: heard(told.asked["S"], 4.0, 5.0, outcome="rejected", reason="request_conflict"),
    ),
    "another answer looked up": (
        "as_looked_up",
        lambda told: told.looked_up["S"].update(original=answer(told.asked["S"], payer_id="FATHER")),
    ),
    "forgotten": (
        "as_looked_up",
        lambda told: told.looked_up["S"].update(outcome="not_found", original=None),
    ),
    "parts that are not the amount": ("adds_up", lambda told: settled_as(told, cash_fen=1)),
    "mutual aid of nobody": ("adds_up", lambda told: settled_as(told, payer_id=None)),
    "settled after the cancel": (
        "cancelled_for_good",
        lambda told: heard(told.asked["U"], 9.0, 10.0, replayed=True),
    ),
    "paid by somebody whose binding had ended": ("authorised", paid_late),
    "money lost": ("conserved", lambda told: told.balances.update(MOTHER=(400, 0))),
    "money kept that was to be taken again": ("conserved", lambda told: told.balances.update(MOTHER=(1020, 0))),
    "a gift that did not arrive": ("accepted_for_good", lambda told: told.transfers.update(G1="pending")),
    "a yes that was forgotten": ("accepted_for_good", lambda told: told.transfers.update(G2="pending")),
    "a gift that was cancelled and arrived": ("accepted_for_good", lambda told: told.transfers.update(G3="accepted")),
    "a gift that nobody knows": ("accepted_for_good", lambda told: told.transfers.pop("G4")),
    "another day in the ledger": (
        "reconciled",
        lambda told: told.reconciled.update({"1970-01-01": {"outcome": "differs", "ours": {}, "theirs": {}}}),
    ),
    "a cancel that nobody had sent yet": (
        "one_decision",
        lambda told: heard(told.asked["U"], 3.5, 4.5, outcome="rejected", reason="request_cancelled"),
    ),
    "a cancel that was declined, and its request gone all the same": ("one_decision", cancelled_in_vain),
    "a dead letter": ("nothing_put_aside", lambda told: setattr(told, "dead_letters", 1)),
    "a quote refused": (
        "answered_inquiries",
        lambda told: heard(told.asked["Q"], 12.0, 13.0, outcome="rejected", reason="malformed"),
    ),
    "not found though it had been answered": (
        "looked_up_in_time",
        lambda told: asked_again(told, "L", outcome="not_found", original=None),
    ),
    "found otherwise than it was answered": (
        "looked_up_in_time",
        lambda told: asked_again(told, "L", original=answer(told.asked["S"], payer_id="FATHER")),
    ),
    "cancelled before anybody cancelled it": ("looked_up_in_time", lambda told: asked_again(told, "L", cancelled=True)),
    "not cancelled though it had been": ("looked_up_in_time", lambda told: asked_again(told, "LU", cancelled=False)),
    "a day without what had been answered": (
        "reconciled_in_time",
        lambda told: asked_again(told, "DAY", ours=totals(1, 300, 300, 0)),
    ),
    "a day with what nobody had asked for yet": (
        "reconciled_in_time",
        lambda told: asked_again(told, "DAY", ours=totals(2, 600, 600, 50)),
    ),
    "a day that is balanced and is not": (
        "reconciled_in_time",
        lambda told: asked_again(told, "DAY", outcome="balanced"),
    ),
    "a bill declined that could be paid": (
        "explained",
        lambda told: settled_as(
            told, outcome="declined", reason="no_binding", mutual_aid_fen=0, payer_id=None, cash_fen=300
        ),
    ),
    "every bill declined": ("explained", decline_everything),
    "the second richest paid": ("explained", lambda told: settled_as(told, payer_id="FATHER")),
    "another reason": ("explained", lambda told: told.looked_up["D"]["original"].update(reason="payer_balance_zero")),
    "another balance": ("explained", lambda told: settled_as(told, own_balance_fen=7)),
    "a credit that came to another sum": (
        "explained",
        lambda told: told.looked_up["M"]["original"].update(current_year_fen=760),
    ),
    "more given back than was asked for": (
        "explained",
        lambda told: told.looked_up["R"]["original"].update(amount_fen=51, mutual_aid_fen=51),
    ),
    "a refund of what had been answered, and is not known": (
        "explained",
        lambda told: told.looked_up["Y"]["original"].update(reason="original_not_found"),
    ),
    "a payer whose account was frozen": (
        "explained",
        lambda told: told.facts.update({("frozen", "MOTHER"): [Change(value=True, from_s=1.0, until_s=1.5)]}),
    ),
    "a patient who was not insured": (
        "explained",
        lambda told: told.facts["status", "CHILD"].append(Change("suspended", 1.0, 1.5)),
    ),
    "more than a binding's limit": (
        "explained",
        lambda told: told.facts["binding", "MOTHER", "CHILD"].append(
            Change(Bound("MOTHER", "CHILD", "B5", 5, 299), 1.0, 1.5)
        ),
    ),
    "a gift to somebody who was not bound": (
        "explained",
        lambda told: told.facts["binding", "MOTHER", "SON"].append(Change(None, 1.0, 1.5)),
    ),
    "a gift that nobody had accepted": ("explained", lambda told: told.facts.pop(("accepted", "G2"))),
    "an order that time contradicts": (
        "explained",
        lambda told: in_order(told, ("K K2", "S", "U", "R M", "C", "RC MC", "X Y", ORDER[8], "D", *ORDER[9:])),
    ),
    "decided before it was sent": (
        "explained",
        lambda told: told.looked_up["D"]["original"].update(decided_at=at(6.5)),
    ),
    "a decision that is in no seal": ("explained", lambda told: in_order(told, (*ORDER[:6], *ORDER[7:]))),
    "a decision that is sealed twice": ("explained", lambda told: in_order(told, (*ORDER, "D"))),
    "looked up as not cancelled": ("explained", lambda told: told.looked_up["U"].update(cancelled=False)),
    "looked up with more that went back": ("explained", lambda told: told.looked_up["S"].update(refunded_fen=350)),
    "a quote without a gift that had arrived": (
        "explained",
        lambda told: asked_again(told, "Q", wallet_fen=0, mutual_aid_fen=100),
    ),
    "a quote that names who is not bound": ("explained", lambda told: asked_again(told, "Q", payer_id="FATHER")),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(history: History, lie: str) -> None:
    """By the check that is there for it."""
    check, tell = LIES[lie]

    tell(history)

    assert any(sentence.startswith(f"{check}:") for sentence in violations(history))


def test_who_was_bound_again_meanwhile_may_pay(history: History) -> None:
    """Only what was asked and answered within the time in which nobody can have bound them is a breach."""
    after = ask(history, "L2", "settle", 11.0, **of_child(300))
    heard(after, 11.0, 21.0, payer_id="FATHER")

    assert not [each for each in violations(history) if each.startswith("authorised")]


@pytest.mark.parametrize("payer_id", ["MOTHER", None])
def test_who_was_frozen_just_then_may_pay_or_not(history: History, payer_id: str | None) -> None:
    """A decision under whose eyes something was changed may have seen it or not."""
    history.facts["frozen", "MOTHER"] = [
        Change(value=True, from_s=12.2, until_s=12.8),
        Change(value=False, from_s=14.0, until_s=14.1),
    ]
    said = (
        {}
        if payer_id
        else {"outcome": "partial", "reason": "payer_account_frozen", "cash_fen": 90, "mutual_aid_fen": 0}
    )
    asked_again(history, "Q", payer_id=payer_id, **said)

    assert violations(history) == []


def test_a_refund_that_came_together_with_its_settlement_may_have_found_nothing(history: History) -> None:
    """It locked nothing then, and stands behind the settlement all the same."""
    declined(history, "Z", "refund", 2.0, "original_not_found", original_request_id="S", amount_fen=1)
    history.looked_up["Z"] = {
        "outcome": "found",
        "original": history.asked["Z"].heard[0].answer,
        "cancelled": False,
        "refunded_fen": 0,
    }
    in_order(history, (*ORDER[:2], "Z", *ORDER[2:]))

    assert violations(history) == []
