"""What ends a binding by itself, and on which days bindings meet. Contract: a payer who leaves employee insurance."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from services.binding.model import Binding, Person
from services.binding.rules import why_beneficiary_stops, why_payer_stops
from shared.domain.enrolment import EnrolmentStatus, Insurance
from shared.domain.regions import province_of
from shared.domain.relations import Relation

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)


def person(region_code: str = "130100", insurance: str = "employee", status: str = "active") -> Person:
    return Person(
        province=province_of(region_code),
        person_id="P1",
        region_code=region_code,
        insurance=Insurance(insurance),
        status=EnrolmentStatus(status),
        account_frozen=False,
        name_sealed=b"",
        id_number_sealed=b"",
    )


def binding(valid_from: int, valid_until: int | None) -> Binding:
    """A binding from one day of November 2026 up to and not including another."""
    return Binding(
        province=13,
        row_id=UUID(int=1),
        payer_id="P1",
        beneficiary_province=13,
        beneficiary_id="P2",
        relation=Relation.SON,
        valid_from=date(2026, 11, valid_from),
        valid_until=date(2026, 11, valid_until) if valid_until else None,
        annual_limit_fen=None,
        wallet=False,
        auto_accept=False,
        bound_at=NOW,
        ended_at=None,
        end_cause=None,
    )


@pytest.mark.parametrize(
    ("said", "as_payer", "as_beneficiary"),
    [
        ({}, None, None),
        ({"status": "suspended"}, None, None),
        ({"status": "ended"}, "payer_left_employee_insurance", None),
        ({"insurance": "resident"}, "payer_left_employee_insurance", None),
        ({"insurance": "resident", "status": "suspended"}, "payer_left_employee_insurance", None),
        ({"region_code": "130199"}, None, None),
        ({"region_code": "130200"}, "payer_moved", None),
        ({"region_code": "330100"}, "payer_moved", "beneficiary_moved"),
        ({"region_code": "330100", "status": "ended"}, "payer_left_employee_insurance", "beneficiary_moved"),
        ({"region_code": "330100", "status": "suspended"}, "payer_moved", "beneficiary_moved"),
    ],
)
def test_what_the_feed_says_ends_the_one_side_or_the_other(
    said: dict[str, Any], as_payer: str | None, as_beneficiary: str | None
) -> None:
    """Leaving comes before moving; a suspension is temporary."""
    before, after = person(), person(**said)

    assert why_payer_stops(before, after) == as_payer
    assert why_beneficiary_stops(before, after) == as_beneficiary


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ((10, None), (1, None), True),
        ((10, 12), (12, None), False),
        ((10, 12), (11, 20), True),
        ((10, 12), (1, 10), False),
        ((10, 12), (1, 11), True),
        ((10, 10), (1, None), False),
        ((10, None), (12, 12), False),
    ],
)
def test_bindings_meet_where_both_have_a_day(
    one: tuple[int, int | None], other: tuple[int, int | None], meet: bool
) -> None:
    """One that is in force on no day meets none."""
    period = binding(*other)

    assert binding(*one).overlaps(period.valid_from, period.valid_until) is meet


@pytest.mark.parametrize(
    ("before", "end_on", "valid_until"),
    [((1, None), 22, 22), ((1, 30), 22, 22), ((25, None), 22, 25), ((22, None), 22, 22)],
)
def test_an_end_lies_on_its_day_or_on_the_first(before: tuple[int, int | None], end_on: int, valid_until: int) -> None:
    """A binding that has not begun is in force on no day."""
    ended = binding(*before).ended(date(2026, 11, end_on), NOW, "payer_moved")

    assert (ended.valid_until, ended.ended_at, ended.end_cause) == (date(2026, 11, valid_until), NOW, "payer_moved")


@pytest.mark.parametrize(
    ("period", "over"), [((1, None), False), ((1, 30), False), ((1, 22), True), ((1, 21), True), ((25, 25), True)]
)
def test_a_binding_that_is_over_by_a_day_needs_no_end(period: tuple[int, int | None], over: bool) -> None:
    """Its own end is no later."""
    assert binding(*period).is_over_by(date(2026, 11, 22)) is over
