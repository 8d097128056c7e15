"""The same name again: the stored answer, or a conflict. Contract: "Messages"."""

from dataclasses import replace
from typing import Any

import pytest

from services.settlement.model import Rejection, Replay
from services.settlement.rules import decide
from shared.domain.reasons import Reason
from tests.support.builders import credit, position, settle, stored

SAME = {
    "other time zone": {"occurred_at": "2026-11-22T01:30:00Z"},
    "zone far east": {"occurred_at": "2026-11-22T15:30:00+14:00"},
    "the day before, elsewhere": {"occurred_at": "2026-11-21T17:30:00-08:00"},
    "lower-case t and z": {"occurred_at": "2026-11-22t01:30:00z"},
    "zero fraction": {"occurred_at": "2026-11-22T09:30:00.000+08:00"},
    "defaults written out": {
        "use_own_account": True,
        "use_mutual_aid": True,
        "require_full": False,
    },
    "null bill_ref": {"bill_ref": None},
}

OTHER = {
    "amount": {"amount_fen": 10_001},
    "moment": {"occurred_at": "2026-11-22T09:30:01+08:00"},
    "fraction of a second": {"occurred_at": "2026-11-22T09:30:00.001+08:00"},
    "same clock, other zone": {"occurred_at": "2026-11-22T09:30:00+07:00"},
    "person": {"person_id": "somebody"},
    "credential": {"credential": {"type": "02", "person_id": "patient"}},
    "expense": {"expense_type": "pharmacy"},
    "care region": {"care_region": "120100"},
    "insured region": {"insured_region": "130200"},
    "use_own_account": {"use_own_account": False},
    "use_mutual_aid": {"use_mutual_aid": False},
    "require_full": {"require_full": True},
    "bill_ref": {"bill_ref": "B-1"},
    "empty bill_ref": {"bill_ref": ""},
}


@pytest.mark.parametrize("spelling", SAME.values(), ids=SAME)
def test_same_content_in_other_spelling_is_a_replay(spelling: dict[str, Any]) -> None:
    """Equal as values with defaults filled in: the stored decision, nothing decided anew."""
    known = stored(settle())

    verdict = decide(settle(**spelling), position(current=50_000, stored=known))

    assert verdict == Replay(known)


@pytest.mark.parametrize("spelling", SAME.values(), ids=SAME)
def test_stored_content_in_other_spelling_is_a_replay(spelling: dict[str, Any]) -> None:
    """It does not matter which of two spellings came first."""
    known = stored(settle(**spelling))

    assert decide(settle(), position(stored=known)) == Replay(known)


@pytest.mark.parametrize("content", OTHER.values(), ids=OTHER)
def test_same_name_with_other_content_is_a_conflict(content: dict[str, Any]) -> None:
    """A single differing value makes it another request under a used name."""
    verdict = decide(settle(**content), position(current=50_000, stored=stored(settle())))

    assert verdict == Rejection(Reason("request_conflict"))


@pytest.mark.parametrize("content", OTHER.values(), ids=OTHER)
def test_other_content_again_is_a_replay_of_it(content: dict[str, Any]) -> None:
    """The good neighbour: the very same differing content is a replay."""
    known = stored(settle(**content))

    assert decide(settle(**content), position(stored=known)) == Replay(known)


def test_equal_content_of_another_operation_is_a_conflict() -> None:
    """Two operations may have the same fields; the name still belongs to the first."""
    known = replace(stored(settle()), operation="refund")

    assert decide(settle(), position(current=50_000, stored=known)) == Rejection(Reason("request_conflict"))


def test_same_name_with_another_operation_is_a_conflict() -> None:
    """A name is used up whatever its operation."""
    as_credit = decide(credit(), position(kind="agency", stored=stored(settle(institution_id="agency-1"))))
    as_settle = decide(settle(), position(stored=stored(credit(institution_id="hospital-1"))))

    assert (as_credit, as_settle) == (
        Rejection(Reason("request_conflict")),
        Rejection(Reason("request_conflict")),
    )


@pytest.mark.parametrize(
    "where",
    [
        pytest.param({"registered": False}, id="institution unknown by now"),
        pytest.param({"suspended": True}, id="institution suspended by now"),
        pytest.param({"kind": "agency"}, id="institution of another kind by now"),
        pytest.param({"known": False}, id="person unknown by now"),
        pytest.param({"status": "ended"}, id="enrolment ended by now"),
        pytest.param({"current": 0}, id="money spent by now"),
    ],
)
def test_replay_comes_before_every_later_check(where: dict[str, Any]) -> None:
    """What was decided stays answered, whatever has happened since."""
    known = stored(settle())

    assert decide(settle(), position(stored=known, **where)) == Replay(known)


def test_replay_comes_before_the_patients_refusals() -> None:
    """A decline is repeated too, not decided anew."""
    request = settle(expense_type="fitness")
    known = stored(request)

    assert decide(request, position(stored=known)) == Replay(known)
