"""Payments: what both sides may see of the money that moved, and no more."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.binding.api.door import Asker, Desk, Limit, PersonPath, allow, page
from services.binding.model import Payment, PaymentPlace, PaymentRole, PaymentsAsked
from services.binding.problems import FieldProblem, Problem
from services.binding.resources import Page, PaymentOut
from shared.domain.ids import GREATEST_ID, LEAST_ID, earliest_id, latest_id
from shared.domain.reasons import Reason
from shared.domain.roles import Role
from shared.domain.times import Day, shanghai_day

router = APIRouter()

# The place of the last payment of a page: 16 bytes of its movement, 2 of its line.
CURSOR_PATTERN = r"^[A-Za-z0-9_-]{24}$"


@router.get("/persons/{person_id}/payments", tags=["payments"])
async def list_payments(
    person_id: PersonPath,
    caller: Asker,
    desk: Desk,
    role: Annotated[PaymentRole | None, Query(description="Only payments in which the person was this.")] = None,
    from_date: Annotated[Day | None, Query(description="The first day, in Shanghai.")] = None,
    to_date: Annotated[Day | None, Query(description="The last day, in Shanghai; it is included.")] = None,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(pattern=CURSOR_PATTERN)] = None,
) -> Page[PaymentOut]:
    """What a person paid, had paid for them by relatives, and paid for relatives, newest first.

    Whoever pays for a relative sees the amount, the time and the kind of institution: neither which institution it was nor
    what was treated there. Gifts to a relative's wallet are no payments: see `GET /v1/transfers`.
    """
    allow(caller, Role.CLERK, person_id=person_id)
    if from_date and to_date and to_date < from_date:
        raise Problem(Reason.INVALID, fields=[FieldProblem(field="to_date", problem="must not be before from_date")])
    asked = PaymentsAsked(
        person_id,
        role,
        first_id=earliest_id(shanghai_day(from_date)[0]) if from_date else LEAST_ID,
        last_id=latest_id(shanghai_day(to_date)[1]) if to_date else GREATEST_ID,
        after=_place(cursor),
    )
    found = await desk.payments_of(caller, asked, limit=limit + 1)
    return page(PaymentOut, found, limit, _cursor)


def _cursor(last: Payment) -> str:
    return urlsafe_b64encode(last.row_id.bytes + last.line.to_bytes(2)).decode()


def _place(cursor: str | None) -> PaymentPlace:
    if cursor is None:
        return PaymentPlace(GREATEST_ID, 0)
    place = urlsafe_b64decode(cursor)
    return PaymentPlace(UUID(bytes=place[:16]), int.from_bytes(place[16:]))
