"""The checker of the nemesis finds what it is there to find: each lie of a service, told in a small history."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.nemesis.checker import violations
from tests.nemesis.history import Asked, Heard, History, Period


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
        "replayed": False,
        **said,
    }


def heard(asked: Asked, sent_s: float, came_s: float, **said: Any) -> None:
    asked.heard.append(Heard(sent_s, came_s, answer(asked, **said)))


def ask(history: History, name: str, operation: str, sent_s: float, **body: Any) -> Asked:
    asked = Asked(operation, {"request_id": name, **body}, sent_s)
    history.asked[name] = asked
    return asked


def taken_again(told: History, name: str, operation: str, **said: Any) -> None:
    """Something that gave money, and its cancel."""
    fields = {"original_request_id", "person_id", "amount_fen"}
    asked = ask(told, name, operation, 5.0, **{key: value for key, value in said.items() if key in fields})
    parts = {key: value for key, value in said.items() if key not in fields}
    heard(asked, 5.0, 6.0, outcome=f"{operation}ed", **{"mutual_aid_fen": 0, **parts})
    cancel = ask(told, f"{name}C", "cancel", 6.0, original_request_id=name)
    heard(cancel, 6.0, 7.0, outcome="cancelled", effect="reversed", **{"mutual_aid_fen": 0, **parts})


@pytest.fixture
def history() -> History:
    """A credit, a bill settled and told twice, another one cancelled, a refund and a credit taken again, gifts; all as it should be."""
    told = History()
    paid_in = ask(told, "K", "credit", 0.0, person_id="MOTHER", amount_fen=1_000)
    heard(paid_in, 0.0, 1.0, outcome="credited")
    bill = ask(told, "S", "settle", 2.0, person_id="CHILD", amount_fen=300)
    heard(bill, 2.0, 3.0)
    heard(bill, 3.0, 4.0, replayed=True)
    undone = ask(told, "U", "settle", 2.0, person_id="CHILD", amount_fen=300)
    heard(undone, 2.0, 3.0)
    cancel = ask(told, "C", "cancel", 5.0, original_request_id="U")
    heard(cancel, 5.0, 6.0, outcome="cancelled", effect="reversed")
    heard(undone, 7.0, 8.0, outcome="rejected", reason="request_cancelled")
    taken_again(told, "R", "refund", original_request_id="S", mutual_aid_fen=50)
    taken_again(told, "M", "credit", person_id="MOTHER", amount_fen=9, own_account_fen=9, payer_id=None)
    for name, outcome in (("G1", "transferred"), ("G2", "pending"), ("G3", "pending"), ("G4", "pending")):
        gift = ask(told, name, "transfer", 8.0, from_person_id="MOTHER", to_person_id="CHILD", amount_fen=10)
        heard(gift, 8.0, 9.0, outcome=outcome, transfer_id=name)
    heard(ask(told, "G3C", "cancel", 9.0, original_request_id="G3"), 9.0, 10.0, outcome="cancelled", effect="reversed")
    told.accepted.add("G2")
    told.transfers |= {"G1": "accepted", "G2": "accepted", "G3": "returned", "G4": "pending"}
    for asked in told.asked.values():
        told.looked_up[asked.name] = {
            "outcome": "found",
            "original": asked.heard[0].answer,
            "cancelled": asked.name in ("U", "R", "M", "G3"),
        }
    told.reconciled["2026-11-28"] = {"outcome": "balanced"}
    told.balances |= {"MOTHER": (670, 0), "CHILD": (0, 20)}
    told.unbound.append(Period("MOTHER", "CHILD", 10.0, 20.0))
    bill.confirmed, told.asked_again_s = True, 25.0
    return told


def test_a_history_in_which_everything_holds_is_silent(history: History) -> None:
    assert violations(history) == []


def settled_as(history: History, **said: Any) -> None:
    """The bill was settled like this, from beginning to end."""
    bill = history.asked["S"]
    bill.heard[:] = [Heard(2.0, 3.0, answer(bill, **said))]
    history.looked_up["S"]["original"] = answer(bill, **said)


def paid_late(history: History) -> None:
    heard(ask(history, "L", "settle", 11.0, person_id="CHILD", amount_fen=300), 11.0, 12.0)


def lost(history: History) -> None:
    """Nobody answered before it was asked again."""
    bill = history.asked["S"]
    bill.confirmed, bill.heard[:] = True, [Heard(2.0, 30.0, bill.heard[0].answer)]


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
    "money kept that was to be taken again": ("conserved", lambda told: told.balances.update(MOTHER=(720, 0))),
    "a gift that did not arrive": ("accepted_for_good", lambda told: told.transfers.update(G1="pending")),
    "a yes that was forgotten": ("accepted_for_good", lambda told: told.transfers.update(G2="pending")),
    "a gift that was cancelled and arrived": ("accepted_for_good", lambda told: told.transfers.update(G3="accepted")),
    "a gift that nobody knows": ("accepted_for_good", lambda told: told.transfers.pop("G4")),
    "another day in the ledger": (
        "reconciled",
        lambda told: told.reconciled.update({"2026-11-28": {"outcome": "differs", "ours": {}, "theirs": {}}}),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_is_found(history: History, lie: str) -> None:
    """By the check that is there for it."""
    check, tell = LIES[lie]

    tell(history)

    assert any(sentence.startswith(f"{check}:") for sentence in violations(history))


def test_who_was_bound_again_meanwhile_may_pay(history: History) -> None:
    """Only what was asked and answered within the time in which nobody can have bound them is a breach."""
    after = ask(history, "L", "settle", 11.0, person_id="CHILD", amount_fen=300)
    heard(after, 11.0, 21.0)

    assert violations(history) == []
