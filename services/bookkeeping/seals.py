"""The chain: sealing what transactions have written."""

from datetime import datetime
from enum import IntEnum
from typing import Any

from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "seals.sql")
# Transactions in one seal, and what they may name together: an event for each is published at once. One page alone names
# at most a thousand, of a year that turns.
PAGES_MAX = 200
IDS_MAX = 2_000
# What is done for all provinces together is done under this one.
EVERY_PROVINCE = 0


class Work(IntEnum):
    """What one session does for a province at a time: the first keys of advisory locks."""

    SEALING = 0x736C  # "sl"
    TELLING = 0x746C  # "tl"


async def unsealed(connection: Any) -> dict[int, int]:
    """How many pages wait in each province."""
    return {row["province"]: row["pages"] for row in await connection.fetch(SQL["unsealed"])}


async def take(connection: Any, work: Work, province: int) -> bool:
    """Whether this transaction alone does this work for a province; another one may be at it."""
    taken: bool = await connection.fetchval(SQL["lock"], work, province)
    return taken


async def seal(connection: Any, province: int, now: datetime) -> int:
    """Seals some pages of a province. Returns how many decisions and unasked movements they named."""
    row = await connection.fetchrow(SQL["seal"], province, PAGES_MAX, now, IDS_MAX)
    return row["sealed"] if row else 0
