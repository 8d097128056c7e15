"""Closing days for clearing."""

from datetime import date, datetime
from typing import Any

from services.bookkeeping.model import Book
from shared.domain.ids import ids_of_day
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "clearing.sql")


async def books(connection: Any) -> list[Book]:
    """Every province with something sealed, and how far its days are closed."""
    return [Book(**row) for row in await connection.fetch(SQL["provinces"])]


async def close(connection: Any, province: int, day: date, now: datetime) -> int | None:
    """Closes a Shanghai day of a province. Returns how many lines it has; None where it was closed already."""
    row = await connection.fetchrow(SQL["close"], province, day, *ids_of_day(day), now)
    return row["lines"] if row["closed"] else None
