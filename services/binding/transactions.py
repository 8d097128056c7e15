"""How the database is used: a transaction for each change, a connection for each look."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from services.binding import registry
from services.binding.model import Action, Caller
from shared.domain.times import Clock, shanghai_date
from shared.postgres.authority import take_exclusively
from shared.postgres.pool import lent
from shared.postgres.standby import expect_standby, reach_standby

# Longer than any statement may take. What is written down of a look waits for the standby; whoever looks does not for ever.
LOOK_S_MAX = 20.0


@dataclass(slots=True)
class Change:
    """One transaction. `provinces` collects where it changes who may pay for whom."""

    connection: Any
    now: datetime
    provinces: set[int] = field(default_factory=set)

    @property
    def today(self) -> date:
        return shanghai_date(self.now)

    async def act(self, caller: Caller, action: Action, *person_ids: str, thing_id: str | None = None) -> None:
        """Writes down, with the change itself, that a clerk or an operator was let through."""
        await registry.record_act(self.connection, caller, action, person_ids, self.now, thing_id)


@asynccontextmanager
async def changing(pool: Any, clock: Clock) -> AsyncIterator[Change]:
    """A transaction that, where it changes authority, commits while no settlement is being decided there.

    Also where nothing is left to be changed, what is answered is on the standby. Raises TimeoutError where there is no
    connection to be had or the standby is away.
    """
    async with lent(pool) as connection:
        await expect_standby(connection)
        async with connection.transaction():
            change = Change(connection, clock())
            yield change
            await reach_standby(connection)
            await take_exclusively(connection, change.provinces)


@asynccontextmanager
async def looking(pool: Any) -> AsyncIterator[Any]:
    """A connection to read on, for LOOK_S_MAX; then, and where there is none to be had, it raises TimeoutError."""
    async with lent(pool) as connection, asyncio.timeout(LOOK_S_MAX):
        yield connection
