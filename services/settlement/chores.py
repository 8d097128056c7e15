"""What falls due without anybody asking: a transfer past its deadline arrives if it was accepted, else it returns.

The deadline stands in the transfer's row, so that a restart forgets nothing; every worker does this, each what the others
leave to it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from services.settlement import ledger, metrics, transfers
from services.settlement.batch import Batch
from services.settlement.ledger import Hold
from services.settlement.model import Facts, Transfer
from shared.domain.policy import PolicyBook
from shared.domain.times import Clock
from shared.postgres.authority import deciding
from shared.postgres.pool import lent
from shared.postgres.standby import expect_standby
from shared.postgres.trouble import Trouble, trouble_of
from shared.runtime.rounds import rounds

log = structlog.get_logger()

# Transfers closed in one transaction.
CLOSED_MAX = 200


@dataclass(frozen=True, slots=True)
class Chores:
    """Closes due transfers, `every_s` seconds apart."""

    pool: Any
    clock: Clock
    every_s: float

    async def run(self, stop: asyncio.Event) -> None:
        """Returns once `stop` is set."""
        await rounds(self.close_due_transfers, stop, every_s=self.every_s, failed=_interrupted)

    async def close_due_transfers(self) -> int:
        """How many transfers were closed: at most CLOSED_MAX a province."""
        async with lent(self.pool) as connection:
            provinces = await transfers.due_provinces(connection, self.clock())
        closed = 0
        for province in provinces:
            async with lent(self.pool) as connection:
                await expect_standby(connection)
                # An acceptance takes the province's authority exclusively: it comes before this, or finds the money gone.
                async with deciding(connection, {province}):
                    closed += await self._close(connection, province)
        return closed

    async def _close(self, connection: Any, province: int) -> int:
        now = self.clock()
        due = await transfers.due(connection, province, now, CLOSED_MAX)
        if not due:
            return 0
        await ledger.open_accounts(connection, {each.receiver for each in due if each.accepted}, now)
        journal = await ledger.accounts(connection, _parties(due), Hold.LOCK_FREE, now)
        work = Batch(journal, PolicyBook(), Facts())
        for transfer in due:
            # An account that somebody holds at the moment has its turn next time.
            if (transfer.receiver if transfer.accepted else transfer.giver) in journal.accounts:
                work.close(transfer)
        await ledger.record(connection, journal.movements, (), now)
        await transfers.close(connection, work.closed, now)
        for _, movement in work.closed:
            metrics.TRANSFERS_CLOSED.labels(movement.kind).inc()
        return len(work.closed)


def _interrupted(error: Exception) -> None:
    """Whatever was not closed is still due."""
    poison = trouble_of(error) is Trouble.POISON
    log.warning("chores_interrupted", error=type(error).__name__, exc_info=poison)


def _parties(due: Sequence[Transfer]) -> set[Any]:
    return {each.receiver if each.accepted else each.giver for each in due}
