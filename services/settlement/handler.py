"""The shell around the rule: one transaction for a batch. Load what is known, lock, decide each, record."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from services.settlement import decisions, ledger, registry
from services.settlement.batch import INQUIRIES, Batch, original_of, subject_of
from services.settlement.ledger import Hold
from services.settlement.model import Decision, Facts, Incoming, Replay, Resolution
from shared.domain.ids import PersonKey
from shared.domain.policy import PolicyBook
from shared.domain.times import Clock, shanghai_date
from shared.messages.credit import CreditRequest
from shared.postgres.authority import deciding
from shared.postgres.trouble import Trouble, trouble_of

log = structlog.get_logger()

AGAIN_MAX = 10
ANSWER_TIMEOUT_S = 5.0


class ServersAway(Exception):
    """PostgreSQL cannot be used now; what was asked is still to be done."""


def away(error: Exception) -> ServersAway:
    return ServersAway(f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A request that makes PostgreSQL fail whatever else is in the batch."""

    incoming: Incoming
    error: str


@dataclass(frozen=True, slots=True)
class Busy:
    """A request that has to wait: somebody outside holds a row that it needs."""

    incoming: Incoming


Result = Resolution | Poisoned | Busy


@dataclass(slots=True)
class Handler:
    """Decides batches of requests against one cell's database."""

    pool: Any
    clock: Clock
    authenticate_senders: bool = False
    _book: PolicyBook = field(default_factory=PolicyBook.of)
    _book_epoch: int = 0

    async def handle(self, batch: Sequence[Incoming], *, wait: bool = True) -> list[Result]:
        """A result for each request of the batch, in its order. Raises ServersAway.

        A batch that fails is halved until the culprit is alone. Where somebody outside holds a row for too long, or at
        once where `wait` is false, the requests that need it are Busy and the others are decided.
        """
        for _ in range(AGAIN_MAX):
            try:
                return await self._attempt(batch, wait=wait)
            except ServersAway:
                raise
            except Exception as error:
                match trouble_of(error):
                    case Trouble.AGAIN:
                        log.info("batch_again", requests=len(batch), error=type(error).__name__)
                    case Trouble.AWAY:
                        raise away(error) from error
                    case Trouble.BUSY if wait:
                        return await self.handle(batch, wait=False)
                    case Trouble.BUSY:
                        break
                    case Trouble.POISON if len(batch) > 1:
                        middle = len(batch) // 2
                        halves = batch[:middle], batch[middle:]
                        return [result for half in halves for result in await self.handle(half, wait=wait)]
                    case Trouble.POISON:
                        log.exception("request_poisoned", request_id=batch[0].request.request_id)
                        return [Poisoned(batch[0], type(error).__name__)]
        return [Busy(incoming) for incoming in batch]

    async def ready(self) -> None:
        """Returns if the database answers; raises ServersAway if not."""
        async with self._connection() as connection:
            try:
                await connection.fetchval("SELECT 1", timeout=ANSWER_TIMEOUT_S)
            except Exception as error:
                raise away(error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool. Whatever keeps it from connecting, no request is to blame: ServersAway."""
        try:
            connection = await self.pool.acquire(timeout=ANSWER_TIMEOUT_S)
        except Exception as error:
            raise away(error) from error
        try:
            yield connection
        finally:
            await self.pool.release(connection)

    async def _attempt(self, batch: Sequence[Incoming], *, wait: bool) -> list[Result]:
        provinces = {incoming.name.province for incoming in batch}
        async with self._connection() as connection, deciding(connection, provinces):
            now = self.clock()
            work = await self._load(connection, batch, now, Hold.LOCK if wait else Hold.LOCK_FREE)
            results: list[Result] = [
                Busy(incoming) if work.lacks(incoming) else work.decide(incoming) for incoming in batch
            ]
            resolutions = [result for result in results if isinstance(result, Resolution)]
            decided = [
                resolution
                for resolution in resolutions
                if isinstance(resolution.verdict, Decision) and resolution.incoming.operation not in INQUIRIES
            ]
            if decided:
                await ledger.record(connection, decided, now)
            elif any(_tells_of_the_past(resolution) for resolution in resolutions):
                await ledger.remember_replay(connection)
        return results

    async def _load(self, connection: Any, batch: Sequence[Incoming], now: datetime, hold: Hold) -> Batch:
        """Everything the batch is decided by; whatever it may debit is locked."""
        facts = Facts()
        names = {incoming.name for incoming in batch}
        names.update(original for incoming in batch if (original := original_of(incoming)))
        epoch = await decisions.requests(connection, sorted(names), facts)
        if epoch != self._book_epoch:
            self._book, self._book_epoch = await registry.policies(connection), epoch

        fresh = [incoming for incoming in batch if incoming.operation in INQUIRIES or incoming.name not in facts.stored]
        await registry.people(connection, _patients(fresh), shanghai_date(now), facts)
        await ledger.open_accounts(connection, _credited(fresh, facts))
        if all(incoming.operation in INQUIRIES for incoming in fresh):
            hold = Hold.READ
        wanted = _patients(fresh) | facts.payers_within_reach()
        accounts = await ledger.accounts(connection, wanted, hold)
        held: set[PersonKey] = set()
        if hold is Hold.LOCK_FREE:
            held = set(await ledger.accounts(connection, wanted - set(accounts), Hold.READ))
        facts.used_fen.update(await self._used(connection, facts, now))
        return Batch(now, self._book, facts, accounts, self.authenticate_senders, frozenset(held))

    async def _used(self, connection: Any, facts: Facts, now: datetime) -> dict[Any, int]:
        today = shanghai_date(now)
        limited = [
            binding
            for bindings in facts.bindings.values()
            for binding in bindings
            if binding.annual_limit_fen is not None
            or (
                (payer := facts.enrolments.get(binding.payer))
                and self._book.on(payer.region_code, today).policy.annual_limit_fen is not None
            )
        ]
        return await ledger.used_this_year(connection, limited, now)


def _patients(batch: Sequence[Incoming]) -> set[PersonKey]:
    return {key for incoming in batch if (key := subject_of(incoming.request))}


def _credited(batch: Sequence[Incoming], facts: Facts) -> set[PersonKey]:
    """Known people who are to be credited: their accounts open on first use."""
    credits_only = [incoming for incoming in batch if isinstance(incoming.request, CreditRequest)]
    return _patients(credits_only) & set(facts.enrolments)


def _tells_of_the_past(resolution: Resolution) -> bool:
    """Whether an answer repeats an earlier decision."""
    verdict = resolution.verdict
    return isinstance(verdict, Replay) or (isinstance(verdict, Decision) and verdict.original is not None)
