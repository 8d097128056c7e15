"""Something that happens between two statements of a session."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import asyncpg
import pytest

from shared.postgres.connection import Connection
from tests.support.world import World, until


def after_statement(monkeypatch: pytest.MonkeyPatch, statement: str, happens: Callable[[], Awaitable[None]]) -> None:
    """Once, when some session of ours has fetched the rows of this statement."""
    fetch = Connection.fetch

    async def fetch_and_then(connection: Connection, query: str, *arguments: Any) -> Any:
        found = await fetch(connection, query, *arguments)
        if query == statement:
            monkeypatch.undo()
            await happens()
        return found

    monkeypatch.setattr(Connection, "fetch", fetch_and_then)


@asynccontextmanager
async def month_prepared_after(
    monkeypatch: pytest.MonkeyPatch, statement: str, world: World, month: date
) -> AsyncIterator[None]:
    """The bookkeeper comes just then to prepare a month that has begun: it is through, or waits, before the next statement."""
    bookkeeper = await asyncpg.connect(world.database_url)
    preparing: list[asyncio.Task[Any]] = []

    async def begin() -> None:
        preparing.append(asyncio.create_task(bookkeeper.execute("SELECT ledger.prepare_month($1)", month)))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await until(lambda: preparing[0].done() or world.db.fetchval(waiting))

    after_statement(monkeypatch, statement, begin)
    yield
    await preparing[0]
    await bookkeeper.close()
