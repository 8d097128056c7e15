"""What may have been so at a moment, as those know who made it so."""

import pytest

from tests.nemesis.history import Asked, Change, History

# Frozen by a call from 1 to 2 s, unfrozen by one from 5 to 6 s.
FROZEN = [Change(value=True, from_s=1.0, until_s=2.0), Change(value=False, from_s=5.0, until_s=6.0)]


@pytest.mark.parametrize(
    ("moment_s", "may_be"),
    [(0.5, [None]), (1.5, [None, True]), (3.0, [True]), (5.5, [True, False]), (7.0, [False])],
)
def test_a_change_is_so_from_its_answer_on_and_may_be_from_its_call_on(moment_s: float, may_be: list[object]) -> None:
    told = History(facts={("frozen", "MOTHER"): FROZEN})

    assert told.possible(moment_s, "frozen", "MOTHER") == may_be


def test_a_call_that_was_given_up_may_be_carried_out_at_any_time() -> None:
    """Also after another has said otherwise."""
    given_up = Change(value="suspended", from_s=1.0, until_s=2.0, lingers=True)
    told = History(facts={("status", "SON"): [given_up, Change(value="active", from_s=3.0, until_s=4.0)]})

    assert told.possible(9.0, "status", "SON") == ["active", "suspended"]


def test_what_answers_a_bulk_message_answers_everything_it_carried() -> None:
    told = History()
    bills = [told.ask("settle", {"request_id": name}) for name in ("S1", "S2")]
    message = told.ask("settle_bulk", {"request_id": "NIGHT", "settlements": [each.body for each in bills]})

    told.hear(message, 1.0, {"outcome": "answered", "answers": [{"request_id": name} for name in ("S1", "S2")]})

    assert [heard.answer["request_id"] for each in bills for heard in each.heard] == ["S1", "S2"]
    assert message.heard


def test_nothing_is_known_of_a_request_before_it_is_decided() -> None:
    """A refusal decides nothing."""
    told = History()
    asked = Asked("settle", {"request_id": "S"})
    told.hear(asked, 0.0, {"outcome": "rejected"})
    refused_s = asked.answered_s
    told.hear(asked, 0.0, {"outcome": "settled"})

    assert refused_s == float("inf")
    assert asked.answered_s < float("inf")
