"""Closing days for clearing."""

from datetime import date, datetime, timedelta
from typing import Any

from services.bookkeeping.model import Book
from shared.domain.ids import earliest_id
from shared.domain.times import shanghai_moment
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "clearing.sql")


async def books(connection: Any) -> list[Book]:
    """Every province with something sealed, and how far its days are closed."""
    return [Book(**row) for row in await connection.fetch(SQL["provinces"])]


async def close(connection: Any, province: int, day: date, now: datetime) -> int | None:
    """Closes a Shanghai day of a province. Returns how many lines it has; None where it was closed already."""
    hours = earliest_id(shanghai_moment(day)), earliest_id(shanghai_moment(day + timedelta(days=1)))
    row = await connection.fetchrow(SQL["close"], province, day, *hours, now)
    return row["lines"] if row["closed"] else None
