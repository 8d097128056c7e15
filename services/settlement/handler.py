"""The shell around the rule: one transaction for a batch. Load what is known, lock, decide each, record."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from services.settlement import decisions, known, ledger, metrics, originals, refusals, transfers
from services.settlement.batch import Batch
from services.settlement.concerns import UNDOING, touched
from services.settlement.incoming import Incoming, RequestName
from services.settlement.ledger import Hold
from services.settlement.model import Day, Decision, Facts, Rejection, Replay, Resolution, Transfer
from shared.domain.ids import PersonKey
from shared.domain.policy import PolicyBook, UnreadablePolicy
from shared.domain.reasons import Reason
from shared.domain.times import Clock, shanghai_date
from shared.messages.envelope import Operation
from shared.messages.reconcile import ReconcileRequest
from shared.postgres.authority import Withheld, asking, deciding
from shared.postgres.pool import lent
from shared.postgres.standby import STANDBY_TIMEOUT_S, expect_standby, reach_standby
from shared.postgres.trouble import Trouble, trouble_of

log = structlog.get_logger()

AGAIN_MAX = 10
# Where nobody waits: what holds an account or a transfer is passed over without waiting; whatever else is held, a name or a
# province's authority, has to be asked for, and so often while a batch is taken apart.
LOCK_TIMEOUT_MS = 50
# They say that there is a decision, or a cancel.
TELLING = frozenset({Reason.REQUEST_CONFLICT, Reason.REQUEST_CANCELLED})


class ServersAway(Exception):
    """PostgreSQL cannot be used now; what was asked is still to be done."""

    @property
    def kind(self) -> str:
        """What kind of error says so, without its words."""
        return str(self).partition(":")[0]


def away(error: Exception) -> ServersAway:
    return ServersAway(f"{type(error).__name__}: {error}")


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A request that makes PostgreSQL fail whatever else is in the batch."""

    incoming: Incoming
    error: str


@dataclass(frozen=True, slots=True)
class Busy:
    """A request that has to wait: somebody outside holds a row that it needs, or the server is too slow for it now."""

    incoming: Incoming


Result = Resolution | Poisoned | Busy


@dataclass(frozen=True, slots=True)
class Coming:
    """Transfers that have become their receivers'; `held`: those of whom somebody else is closing one."""

    transfers: list[Transfer] = field(default_factory=list)
    held: set[PersonKey] = field(default_factory=set)


