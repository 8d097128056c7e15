"""A connection to PostgreSQL that is given up rather than cancelled."""

import asyncio
from typing import Any

import asyncpg
import structlog

log = structlog.get_logger()


class Connection(asyncpg.Connection):
    """A connection that is given up when whoever has it is kept waiting for too long.

    A server that has fallen silent, or the way to it, closes nothing and answers nothing, and no limit of the session's
    is heard from it. What becomes of a COMMIT that was sent is then not known here: it is not cancelled, which with
    a synchronous standby could commit it here and nowhere else, but left to the server and looked up.

    `timeline` is the server's: the number of promotions that led to it, and one.
    """

    __slots__ = ("_returned_by", "timeline")

    timeline: int

    def lend(self, seconds: float) -> None:
        self._returned_by = asyncio.get_running_loop().call_later(seconds, self._give_up, seconds)

    def take_back(self) -> None:
        self._returned_by.cancel()

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 as asyncpg has it
        """As asyncpg's. A COMMIT whose task is cancelled is left to the server too: asyncpg would cancel it there."""
        executing = super().execute(query, *args, timeout=timeout)
        if query.rstrip(";") != "COMMIT":
            return await executing
        committing = asyncio.ensure_future(executing)
        try:
            await asyncio.wait({committing})
        except asyncio.CancelledError:
            committing.add_done_callback(asyncio.Future.exception)
            self.terminate()
            raise
        return committing.result()

    def _give_up(self, seconds: float) -> None:
        if not self.is_closed():
            log.warning("connection_given_up", after_s=seconds)
            self.terminate()
