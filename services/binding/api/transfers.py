"""Transfers: what relatives have given to each other's wallets, and the receiver's yes."""

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
    either,
    page,
    respond,
    shown,
)
from services.binding.model import Refused
from services.binding.resources import Page, TransferOut
from services.binding.transactions import Change
from shared.domain.ids import GREATEST_ID, PERSON_ID_PATTERN

router = APIRouter()
SIDES = {"from_person": "giver", "to_person": "receiver"}


@router.get("/transfers", tags=["wallet"])
async def list_transfers(
    caller: Asker,
    desk: Desk,
    from_person_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    to_person_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TransferOut]:
    """What a member has given (`from_person_id`), was given (`to_person_id`), or both if neither is named; newest first."""
    if from_person_id or to_person_id:
        person_id, side = either(from_person_id=from_person_id, to_person_id=to_person_id)
        sides: tuple[str, ...] = (SIDES[side],)
    else:
        person_id, sides = caller.person_id or "", tuple(SIDES.values())
    allow(caller, person_id=person_id)
    found = await desk.transfers_of(person_id, sides=sides, before=after(cursor, GREATEST_ID), limit=limit + 1)
    return page(TransferOut, found, limit, lambda each: each.transfer_id)


@router.post("/transfers/{transfer_id}/accept", response_model=TransferOut, tags=["wallet"])
async def accept_transfer(
    transfer_id: Annotated[str, Path(max_length=64)],
    caller: Asker,
    desk: Desk,
    content: Content,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The receiver says yes: from now on the money is in their wallet. Saying yes again changes nothing."""

    async def work(change: Change) -> TransferOut | Refused:
        transfer = await desk.transfer(change, transfer_id)
        if isinstance(transfer, Refused):
            # A stranger does not learn which ids exist.
            allow(caller, person_id=caller.person_id)
            return transfer
        allow(caller, person_id=transfer.to_person_id)
        return shown(TransferOut, await desk.accept(change, caller, transfer))

    return respond(await desk.once(caller, idempotency_key, content, 200, work))
