"""Every request has exactly one distinct decision, or the bench says what is wrong."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest

from bench.answers import arrivals, as_decided, settlements_of
from bench.answers import differences as differences_from
from bench.load import BULK, SINGLE


def answer(request_id: str, **more: Any) -> dict[str, Any]:
    return {"request_id": request_id, "outcome": "settled", "own_account_fen": 5, "replayed": False, **more}


def differences(
    asked: Collection[str], answers: Iterable[dict[str, Any]], kept: Mapping[str, bytes] | None = None
) -> list[str]:
    """Held against a ledger that has decided each as it was answered first, if not said otherwise."""
    said = list(answers)
    as_answered = {each["request_id"]: as_decided(each) for each in reversed(said)}
    return differences_from(asked, said, as_answered if kept is None else kept)


def test_one_answer_each_is_as_it_must_be() -> None:
    assert not differences({"a", "b"}, [answer("a"), answer("b")])


def test_an_answer_may_come_again() -> None:
    assert not differences({"a"}, [answer("a"), answer("a", replayed=True)])


def test_an_answer_must_not_come_again_with_another_decision() -> None:
    assert differences({"a"}, [answer("a"), answer("a", own_account_fen=6)]) == [
        "1 answered in two ways, such as a",
        "1 not in the ledger as answered, such as a",
    ]


def test_a_missing_answer_is_told() -> None:
    assert differences({"a", "b"}, [answer("a")]) == ["1 not answered, such as b"]


def test_an_answer_to_somebody_else_is_told() -> None:
    assert differences({"a"}, [answer("a"), answer("b")]) == ["1 answered and never asked, such as b"]


@pytest.mark.parametrize("outcome", ["rejected", "declined", "partial"])
def test_what_is_not_settled_was_not_measured(outcome: str) -> None:
    assert differences({"a"}, [answer("a", outcome=outcome)]) == ["1 not settled, such as a"]


def test_an_echo_has_no_outcome_and_no_ledger() -> None:
    assert not differences_from({"a"}, [{"request_id": "a"}], None)


def test_an_echo_is_no_settlement() -> None:
    assert differences({"a"}, [{"request_id": "a"}]) == ["1 not settled, such as a"]


def test_an_answer_that_the_ledger_does_not_have_is_told() -> None:
    assert differences({"a"}, [answer("a")], {}) == ["1 not in the ledger as answered, such as a"]


def test_an_answer_that_says_something_else_than_the_ledger_is_told() -> None:
    kept = {"a": as_decided(answer("a", own_account_fen=6))}

    assert differences({"a"}, [answer("a")], kept) == ["1 not in the ledger as answered, such as a"]


def test_a_bulk_message_says_what_became_of_each_of_its_settlements() -> None:
    said = {"operation": "settle_bulk", "request_id": "bulk-a", "answers": [answer("a"), answer("b")]}

    assert settlements_of(said) == [answer("a"), answer("b")]
    assert settlements_of(answer("c")) == [answer("c")]


def test_a_bulk_message_that_was_rejected_is_not_taken_for_its_settlements() -> None:
    said = {"operation": "settle_bulk", "request_id": "bulk-a", "outcome": "rejected", "answers": None}

    assert differences({"a"}, settlements_of(said)) == [
        "1 not answered, such as a",
        "1 answered and never asked, such as bulk-a",
        "1 not settled, such as bulk-a",
    ]


def test_a_message_that_is_not_full_is_answered_as_well() -> None:
    assert (SINGLE.messages(1_200), BULK.messages(1_200)) == (1_200, 3)


def test_answers_are_told_in_the_order_in_which_they_were_asked_for() -> None:
    assert arrivals(["a", "b"], [(2.0, answer("b")), (3.0, answer("a"))]) == [3.0, 2.0]


def test_an_answer_that_comes_again_was_there_when_it_came_first() -> None:
    assert arrivals(["a"], [(2.0, answer("a")), (3.0, answer("a", replayed=True))]) == [2.0]
