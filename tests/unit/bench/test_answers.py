"""Every request has exactly one distinct decision, or the bench says what is wrong."""

from typing import Any

from bench.answers import differences


def answer(request_id: str, **more: Any) -> dict[str, Any]:
    return {"request_id": request_id, "outcome": "settled", "own_account_fen": 5, "replayed": False, **more}


def test_one_answer_each_is_as_it_must_be() -> None:
    assert not differences({"a", "b"}, [answer("a"), answer("b")])


def test_an_answer_may_come_again() -> None:
    assert not differences({"a"}, [answer("a"), answer("a", replayed=True)])


def test_an_answer_must_not_come_again_with_another_decision() -> None:
    assert differences({"a"}, [answer("a"), answer("a", own_account_fen=6)]) == ["1 answered in two ways, such as a"]


def test_a_missing_answer_is_told() -> None:
    assert differences({"a", "b"}, [answer("a")]) == ["1 not answered, such as b"]


def test_an_answer_to_somebody_else_is_told() -> None:
    assert differences({"a"}, [answer("a"), answer("b")]) == ["1 answered and never asked, such as b"]


def test_a_rejected_request_was_not_measured() -> None:
    assert differences({"a"}, [answer("a", outcome="rejected")]) == ["1 rejected, such as a"]
