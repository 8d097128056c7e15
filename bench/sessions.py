"""Sessions of the bench's own, which may take their time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from shared.postgres.pool import connect

# A service's sessions have limits to all of them.
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Any]:
    """A session of the database's owner without a limit of time."""
    connection: Any = await connect(url, role=None, name="bench")
    try:
        await connection.execute("; ".join(f"SET {limit} = 0" for limit in LIMITS))
        yield connection
    finally:
        await connection.close()
