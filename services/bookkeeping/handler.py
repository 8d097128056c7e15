"""The shell: each duty a bounded transaction at a time, to be called again while there is more to do.

Whatever is interrupted has not happened, or happens again: a seal is one statement, an event may be published twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import structlog

from services.bookkeeping import clearing, events, metrics, months, rules, seals
from services.bookkeeping.relay import Relay
from services.bookkeeping.seals import Work
from shared.domain.times import Clock, shanghai_date
from shared.messages.event import AccountEvent, BindingEvent
from shared.postgres.authority import take_exclusively

log = structlog.get_logger()

ANSWER_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Handler:
    """Keeps the books of one cell's database."""

    pool: Any
    clock: Clock
    relay: Relay
    months_ahead: int
    close_after: timedelta

    async def ready(self) -> None:
        """Returns if the database answers; raises asyncpg's errors if not."""
        async with self.pool.acquire(timeout=ANSWER_TIMEOUT_S) as connection:
            await connection.fetchval("SELECT 1", timeout=ANSWER_TIMEOUT_S)

    async def seal(self) -> bool:
        """Seals a stretch of every province's chain. Returns whether there may be more."""
        async with self.pool.acquire(timeout=ANSWER_TIMEOUT_S) as connection:
            waiting = await seals.unsealed(connection)
            metrics.UNSEALED_PAGES.set(sum(waiting.values()))
            for province in waiting:
                async with connection.transaction():
                    if await seals.take(connection, Work.SEALING, province):
                        metrics.SEALED.inc(await seals.seal(connection, province, self.clock()))
        return any(pages > seals.PAGES_MAX for pages in waiting.values())

    async def tell(self) -> bool:
        """Publishes the events of one seal of every province. Returns whether there may be more.

        Only what is confirmed is remembered as told: if anything breaks before, it is published again.
        """
        async with self.pool.acquire(timeout=ANSWER_TIMEOUT_S) as connection:
            behind = await events.provinces(connection)
            for province in behind:
                async with connection.transaction():
                    if await seals.take(connection, Work.TELLING, province) and (
                        seal := await events.next_seal(connection, province)
                    ):
                        entries = await events.entries(connection, seal)
                        await self._publish([rules.account_event(entry, seal) for entry in entries])
                        await events.told(connection, seal)
        return bool(behind)

    async def tell_of_bindings(self) -> bool:
        """Publishes what became of bindings. Returns whether there may be more."""
        async with self.pool.acquire(timeout=ANSWER_TIMEOUT_S) as connection, connection.transaction():
            if not await seals.take(connection, Work.TELLING, seals.EVERY_PROVINCE):
                return False
            notices = await events.take_notices(connection)
            await self._publish([rules.binding_event(notice) for notice in notices])
        return len(notices) == events.NOTICES_MAX

    async def prepare_months(self) -> bool:
        """Makes the partitions of one month, if one is missing. Returns whether there may be more."""
        month = shanghai_date(self.clock()).replace(day=1)
        async with self.pool.acquire(timeout=ANSWER_TIMEOUT_S) as connection:
            last = await months.last(connection)
            if last and last >= later(month, self.months_ahead):
                return False
            made = await months.prepare(connection, month)
        metrics.MONTHS.inc()
        log.info("month_prepared", month=made.isoformat())
        return True

    async def close_days(self) -> bool:
        """Closes one day of every province, if one is over. Returns whether there may be more."""
        now = self.clock()
        today = shanghai_date(now - self.close_after)
        closed = 0
        async with self.pool.acquire(timeout=ANSWER_TIMEOUT_S) as connection:
            due = [book for book in await clearing.books(connection) if book.next_day < today]
            for book in due:
                # Batches that began on that day are over, and committed, once this has been had for a moment.
                async with connection.transaction():
                    await take_exclusively(connection, {book.province})
                async with connection.transaction():
                    # The sum over a day may take longer than a payment may.
                    await connection.execute("SET LOCAL statement_timeout = 0")
                    if await clearing.close(connection, book.province, book.next_day, now) is not None:
                        closed += 1
        metrics.CLOSED_DAYS.inc(closed)
        return bool(due)

    async def _publish(self, told: Sequence[AccountEvent | BindingEvent]) -> None:
        await self.relay.publish(told)
        for event in told:
            metrics.EVENTS.labels(event.event).inc()


def later(month: date, months_: int) -> date:
    """The first day of the month so many months later."""
    count = month.year * 12 + month.month - 1 + months_
    return date(count // 12, count % 12 + 1, 1)
