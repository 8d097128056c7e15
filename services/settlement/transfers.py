"""Transfers: what is on its way to a wallet, and what has come of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.settlement.model import Movement, MovementKind, Transfer, TransferState, Undo
from shared.domain.ids import PersonKey, earliest_id
from shared.domain.times import shanghai_date, shanghai_moment
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "transfers.sql")


class Locked(NamedTuple):
    """A transfer that nobody else can close; None where it has gone back already."""

    transfer: Transfer | None
    arrived: bool


ENDED = {MovementKind.ARRIVAL: TransferState.ARRIVED, MovementKind.RETURN: TransferState.RETURNED}


async def add(connection: Any, made: Sequence[Transfer]) -> None:
    """Writes transfers that a batch has made."""
    if not made:
        return
    rows = [
        (
            each.province,
            each.transfer_id,
            each.giver.person_id,
            each.receiver.province,
            each.receiver.person_id,
            each.binding_id,
            each.current_year_fen,
            each.prior_years_fen,
            TransferState.ACCEPTED if each.accepted else TransferState.PENDING,
            each.made_at,
            each.accept_by,
        )
        for each in made
    ]
    await connection.execute(SQL["add"], *[list(column) for column in zip(*rows, strict=True)])


async def close(connection: Any, closed: Sequence[tuple[Transfer, Movement]], now: datetime) -> None:
    """Writes the end of transfers whose rows this transaction holds."""
    if not closed:
        return
    ended = await connection.fetch(
        SQL["close"],
        [transfer.province for transfer, _ in closed],
        [transfer.transfer_id for transfer, _ in closed],
        [ENDED[movement.kind] for _, movement in closed],
        [movement.movement_id for _, movement in closed],
        now,
    )
    assert len(ended) == len(closed), "a transfer was ended twice"


async def take_back(connection: Any, undone: Sequence[Undo]) -> None:
    """Writes that transfers which had arrived were cancelled."""
    cancelled = [(undo.name.province, undo.of) for undo in undone if undo.kind is MovementKind.TRANSFER_REVERSAL]
    if cancelled:
        await connection.execute(SQL["take_back"], *[list(column) for column in zip(*cancelled, strict=True)])


async def made_today(connection: Any, givers: Iterable[PersonKey], now: datetime) -> dict[PersonKey, int]:
    """How many transfers each of these has made on the Shanghai day of `now`. Ask once their accounts are locked."""
    keys = sorted(set(givers))
    if not keys:
        return {}
    since = earliest_id(shanghai_moment(shanghai_date(now)))
    rows = await connection.fetch(SQL["made_since"], [k.province for k in keys], [k.person_id for k in keys], since)
    return {PersonKey(row["province"], row["person_id"]): row["transfers"] for row in rows}


async def arriving(connection: Any, receivers: Iterable[PersonKey]) -> list[Transfer]:
    """What is these people's by now and not yet in their wallets."""
    keys = sorted(set(receivers))
    rows = await connection.fetch(SQL["arriving"], [k.province for k in keys], [k.person_id for k in keys])
    return [_transfer(row) for row in rows]


async def take(connection: Any, wanted: Sequence[Transfer]) -> list[Transfer]:
    """Locks these transfers without waiting for any; those that somebody else is closing are left out."""
    rows = await connection.fetch(
        SQL["take"], [each.province for each in wanted], [each.transfer_id for each in wanted]
    )
    taken = {(row["province"], row["transfer_id"]) for row in rows}
    return [each for each in wanted if (each.province, each.transfer_id) in taken]


async def lock(connection: Any, province: int, transfer_id: UUID, *, wait: bool) -> Locked | None:
    """A transfer, locked; None where somebody else holds it and is not to be waited for."""
    row = await connection.fetchrow(SQL["lock" if wait else "lock_free"], province, transfer_id)
    if row is None:
        assert not wait, "a transfer was made and is not there"
        return None
    if row["state"] in (TransferState.RETURNED, TransferState.CANCELLED):
        return Locked(None, arrived=False)
    return Locked(_transfer(row), arrived=row["state"] == TransferState.ARRIVED)


async def due_provinces(connection: Any, now: datetime) -> list[int]:
    return [row["province"] for row in await connection.fetch(SQL["due_provinces"], now)]


async def due(connection: Any, province: int, now: datetime, limit: int) -> list[Transfer]:
    """Transfers of a province that are past their deadline, locked."""
    return [_transfer(row) for row in await connection.fetch(SQL["due"], province, now, limit)]


def _transfer(row: Any) -> Transfer:
    return Transfer(
        province=row["province"],
        transfer_id=row["transfer_id"],
        giver=PersonKey(row["province"], row["from_person_id"]),
        receiver=PersonKey(row["to_province"], row["to_person_id"]),
        binding_id=row["binding_id"],
        current_year_fen=row["current_year_fen"],
        prior_years_fen=row["prior_years_fen"],
        accepted=row["accepted"],
        made_at=row["made_at"],
        accept_by=row["accept_by"],
    )
