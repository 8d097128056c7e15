"""Kinship links: who may show whose code. They move no money."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.binding.api.door import (
    Asker,
    Content,
    Cursor,
    Desk,
    IdempotencyKey,
    Limit,
    after,
    allow,
    concerns,
    either,
    granted,
    page,
    respond,
    shown,
)
from services.binding.handler import Handler, recordable
from services.binding.model import Action, Binding, Caller, Refused
from services.binding.phrases import IS_A_BINDING, LINK_TO_ONESELF
from services.binding.problems import FieldProblem, Problem
from services.binding.resources import KinshipLinkIn, KinshipLinkOut, Page
from services.binding.transactions import Change
from shared.domain.ids import PERSON_ID_PATTERN
from shared.domain.reasons import Reason
from shared.domain.roles import Role

router = APIRouter()


@router.post("/kinship-links", response_model=KinshipLinkOut, tags=["kinship links"], status_code=201)
async def link(
    asked: KinshipLinkIn, caller: Asker, desk: Desk, content: Content, idempotency_key: IdempotencyKey = None
) -> Response:
    """Lets the holder show somebody's code on a phone. It moves no money: to pay for a relative, make a binding."""
    allow(caller, Role.CLERK, person_id=asked.holder_id)
    if asked.holder_id == asked.shown_id:
        other = FieldProblem(field="shown_id", problem="must be somebody else than holder_id")
        raise Problem(Reason.INVALID, fields=[other], details=[LINK_TO_ONESELF])

    async def work(change: Change) -> KinshipLinkOut | Refused:
        return shown(KinshipLinkOut, await desk.link(change, caller, asked))

    return respond(await desk.once(caller, idempotency_key, content, 201, work))


@router.get("/kinship-links", tags=["kinship links"])
async def list_links(
    caller: Asker,
    desk: Desk,
    holder_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    shown_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[KinshipLinkOut]:
    """The standing kinship links of a person, as the holder or as the one whose code is shown. They move no money."""
    person_id, side = either(holder_id=holder_id, shown_id=shown_id)
    allow(caller, Role.CLERK, person_id=person_id)
    found = await desk.links_of(caller, person_id, side=side, after=after(cursor), limit=limit + 1)
    return page(KinshipLinkOut, found, limit, lambda each: each.kinship_link_id)


@router.delete("/kinship-links/{kinship_link_id}", tags=["kinship links"], status_code=204)
async def unlink(kinship_link_id: Annotated[str, Path(max_length=64)], caller: Asker, desk: Desk) -> None:
    """Ends a kinship link."""
    allow(caller, Role.CLERK, Role.MEMBER)
    async with desk.change() as change:
        refused = await _unlink(kinship_link_id, caller, desk, change)
    granted(refused)


async def _unlink(kinship_link_id: str, caller: Caller, desk: Handler, change: Change) -> Refused | None:
    found = await desk.kinship_link(change, kinship_link_id)
    if isinstance(found, Refused):
        await change.act(caller, Action.UNLINK, thing_id=recordable(kinship_link_id))
        binding = await desk.binding(change, kinship_link_id)
        if isinstance(binding, Binding) and concerns(caller, binding.payer_id, binding.beneficiary_id):
            return replace(found, details=(IS_A_BINDING,))
        return found
    allow(caller, Role.CLERK, person_id=found.holder_id)
    await desk.unlink(change, caller, found)
    return None
