"""Something that happens between two statements of a session."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared.postgres.connection import Connection


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
