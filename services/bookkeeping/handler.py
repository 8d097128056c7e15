"""The shell: each duty a bounded transaction at a time, to be called again while there is more to do.

Whatever is interrupted has not happened, or happens again: a seal is one statement, an event may be published twice.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog

from services.bookkeeping import clearing, events, metrics, months, rules, seals
from services.bookkeeping.model import Book
from services.bookkeeping.relay import Relay
from services.bookkeeping.seals import Work
from shared.domain.times import Clock, shanghai_date
from shared.messages.event import AccountEvent, BindingEvent
from shared.postgres.authority import take_exclusively
from shared.postgres.pool import ACQUIRE_TIMEOUT_S, lent
from shared.postgres.standby import expect_standby

log = structlog.get_logger()

# Nothing but these takes longer than a province's share of a duty may, whose statements keep to the session's limits: the server, or the
# way to it, has fallen silent then.
DUTY_S_MAX = 60.0
# As long as a transaction may wait for an alarm of the broker to end, and a little more.
TELLING_S_MAX = 660.0
# The sums over a nation's day.
CLOSING_S_MAX = 3_600.0

Thing = TypeVar("Thing")
Done = TypeVar("Done")


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
        async with lent(self.pool) as connection:
            await connection.fetchval("SELECT 1", timeout=ACQUIRE_TIMEOUT_S)

    async def seal(self) -> bool:
        """Seals a stretch of every province's chain. Returns whether there may be more."""
        async with lent(self.pool) as connection:
            waiting = await seals.unsealed(connection)
        metrics.UNSEALED_PAGES.set(sum(waiting.values()))
        sealed = await each_on_its_own(waiting, self._seal)
        metrics.SEALED.inc(sum(sealed))
        # Where nothing could be sealed, another bookkeeper is at it.
        return any(sealed) and (max(sealed) >= seals.IDS_MAX or max(waiting.values()) > seals.PAGES_MAX)

    async def _seal(self, province: int) -> int:
        async with lent(self.pool) as connection, connection.transaction():
            if not await seals.take(connection, Work.SEALING, province):
                return 0
            return await seals.seal(connection, province, self.clock())

    async def tell(self) -> bool:
        """Publishes the events of one seal of every province. Returns whether there may be more.

        Only what is confirmed is remembered as told: if anything breaks before, it is published again.
        """
        async with lent(self.pool) as connection:
            provinces = await events.provinces(connection)
            if provinces:
                # A seal that was interrupted in its commit is not told of before the standby has it.
                await expect_standby(connection)
        return any(await each_on_its_own(provinces, self._tell))

    async def _tell(self, province: int) -> bool:
        async with lent(self.pool, seconds=TELLING_S_MAX) as connection, connection.transaction():
            # A broker that has raised an alarm confirms late; a payment would not be left open for so long.
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '10min'")
            if not await seals.take(connection, Work.TELLING, province):
                return False
            seal = await events.next_seal(connection, province)
            if seal is None:
                return False
            entries = await events.entries(connection, seal)
            await self._publish([rules.account_event(entry, seal) for entry in entries])
            await events.told(connection, seal)
            return True

    async def tell_of_bindings(self) -> bool:
        """Publishes what became of bindings. Returns whether there may be more."""
        async with lent(self.pool) as connection:
            if not await events.has_notices(connection):
                return False
            await expect_standby(connection)
            async with connection.transaction():
                if not await seals.take(connection, Work.TELLING, seals.EVERY_PROVINCE):
                    return False
                notices = await events.take_notices(connection)
                await self._publish([rules.binding_event(notice) for notice in notices])
        return len(notices) == events.NOTICES_MAX

    async def prepare_months(self) -> bool:
        """Makes the partitions of one month, if one is missing. Returns whether there may be more."""
        month = shanghai_date(self.clock()).replace(day=1)
        async with lent(self.pool) as connection:
            last = await months.last(connection)
            if last and last >= later(month, self.months_ahead):
                return False
            async with connection.transaction():
                # Payments stand in line behind it, so it does not wait long for whoever reads everything, such as a backup.
                await connection.execute("SET LOCAL lock_timeout = '200ms'")
                made = await months.prepare(connection, month)
        metrics.MONTHS.inc()
        log.info("month_prepared", month=made.isoformat())
        return True

    async def close_days(self) -> bool:
        """Closes one day of every province, if one is over. Returns whether there may be more."""
        now = self.clock()
        today = shanghai_date(now - self.close_after)
        async with lent(self.pool) as connection:
            due = [book for book in await clearing.books(connection) if book.next_day < today]
        closed = await each_on_its_own(due, partial(self._close, now))
        metrics.CLOSED_DAYS.inc(sum(closed))
        return any(closed)

    async def _close(self, now: datetime, book: Book) -> bool:
        # Batches that began on that day are over, and committed, once this has been had for a moment.
        async with lent(self.pool) as connection, connection.transaction():
            await take_exclusively(connection, {book.province})
        async with lent(self.pool, seconds=CLOSING_S_MAX) as connection, connection.transaction():
            # The sum over a day may take longer than a payment may.
            await connection.execute("SET LOCAL statement_timeout = 0")
            return await clearing.close(connection, book.province, book.next_day, now) is not None

    async def _publish(self, told: Sequence[AccountEvent | BindingEvent]) -> None:
        await self.relay.publish(told)
        for event in told:
            metrics.EVENTS.labels(event.event).inc()


async def each_on_its_own(those: Iterable[Thing], work: Callable[[Thing], Awaitable[Done]]) -> list[Done]:
    """Does a duty for each of these, whatever becomes of the others; then raises the first thing that went wrong."""
    done, failures = [], []
    for thing in those:
        try:
            done.append(await work(thing))
        except Exception as error:  # noqa: BLE001 one province does not hold up the others
            failures.append(error)
    if failures:
        raise failures[0]
    return done


def later(month: date, months_: int) -> date:
    """The first day of the month so many months later."""
    count = month.year * 12 + month.month - 1 + months_
    return date(count // 12, count % 12 + 1, 1)
