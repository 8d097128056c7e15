"""Connections to PostgreSQL, each limited to one role."""

from typing import Any

import asyncpg

# Durations are milliseconds. Each limit keeps one stuck party from holding up the rest: see docs/operations.md.
SESSION: dict[str, str] = {
    "lock_timeout": "2000",
    "statement_timeout": "15000",
    "idle_in_transaction_session_timeout": "15000",
    "jit": "off",
    "timezone": "UTC",
}
CONNECT_TIMEOUT_S = 5.0
# Every statement finds its rows by a key. A plan that was made while a table was empty would read all of it, and stay.
PLAN_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


async def create_pool(
    url: str, *, role: str | None, name: str, size_max: int, plan_once: bool = False
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool whose sessions act as `role` and call themselves `name`. Connects on first use.

    `plan_once` is for statements that are the same whatever is asked: planning them anew each time, which PostgreSQL
    prefers for short arrays, took a lone settlement longer than carrying them out.
    """
    pool: asyncpg.Pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size_max,
        timeout=CONNECT_TIMEOUT_S,
        reset=_leave_as_it_is,
        server_settings=session(role, name) | (PLAN_ONCE if plan_once else {}),
        target_session_attrs="read-write",  # type: ignore[call-overload]  # the stubs do not know it yet
    )
    return await pool


async def connect(url: str, *, role: str | None, name: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection of its own, for a command that runs and ends."""
    return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=session(role, name))


def session(role: str | None, name: str) -> dict[str, str]:
    return SESSION | {"application_name": name} | ({"role": role} if role else {})


async def _leave_as_it_is(connection: Any) -> None:
    """Nothing here outlives a transaction, so a released session needs no reset, and a batch saves a round trip."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")
