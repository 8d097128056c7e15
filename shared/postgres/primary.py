"""Which of the hosts that a URL names is the primary."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import stamina
import structlog

from shared.postgres.connection import Connection

log = structlog.get_logger()

# How long a host may take to answer once another one has: its machine may be gone, and then nothing is refused.
LATECOMER_S = 2.0
# A session that ends while it begins says nothing of its host: it is asked again, until it has been so often.
BEGUN_MAX = 3
# Where its end has been heard before it was asked anything, the library itself refuses to ask, which is an InterfaceError, or, as long as the
# socket is still open, is at a loss, which is an InternalClientError.
ENDINGS = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# What a host says of itself: nobody listens there, or it is a standby.
ANSWERS = (ConnectionRefusedError, asyncpg.exceptions.TargetServerAttributeNotMatched)
# Where the log is written; a standby writes none. The name of a log's file begins with its timeline, in hexadecimal.
TIMELINE = """
SELECT CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer
END
"""


class Succeeded(ConnectionError):
    """A server that accepts writes and should not: another one has been promoted since."""

    def __init__(self, timeline: int, latest: int) -> None:
        super().__init__(
            f"the server that answers is on timeline {timeline}, and timeline {latest} has been used: "
            "it is an old primary and must be shut off; give the address of the one that was promoted"
        )


@dataclass(slots=True)
class Primary:
    """Finds the primary, and never goes back to one that was succeeded.

    An old primary that comes back as it was accepts writes like the new one. But a standby that is promoted begins a new
    timeline: of two servers that accept writes, the one of the later timeline is the primary. `timeline` is the latest
    that was met.
    """

    timeline: int = 0

    async def connect(self, url: str, **options: Any) -> Connection:
        """Asks all hosts at once. Raises Succeeded, and what asyncpg raises for the first where none can be used."""
        connection = await _latest(each_host(url), options)
        try:
            self.check(connection)
        except Succeeded:
            connection.terminate()
            raise
        if 0 < self.timeline < connection.timeline:
            log.warning("primary_changed", timeline=connection.timeline)
        self.timeline = connection.timeline
        return connection

    def check(self, connection: Connection) -> None:
        """Raises Succeeded where a later primary than this connection's has been met."""
        if connection.timeline < self.timeline:
            raise Succeeded(connection.timeline, self.timeline)


def each_host(url: str) -> list[str]:
    """The same URL for each of the hosts that it names: postgresql://user@one:5432,two:5432/database."""
    # Not by the library, whose newer versions refuse what stands before the brackets of an IPv6 address.
    scheme, slashes, rest = url.partition("://")
    ends = [place for sign in "/?#" if (place := rest.find(sign)) >= 0]
    end = min(ends, default=len(rest))
    login, at, named = rest[:end].rpartition("@")
    return [f"{scheme}{slashes}{login}{at}{host}{rest[end:]}" for host in named.split(",")]


async def _latest(urls: Sequence[str], options: dict[str, Any]) -> Connection:
    """A connection to the host of the latest timeline; of several, to the one named first."""
    asking = [asyncio.create_task(_open(url, options)) for url in urls]
    chosen = None
    try:
        await _answers(asking)
        usable = [each.result() for each in asking if _is_usable(each)]
        # Where none is, each of them has failed.
        chosen = max(usable, key=lambda each: each.timeline) if usable else await asking[0]
        return chosen
    finally:
        for each in asking:
            each.cancel()
        for outcome in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(outcome, Connection) and outcome is not chosen:
                outcome.terminate()


async def _answers(asking: Sequence[asyncio.Task[Connection]]) -> None:
    """Waits for every host; once one of them can be used, for each of the others only so long."""
    waiting = set(asking)
    while waiting:
        patience_s = LATECOMER_S if any(map(_is_usable, asking)) else None
        answered, waiting = await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if not answered:
            return


def _is_usable(asked: asyncio.Task[Connection]) -> bool:
    return asked.done() and asked.exception() is None


def _has_ended(error: Exception) -> bool:
    """Whether a session had begun, and did not get far."""
    return isinstance(error, ENDINGS) and not isinstance(error, ANSWERS)


async def _open(url: str, options: dict[str, Any]) -> Connection:
    # Not as a decorator, which would log the URL, and the password in it.
    async for attempt in stamina.retry_context(on=_has_ended, attempts=BEGUN_MAX, wait_initial=0.05, wait_jitter=0.05):
        with attempt:
            return await _begin(url, options)
    raise AssertionError("the last attempt raises")


async def _begin(url: str, options: dict[str, Any]) -> Connection:
    connection: Connection = await asyncpg.connect(url, **options)
    try:
        # A server may fall silent here as well as before.
        connection.timeline = await connection.fetchval(TIMELINE, timeout=options.get("timeout"))
    except BaseException:
        connection.terminate()
        raise
    return connection
