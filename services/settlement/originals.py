"""What refunds, cancels and lookups speak of: an earlier request, what it moved and what is left of it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from services.settlement import decisions, known, ledger, transfers
from services.settlement.incoming import Incoming, RequestName
from services.settlement.ledger import Hold
from services.settlement.model import Facts, Movement, MovementKind, Original, Returned
from services.settlement.undoing import paid
from shared.messages.envelope import Operation


async def read(connection: Any, batch: Sequence[Incoming], facts: Facts, hold: Hold) -> None:
    """Adds the originals that are stored. Ask before accounts are locked: it tells whose to lock.

    A transfer's row is taken as accounts are, so that nobody else closes it; with LOCK_FREE one that somebody else holds
    is noted as held.
    """
    names = {name for incoming in batch if (name := incoming.original) and name in facts.stored}
    if not names:
        return
    refunds = {name: await _refunded(connection, name, facts) for name in names if _is(name, facts, Operation.REFUND)}
    await _add(connection, names | {each for each in refunds.values() if each in facts.stored}, facts)
    for name, settlement in refunds.items():
        returned = await decisions.returned(connection, name)
        facts.originals[name] = replace(facts.originals[name], refunds=settlement, returned=returned)
    # In one order whoever asks, so that no two batches wait in a circle.
    for name in sorted(names) if hold is not Hold.READ else ():
        if _is(name, facts, Operation.TRANSFER) and (movement_id := facts.stored[name].movement_id):
            found = await transfers.lock(connection, name.province, movement_id, wait=hold is Hold.LOCK)
            if found is None:
                facts.held.add(name)
            else:
                facts.originals[name] = replace(facts.originals[name], transfer=found.transfer, arrived=found.arrived)


async def read_standing(connection: Any, facts: Facts) -> None:
    """Adds what is over and what is left of each settlement, both as of one moment.

    Ask once their people's accounts are locked: then nobody else cancels them or gives back of them.
    """
    if not facts.originals:
        return
    cancelled, left = await ledger.standing(
        connection,
        {each.name: each.movement.movement_id if each.movement else None for each in facts.originals.values()},
    )
    facts.cancelled.update(cancelled)
    for original in list(facts.originals.values()):
        if original.movement and original.movement.kind is MovementKind.SETTLEMENT:
            facts.originals[original.name] = replace(
                original,
                left=tuple(
                    Returned(each.person, left.get((original.name, each.person), each.parts))
                    for each in paid(original.movement)
                ),
            )


def _is(name: RequestName, facts: Facts, operation: Operation) -> bool:
    return facts.stored[name].operation == operation


async def _refunded(connection: Any, name: RequestName, facts: Facts) -> RequestName:
    """The settlement that a refund speaks of."""
    settlement = RequestName(
        name.province, name.institution_id, from_json(facts.stored[name].content)["original_request_id"]
    )
    if settlement not in facts.stored:
        await known.read_under(connection, settlement, facts)
    return settlement


async def _add(connection: Any, names: Iterable[RequestName], facts: Facts) -> None:
    named = sorted(names)
    moved = {name: movement_id for name in named if (movement_id := facts.stored[name].movement_id)}
    movements: dict[RequestName, Movement] = await ledger.movements(connection, moved)
    for name in named:
        facts.originals[name] = Original(name, facts.stored[name], movement=movements.get(name))
