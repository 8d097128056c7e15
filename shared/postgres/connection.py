"""A connection to PostgreSQL that is given up rather than cancelled."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger()

# What a commit says that did not wait for its synchronous standby, because somebody cancelled it. By its code, as the
# server may speak any language; a commit has nothing else to warn of.
WARNING = "01000"


class OnThisServerAlone(ConnectionError):
    """Something was committed, and nobody knows whether the standby has it: the wait for it was cancelled."""

    def __init__(self) -> None:
        super().__init__(
            "the wait for the synchronous standby was cancelled: what was committed may be on this server alone"
        )


def abandon(connection: Any) -> None:
    """Ends a session without asking: nothing is waited for and nothing raised.

    For whoever is cancelled. A server that has fallen silent answers nothing, and the error that comes of it in the end would
    take the place of the cancellation: who was cancelled would go on, and who waits for that end would wait for ever.
    """
    # It may have been given up already, and with that it is the pool's again.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


class Connection(asyncpg.Connection):
    """A connection that is given up when whoever has it is kept waiting for too long.

    A server that has fallen silent, or the way to it, closes nothing and answers nothing, and no limit of the session's
    is heard from it. What becomes of a COMMIT that was sent is then not known here: it is not cancelled, which with
    a synchronous standby could commit it here and nowhere else, but left to the server and looked up.

    `timeline` is the server's: the number of promotions that led to it, and one.
    """

    __slots__ = ("_returned_by", "_warned", "timeline")

    timeline: int

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._warned = False
        self._returned_by: asyncio.TimerHandle | None = None

    def lend(self, seconds: float) -> None:
        """From now on; what it was lent for before does not count any more."""
        self.take_back()
        self._returned_by = asyncio.get_running_loop().call_later(seconds, self._give_up, seconds)

    def take_back(self) -> None:
        if self._returned_by:
            self._returned_by.cancel()

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 as asyncpg has it
        """As asyncpg's. A COMMIT whose task is cancelled is left to the server too: asyncpg would cancel it there.

        Raises OnThisServerAlone where the server says that it did not wait for the standby. An administrator's
        pg_cancel_backend does that, and the COMMIT succeeds.
        """
        self._warned = False
        try:
            done = await super().execute(query, *args, timeout=timeout)
        except asyncio.CancelledError:
            # asyncpg is about to have it cancelled, and drops that with the session.
            if query.rstrip(";") == "COMMIT":
                self.terminate()
            raise
        if self._warned and not self.is_in_transaction():
            self.terminate()
            raise OnThisServerAlone
        return done

    def _process_log_message(self, fields: Any, last_query: str | None) -> None:
        self._warned = self._warned or fields.get("C") == WARNING
        super()._process_log_message(fields, last_query)  # type: ignore[misc]  # the stubs do not know it

    def _give_up(self, seconds: float) -> None:
        if not self.is_closed():
            log.warning("connection_given_up", after_s=seconds)
            self.terminate()
