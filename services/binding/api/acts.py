"""Acts: who looked at a person's affairs, or did something about them."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.binding.api.door import Asker, Desk, Limit, PersonPath, allow, page
from services.binding.resources import ActOut, Page
from shared.domain.roles import Role

router = APIRouter()
# An act's number, as the database counts; none is greater.
CURSOR_PATTERN = r"^[0-9]{1,18}$"
GREATEST_NUMBER = 2**63 - 1


@router.get("/persons/{person_id}/acts", tags=["persons"])
async def list_acts(
    person_id: PersonPath,
    caller: Asker,
    desk: Desk,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(pattern=CURSOR_PATTERN)] = None,
) -> Page[ActOut]:
    """When a clerk or an operator looked at a person's affairs or did something about them, newest first.

    For the person, and for a clerk who asks on their behalf, which is itself an act. Members acting for themselves and what
    the enrolment feed says are not among them.
    """
    allow(caller, Role.CLERK, person_id=person_id)
    before = int(cursor) if cursor else GREATEST_NUMBER
    found = await desk.acts_about(caller, person_id, before=before, limit=limit + 1)
    return page(ActOut, found, limit, lambda each: str(each.act_id))
