"""What PostgreSQL has counted in a database: circles that it had to break, and what became of updated rows."""

import asyncio
from dataclasses import dataclass

from bench.report import Measures
from bench.sessions import session
from shared.postgres.queries import load_queries

SQL = load_queries("bench", "counters.sql")

GONE_WITHIN_S, LOOK_EVERY_S = 30.0, 0.05


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the database was made; rows are those of the accounts, which every settlement updates.

    `hot_updates` touched no index; of `dead` rows nobody has made room yet, by PostgreSQL's own estimate.
    """

    deadlocks: int
    updates: int
    hot_updates: int
    autovacuums: int
    live: int
    dead: int


async def read(url: str) -> Counters:
    """How they stand once everybody else's session has ended: it adds up what a session has to tell then, if not before.

    Raises TimeoutError.
    """
    async with session(url) as connection:
        async with asyncio.timeout(GONE_WITHIN_S):
            while await connection.fetchval(SQL["sessions"]):  # noqa: ASYNC110 - the server sets no event
                await asyncio.sleep(LOOK_EVERY_S)
        return Counters(*await connection.fetchrow(SQL["counters"]))


def rows(before: Counters, after: Counters) -> Measures:
    """Which part of the updates touched no index, how often autovacuum came, and how many dead rows lie about for a live one.

    Nothing where nothing was updated.
    """
    updates = after.updates - before.updates
    if not updates:
        return {}
    return {
        "hot_part": round((after.hot_updates - before.hot_updates) / updates, 4),
        "autovacuums": after.autovacuums - before.autovacuums,
        "dead_part": round(after.dead / after.live, 4) if after.live else 0.0,
    }
