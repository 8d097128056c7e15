"""Connections to PostgreSQL, each limited to one role."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg

from shared.postgres.connection import Connection, abandon
from shared.postgres.primary import LATECOMER_S, Primary, Succeeded, each_host

# Durations are milliseconds, but for the network's. Each limit keeps one stuck party from holding up the rest: see docs/operations.md.
SESSION: dict[str, str] = {
    "lock_timeout": "2000",
    "statement_timeout": "15000",
    "idle_in_transaction_session_timeout": "15000",
    # Seconds. A session that waits for the rest of what it was being sent is not idle to PostgreSQL, and no limit but the network's ends it.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "jit": "off",
    "timezone": "UTC",
}
CONNECT_TIMEOUT_S = 5.0
# How long to wait for a connection of a pool: longer than making one takes where a host that is named is silent.
ACQUIRE_TIMEOUT_S = CONNECT_TIMEOUT_S + LATECOMER_S + 1.0
# Longer than any transaction takes whose statements keep to the session's limits.
LENT_S_MAX = 150.0
# Every statement finds its rows by a key. A plan that was made while a table was empty would read all of it, and stay.
PLAN_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def create_pool(
    url: str, *, role: str | None, name: str, size_max: int, plan_once: bool = False, lent_s_max: float = LENT_S_MAX
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool whose sessions act as `role` and call themselves `name`. Connects on first use, to the primary.

    Whoever has had a connection for `lent_s_max` seconds loses it.

    `plan_once` is for statements that are the same whatever is asked: planning them anew each time, which PostgreSQL
    prefers for short arrays, took a lone settlement longer than carrying them out.
    """
    primary = Primary()
    pool: asyncpg.Pool = asyncpg.create_pool(
        url,
        connect=primary.connect,
        min_size=0,
        max_size=size_max,
        timeout=CONNECT_TIMEOUT_S,
        connection_class=Connection,
        setup=partial(_lend, primary=primary, seconds=lent_s_max),
        reset=_take_back,
        server_settings=session(role, name) | (PLAN_ONCE if plan_once else {}),
        target_session_attrs="read-write",  # type: ignore[call-overload]  # the stubs do not know it yet
    )
    return await pool


@asynccontextmanager
async def lent(pool: Any, *, seconds: float | None = None) -> AsyncIterator[Any]:
    """A connection of the pool, for as long as the block lasts: at most for `seconds`, where given, else for what the pool lends.

    Raises TimeoutError where none is to be had.
    """
    async with pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
        if seconds is not None:
            connection.lend(seconds)
        try:
            yield connection
        except asyncio.CancelledError:
            abandon(connection)
            raise


async def connect(url: str, *, role: str | None, name: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection of its own, for a command that runs and ends: to the primary, or to the one host that is named."""
    return await Primary().connect(
        url,
        timeout=CONNECT_TIMEOUT_S,
        connection_class=Connection,
        server_settings=session(role, name),
        target_session_attrs="read-write" if len(each_host(url)) > 1 else "any",
    )


def session(role: str | None, name: str) -> dict[str, str]:
    return SESSION | {"application_name": name} | ({"role": role} if role else {})


async def _lend(connection: Any, primary: Primary, seconds: float) -> None:
    try:
        primary.check(connection)
    except Succeeded:
        # The pool would close it politely, and wait for the answer of a server that may be gone.
        connection.terminate()
        raise
    connection.lend(seconds)


async def _take_back(connection: Any) -> None:
    """Nothing here outlives a transaction, so a released session needs no reset, and a batch saves a round trip."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")
    connection.take_back()
