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


@pytest.fixture
def history() -> History:
    """A credit, a bill settled and told twice, another one cancelled, and everything as it should be."""
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
    for asked in told.asked.values():
        told.looked_up[asked.name] = {
            "outcome": "found",
            "original": asked.heard[0].answer,
            "cancelled": asked.name == "U",
        }
    told.balances["MOTHER"] = (700, 0)
    told.unbound.append(Period("MOTHER", "CHILD", 10.0, 20.0))
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


# What is untrue, and the check that is there to find it.
LIES: dict[str, tuple[str, Callable[[History], Any]]] = {
    "no answer": ("answered", lambda told: ask(told, "N", "quote", 1.0)),
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
    history.balances["MOTHER"] = (700, 0)

    assert violations(history) == []