@dataclass(slots=True)
class Handler:
    """Decides batches of requests against one cell's database."""

    pool: Any
    clock: Clock
    authenticate_senders: bool = False
    _book: PolicyBook = field(default_factory=PolicyBook.of)
    # The primary's timeline and the policies' epoch: what one primary had as its third another may have otherwise.
    _book_version: tuple[int, int] = (0, 0)

    async def handle(self, batch: Sequence[Incoming], *, wait: bool = True) -> list[Result]:
        """A result for each request of the batch, in its order. Raises ServersAway.

        A batch that fails is halved until the culprit is alone: one that PostgreSQL cannot keep is Poisoned, one that
        takes too long, or needs what somebody outside holds for too long, is Busy; those who need a province's authority
        that is held are Busy together. Where `wait` is false nothing is waited for: the requests that need a held row are
        Busy at once, and the others are decided.
        """
        for _ in range(AGAIN_MAX):
            try:
                return await self._attempt(batch, wait=wait)
            except ServersAway:
                raise
            except Exception as error:
                match trouble_of(error):
                    case Trouble.AGAIN:
                        metrics.BATCHES_AGAIN.inc()
                        log.info("batch_again", requests=len(batch), error=type(error).__name__)
                    case Trouble.AWAY:
                        # The other connections of the pool lead to the same server, or to what was it.
                        await self.pool.expire_connections()
                        raise away(error) from error
                    case Trouble.BUSY if wait:
                        return await self.handle(batch, wait=False)
                    case Trouble.BUSY | Trouble.SLOW | Trouble.POISON if len(batch) > 1:
                        return await self._in_parts(batch, error, wait=wait)
                    case Trouble.BUSY | Trouble.SLOW:
                        break
                    case Trouble.POISON:
                        return [_poisoned(batch[0], error)]
        return [Busy(incoming) for incoming in batch]

    async def _in_parts(self, batch: Sequence[Incoming], error: Exception, *, wait: bool) -> list[Result]:
        """A batch that failed in smaller parts: halves, until the culprit is alone; but where somebody holds what it begins with, those
        who need the same of it together, and once: each half would meet the same lock, and a lane be kept for 20 s.
        """
        places = range(len(batch))
        middle = len(batch) // 2
        parts = _by_authority(batch) if isinstance(error, Withheld) else [places[:middle], places[middle:]]
        if len(parts) == 1:
            return [Busy(incoming) for incoming in batch]
        results: dict[int, Result] = {}
        for part in parts:
            results.update(zip(part, await self.handle([batch[place] for place in part], wait=wait), strict=True))
        return [results[place] for place in places]

    async def ready(self) -> None:
        """Returns if the database keeps what it is told, its synchronous standby too; raises ServersAway if not.

        What is cancelled here after a while is nothing, so a standby that stays away costs the server no session.
        """
        try:
            async with self._connection() as connection:
                await expect_standby(connection)
                theirs = await connection.fetchval("SELECT clock_timestamp()", timeout=STANDBY_TIMEOUT_S)
                metrics.CLOCK_AHEAD.set((self.clock() - theirs).total_seconds())
        except ServersAway:
            raise
        except Exception as error:
            raise away(error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool. Whatever keeps it from connecting, no request is to blame: ServersAway."""
        async with AsyncExitStack() as until_returned:
            try:
                connection = await until_returned.enter_async_context(lent(self.pool))
            except Exception as error:
                raise away(error) from error
            yield connection

    async def _attempt(self, batch: Sequence[Incoming], *, wait: bool) -> list[Result]:
        hold = Hold.LOCK if wait else Hold.LOCK_FREE
        if all(incoming.is_inquiry for incoming in batch):
            hold = Hold.READ
        async with self._connection() as connection, _transaction(connection, batch, hold, wait=wait):
            now = self.clock()
            work = await self._load(connection, batch, now, hold)
            results: list[Result] = [
                Busy(incoming) if work.lacks(incoming) else work.decide(incoming) for incoming in batch
            ]
            await self._record(connection, work, [result for result in results if isinstance(result, Resolution)])
        return results

    async def _record(self, connection: Any, work: Batch, resolutions: Sequence[Resolution]) -> None:
        await refusals.add(connection, resolutions, work.now)
        decided = [resolution for resolution in resolutions if resolution.kept]
        if decided or work.closed:
            await ledger.record(connection, work.journal.movements, decided, work.now, work.undone)
            await transfers.add(connection, list(work.made.values()))
            await transfers.close(connection, work.closed, work.now)
            await transfers.take_back(connection, work.undone)
            await ledger.give_back(connection, work.undone)
            await decisions.cancel(connection, work.undone, decided, work.now)
        elif any(_tells_of_the_past(resolution) for resolution in resolutions):
            await reach_standby(connection)

    async def _load(self, connection: Any, batch: Sequence[Incoming], now: datetime, hold: Hold) -> Batch:
        """Everything the batch is decided by; whatever it may debit is locked."""
        facts = Facts()
        version = connection.timeline, await known.read(connection, known.asked(batch), shanghai_date(now), facts)
        if version != self._book_version:
            self._book, self._book_version = await _policies(connection), version
        # As of this batch, whatever another lane reads meanwhile.
        book = self._book

        fresh = [incoming for incoming in batch if incoming.is_inquiry or incoming.name not in facts.stored]
        facts.mates.update((incoming.name, incoming) for incoming in reversed(fresh))
        await originals.read(connection, fresh, facts, hold)
        wanted = {person for incoming in fresh for person in touched(incoming, facts)}
        receivers = wanted & facts.awaiting
        if hold is not Hold.READ:
            # Something may be given to them before their accounts are locked.
            receivers |= wanted & (_wallets(facts) | _giving_back(fresh, facts))
            await ledger.open_accounts(connection, _receiving(fresh, facts) | receivers, now)
        journal = await ledger.accounts(connection, wanted, hold, now)
        # Once their givers' accounts are locked: what a giver has been debited is seen to come.
        coming = await self._coming(connection, receivers, hold)
        if hold is Hold.LOCK_FREE:
            coming.held.update(await ledger.opened(connection, wanted - journal.accounts.keys()))
        await originals.read_standing(connection, facts)
        facts.days.update(await _days(connection, fresh))
        facts.used_fen.update(await _used(connection, facts, book, now))
        facts.transfers_today.update(await transfers.made_today(connection, _givers(fresh), now))
        work = Batch(journal, book, facts, self.authenticate_senders, frozenset(coming.held))
        for transfer in coming.transfers:
            if hold is Hold.READ:
                journal.count(transfer)
            elif transfer.receiver not in coming.held:
                work.close(transfer)
        return work

    async def _coming(self, connection: Any, receivers: set[PersonKey], hold: Hold) -> Coming:
        """What relatives have given to these people and the ledger has still to put into their wallets."""
        if not receivers:
            return Coming()
        found = await transfers.arriving(connection, receivers)
        if hold is Hold.READ:
            return Coming(found)
        taken = await transfers.take(connection, found)
        return Coming(taken, {each.receiver for each in found if each not in taken})


async def _policies(connection: Any) -> PolicyBook:
    """Raises ServersAway: what cannot be read is no request's fault, and a worker of another release may know better."""
    try:
        return await known.policies(connection)
    except UnreadablePolicy as error:
        raise away(error) from error


def _transaction(
    connection: Any, batch: Sequence[Incoming], hold: Hold, *, wait: bool
) -> AbstractAsyncContextManager[None]:
    lock_timeout_ms = None if wait else LOCK_TIMEOUT_MS
    if hold is Hold.READ:
        return asking(connection, ledger.SQL["hold_tables"], lock_timeout_ms=lock_timeout_ms)
    return deciding(connection, _provinces(batch), lock_timeout_ms=lock_timeout_ms)


def _provinces(batch: Sequence[Incoming]) -> set[int]:
    """The provinces by whose authority a batch is decided."""
    provinces = {person.province for incoming in batch for person in incoming.people}
    provinces.update(incoming.name.province for incoming in batch)
    return provinces


def _by_authority(batch: Sequence[Incoming]) -> list[Sequence[int]]:
    """The places in a batch of those who are decided by the same provinces' authority; whoever only asks needs none."""
    parts: dict[frozenset[int], list[int]] = defaultdict(list)
    for place, incoming in enumerate(batch):
        parts[frozenset() if incoming.is_inquiry else frozenset(_provinces([incoming]))].append(place)
    return list(parts.values())


async def _used(connection: Any, facts: Facts, book: PolicyBook, now: datetime) -> dict[Any, int]:
    """What bindings have used of the year's limit that they or their payers' policies set."""
    today = shanghai_date(now)
    limited = [
        binding
        for bindings in facts.bindings.values()
        for binding in bindings
        if binding.annual_limit_fen is not None
        or (
            (payer := facts.enrolments.get(binding.payer))
            and book.on(payer.region_code, today).policy.annual_limit_fen is not None
        )
    ]
    return await ledger.used_this_year(connection, limited, now)


def _poisoned(incoming: Incoming, error: Exception) -> Poisoned:
    # Not in its own words, which repeat the values.
    log.error(
        "request_poisoned",
        request_id=incoming.request.request_id,
        sqlstate=getattr(error, "sqlstate", None),
        constraint=getattr(error, "constraint_name", None),
        exc_info=error,
    )
    return Poisoned(incoming, type(error).__name__)


def _receiving(batch: Sequence[Incoming], facts: Facts) -> set[PersonKey]:
    """Known people who are to be credited: their accounts open on first use."""
    credited = {each.subject for each in batch if each.subject and each.operation is Operation.CREDIT}
    return credited & facts.enrolments.keys()


def _wallets(facts: Facts) -> set[PersonKey]:
    """Those into whose wallets somebody may give."""
    return {person for person, bindings in facts.bindings.items() if any(each.wallet for each in bindings)}


def _giving_back(batch: Sequence[Incoming], facts: Facts) -> set[PersonKey]:
    """Known only by an original: whether something is on its way to them has not been read."""
    undoing = [incoming for incoming in batch if incoming.operation in UNDOING]
    return {person for incoming in undoing for person in touched(incoming, facts)}


def _givers(batch: Sequence[Incoming]) -> set[PersonKey]:
    return {each.subject for each in batch if each.subject and each.operation is Operation.TRANSFER}


async def _days(connection: Any, batch: Sequence[Incoming]) -> dict[RequestName, Day]:
    """The days that institutions ask to have reconciled."""
    return {
        incoming.name: await ledger.day(connection, incoming.name.province, incoming.request)
        for incoming in batch
        if isinstance(incoming.request, ReconcileRequest)
    }


def _tells_of_the_past(resolution: Resolution) -> bool:
    """Whether an answer says what was decided earlier. A quote says what would be, and binds nobody."""
    match resolution.verdict:
        case Replay():
            return True
        case Rejection(reason):
            return reason in TELLING
        case Decision(original=original, day=day):
            return original is not None or day is not None
