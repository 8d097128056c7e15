"""The months for which the books have partitions."""

from datetime import date
from typing import Any

from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "months.sql")


async def last(connection: Any) -> date | None:
    """The last month that has been prepared, by its first day."""
    month: date | None = await connection.fetchval(SQL["last"])
    return month


async def prepare(connection: Any, first: date) -> date:
    """Prepares the month after the last one, or `first` if there is none. Returns it."""
    month: date = await connection.fetchval(SQL["prepare"], first)
    return month
