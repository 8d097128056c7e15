"""Transfers between relatives: what the worker tells of them, and the receiver's yes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.binding.model import Transfer, TransferState
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "transfers.sql")


async def find(connection: Any, province: int, row_id: UUID) -> Transfer | None:
    row = await connection.fetchrow(SQL["transfer"], province, row_id)
    return _transfer(row) if row else None


async def accept(connection: Any, transfer: Transfer, now: datetime, by: str) -> None:
    await connection.execute(SQL["accept"], transfer.province, transfer.row_id, now, by)


async def list_of(
    connection: Any, person_id: str, *, sides: tuple[str, ...], before: UUID, limit: int
) -> list[Transfer]:
    """A page of a person's transfers as `giver`, as `receiver` or as both, newest first."""
    found = [
        _transfer(row)
        for side in sides
        for row in await connection.fetch(SQL[f"list_by_{side}"], person_id, before, limit)
    ]
    return sorted(found, key=lambda each: each.row_id, reverse=True)[:limit]


def _transfer(row: Any) -> Transfer:
    # A transfer that was cancelled has gone back, whatever had been said.
    went_back = row["state"] in ("returned", "cancelled")
    said_yes = not went_back and (row["accepted_at"] is not None or row["state"] in ("accepted", "arrived"))
    return Transfer(
        province=row["province"],
        row_id=row["transfer_id"],
        from_person_id=row["from_person_id"],
        to_province=row["to_province"],
        to_person_id=row["to_person_id"],
        amount_fen=row["amount_fen"],
        state=TransferState.RETURNED if went_back else TransferState.ACCEPTED if said_yes else TransferState.PENDING,
        made_at=row["made_at"],
        accept_by=row["accept_by"],
        accepted_at=(row["accepted_at"] or row["made_at"]) if said_yes else None,
        returned_at=row["closed_at"] if went_back else None,
    )
