"""Balances and what bindings have used, read only, through the ledger's views."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.binding.model import Binding
from shared.domain.accounts import Account
from shared.domain.ids import PersonKey, earliest_id
from shared.domain.times import shanghai_year, year_start
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "ledger.sql")


async def accounts(connection: Any, people: Iterable[PersonKey], now: datetime) -> dict[PersonKey, Account]:
    """The accounts of these people as of now; empty ones for those who have none."""
    keys = sorted(set(people))
    rows = await connection.fetch(SQL["accounts"], [k.province for k in keys], [k.person_id for k in keys])
    return {
        PersonKey(row["province"], row["person_id"]): Account(
            row["current_year_fen"], row["prior_years_fen"], row["wallet_fen"]
        ).as_of(shanghai_year(now), row["balances_year"])
        for row in rows
    }


async def used_this_year(connection: Any, bindings: Sequence[Binding], now: datetime) -> dict[UUID, int]:
    """What each of these bindings has used, in fen, in the Shanghai calendar year of `now`."""
    rows = await connection.fetch(
        SQL["used_since"],
        [binding.province for binding in bindings],
        [binding.payer_id for binding in bindings],
        [binding.row_id for binding in bindings],
        earliest_id(year_start(shanghai_year(now))),
    )
    return {row["binding_id"]: row["used_fen"] for row in rows}
