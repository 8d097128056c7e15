"""A settlement and a change of who may pay for whom never overlap.

A worker's batch that may debit somebody holds its provinces' authority shared from its first statement to its end. Whoever changes what a
batch decides by (ends a binding, freezes an account, changes an enrolment, a policy, an institution) takes it
exclusively just before committing. So an acknowledged end is an end: no batch that read the binding as valid is still
under way, and every later batch sees it ended. It costs a batch nothing but a lock in shared memory. A batch that only asks debits nobody
and needs none: what it sees is of one moment, after it was asked.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import asyncpg

from shared.postgres.connection import abandon

# The first key of the advisory locks, so that they meet nobody else's. The second is the province.
AUTHORITY = 0x676A  # "gj"
# Institutions belong to no province; every such batch holds this one too.
EVERY_PROVINCE = 0


class Withheld(asyncpg.LockNotAvailableError):
    """What a transaction begins with is somebody else's for longer than it waits: whoever needs the same need not try."""


def deciding(
    connection: Any, provinces: Iterable[int], *, lock_timeout_ms: int | None = None
) -> AbstractAsyncContextManager[None]:
    """A transaction in which nobody's authority to pay can change; it may wait for each lock as long as told, or as the session may.

    Raises Withheld where a change of somebody's authority takes longer than that.
    """
    keys = (EVERY_PROVINCE, *sorted(set(provinces)))
    locks = ", ".join(f"pg_advisory_xact_lock_shared({AUTHORITY}, {key:d})" for key in keys)
    # One round trip; reads come in later statements, whose snapshots are taken under the lock.
    return _transaction(connection, f"BEGIN; {_limit(lock_timeout_ms)}SELECT {locks}")


def asking(connection: Any, tables: str, *, lock_timeout_ms: int | None = None) -> AbstractAsyncContextManager[None]:
    """A transaction that only asks: all of its statements see one moment, and nobody's authority is taken.

    `tables` locks (ACCESS SHARE) whatever it may read, and looks at none of it: LOCK TABLE takes no snapshot. A snapshot from before
    rows were moved from one table to another, or a table was written anew, would find them in neither. Raises Withheld.
    """
    return _transaction(connection, f"BEGIN ISOLATION LEVEL REPEATABLE READ; {_limit(lock_timeout_ms)}{tables}")


def _limit(lock_timeout_ms: int | None) -> str:
    return "" if lock_timeout_ms is None else f"SET LOCAL lock_timeout = {lock_timeout_ms:d}; "


@asynccontextmanager
async def _transaction(connection: Any, begin: str) -> AsyncIterator[None]:
    try:
        await _begin(connection, begin)
        yield
    except asyncio.CancelledError:
        abandon(connection)
        raise
    except Exception:
        # Where the session has broken too, it is the first error that says why.
        with suppress(Exception):
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def _begin(connection: Any, begin: str) -> None:
    try:
        await connection.execute(begin)
    except asyncpg.LockNotAvailableError as error:
        raise Withheld(str(error)) from error


async def take_exclusively(connection: Any, provinces: Iterable[int]) -> None:
    """The last statement before the commit of whatever changes authority."""
    for province in sorted(set(provinces)):
        await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", AUTHORITY, province)
