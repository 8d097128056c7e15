"""The shell around a file of an institution's day: read it as it comes, compare it once it is there.

No transaction is open while a file is on its way, however slowly it comes: each few thousand lines are one of their own.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from services.binding import reconciliations, registry, rules
from services.binding.dayfile import DayFile, Limits
from services.binding.days import DayAsked, DayLine, Reconciliation, ReconciliationState
from services.binding.handler import MISSING, Answered, Handler, recordable
from services.binding.model import Action, Caller, Fault, Refused
from services.binding.resources import ReconciliationOut
from services.binding.transactions import Change
from shared.domain.ids import parse_public_id, time_ordered_uuid
from shared.domain.reasons import Reason
from shared.messages.reconcile import Difference

# How many lines are in memory at a time, on their way in; how many differences, on their way out.
LINES_AT_ONCE = 5_000
DIFFERENCES_AT_ONCE = 1_000
# However slowly lines come, others see this often how far they are.
TOLD_EVERY = timedelta(seconds=5)
# Each holds a connection for as long as two minutes: most of a pool is left to everybody else.
COMPARISONS_AT_ONCE = 2
# Within such a time an institution's files leave so many differences as its limit says, all of them together.
DIFFERENCES_WITHIN = timedelta(hours=24)

STALLED = Refused((Reason.INVALID,), (Fault("body", "took too long to come: send it again"),))


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares an institution's days, whoever asks; the edge has checked that they may."""

    desk: Handler
    limits: Limits = field(default_factory=Limits)
    comparing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(COMPARISONS_AT_ONCE))

    async def reconcile(
        self, caller: Caller, day: DayAsked, pieces: AsyncIterator[bytes], key: str | None
    ) -> Answered | Refused:
        """The day compared with a file that comes in pieces. What is refused, or repeats an answer, leaves nothing."""
        made = await self._begin(caller, day)
        if isinstance(made, Refused):
            return made
        try:
            digest = sha256()
            refused = await self._read(made, pieces, digest)
            done = refused or await self._answer(caller, made, key, digest.digest())
            await self._strike(caller, made, done)
        except Exception:
            async with self.desk.change() as change:
                if await reconciliations.abandon(change.connection, made):
                    await change.act(caller, Action.RECONCILE, thing_id=made.reconciliation_id)
            raise
        return done

    async def _begin(self, caller: Caller, day: DayAsked) -> Reconciliation | Refused:
        async with self.desk.change() as change:
            institution = await registry.institution(change.connection, day.institution_id)
            if reasons := rules.refuse_reconciliation(institution, caller):
                return await _refused(change, caller, day, Refused(reasons))
            await reconciliations.abandon_stalled(change.connection, change.now)
            row_id = time_ordered_uuid(change.now, day.institution_id, secrets.token_hex(16))
            made = Reconciliation(row_id, day, ReconciliationState.READING, lines_read=0, started_at=change.now)
            if not await reconciliations.begin(change.connection, made, caller.subject):
                return await _refused(change, caller, day, Refused((Reason.FILE_UNDER_WAY,)))
            return made

    async def _read(self, made: Reconciliation, pieces: AsyncIterator[bytes], digest: Any) -> Refused | None:
        """Keeps the file's lines, as long as nothing is wrong with it; what is wrong, if anything is."""
        file, told_at = DayFile(self.limits), made.started_at
        waiting: list[DayLine] = []
        async for piece in pieces:
            digest.update(piece)
            waiting += file.read(piece)
            if file.hopeless:
                break
            if file.faults:
                waiting.clear()
            now = self.desk.clock()
            if len(waiting) >= LINES_AT_ONCE or now - told_at >= TOLD_EVERY:
                if not await self._keep(made, waiting, file.lines_read):
                    return STALLED
                waiting, told_at = [], now
        waiting += file.end()
        if file.faults:
            return Refused((Reason.INVALID,), tuple(file.faults))
        return None if await self._keep(made, waiting, file.lines_read) else STALLED

    async def _keep(self, made: Reconciliation, lines: list[DayLine], lines_read: int) -> bool:
        async with self.desk.change() as change:
            return await reconciliations.append(change.connection, made, lines, lines_read=lines_read, now=change.now)

    @asynccontextmanager
    async def _turn(self, made: Reconciliation) -> AsyncIterator[None]:
        """Waits for one of the few turns to compare. Meanwhile no connection is held, and nobody takes the file for abandoned."""
        turn = asyncio.create_task(self.comparing.acquire())
        try:
            while not (await asyncio.wait({turn}, timeout=TOLD_EVERY.total_seconds()))[0]:
                async with self.desk.change() as change:
                    await reconciliations.wait(change.connection, made, change.now)
            yield
        finally:
            if not turn.cancel():
                self.comparing.release()

    async def _answer(self, caller: Caller, made: Reconciliation, key: str | None, digest: bytes) -> Answered | Refused:
        """Compares, unless this very file was answered under this key before."""
        day = made.day
        named = f"reconcile\n{day.institution_id}\n{day.insured_region}\n{day.date}\n"

        async def work(change: Change) -> ReconciliationOut | Refused:
            connection = change.connection
            if not await reconciliations.lock(connection, made):
                return STALLED
            if pairs := await reconciliations.repeated(connection, made, self.limits.faults_max):
                return Refused(
                    (Reason.INVALID,),
                    tuple(
                        Fault(f"line {again}", f"names the same request_id as line {first}") for first, again in pairs
                    ),
                )
            since = change.now - DIFFERENCES_WITHIN
            left = await reconciliations.left_behind(connection, day.institution_id, since)
            at_most = self.limits.differences_max
            compared = await reconciliations.compare(connection, made, change.now, at_most=at_most - left)
            if isinstance(compared, int):
                return _too_many(compared, left, at_most)
            await change.act(caller, Action.RECONCILE, thing_id=made.reconciliation_id)
            return ReconciliationOut.model_validate(compared, from_attributes=True)

        async with self._turn(made):
            return await self.desk.once(caller, key, named.encode() + digest, 201, work)

    async def _strike(self, caller: Caller, made: Reconciliation, done: Answered | Refused) -> None:
        """What was refused, or had been answered before, leaves nothing of the file."""
        async with self.desk.change() as change:
            await reconciliations.strike(change.connection, made)
            if isinstance(done, Refused):
                await _refused(change, caller, made.day, done)

    # ---- what came of it ----

    async def find(self, reconciliation_id: str) -> Reconciliation | Refused:
        place = parse_public_id(reconciliation_id)
        if place is None:
            return MISSING
        async with self.desk.look() as connection:
            return await reconciliations.find(connection, *place, self.desk.clock()) or MISSING

    async def record(self, caller: Caller, action: Action, reconciliation_id: str) -> None:
        """Writes down that an operator was let through to see this, whether or not it is there."""
        async with self.desk.change() as change:
            await change.act(caller, action, thing_id=recordable(reconciliation_id))

    async def list_of(self, caller: Caller, institution_id: str, *, before: UUID, limit: int) -> list[Reconciliation]:
        async with self.desk.change() as change:
            await change.act(caller, Action.LIST_RECONCILIATIONS, thing_id=institution_id)
            return await reconciliations.list_of(
                change.connection, institution_id, before=before, limit=limit, now=change.now
            )

    async def differences(self, made: Reconciliation, *, after: str, limit: int) -> list[Difference]:
        async with self.desk.look() as connection:
            return await reconciliations.differences(connection, made, after=after, limit=limit)

    async def every_difference(self, made: Reconciliation) -> AsyncIterator[list[Difference]]:
        """All that differs, in parts. They never change, so nobody who reads slowly has to hold a transaction open."""
        after = ""
        while found := await self.differences(made, after=after, limit=DIFFERENCES_AT_ONCE):
            yield found
            after = found[-1].request_id


async def _refused(change: Change, caller: Caller, day: DayAsked, refused: Refused) -> Refused:
    """Writes down that an operator was let through with a file of which nothing is left: of the institution."""
    await change.act(caller, Action.RECONCILE, thing_id=day.institution_id)
    return refused


def _too_many(differing: int, left: int, at_most: int) -> Refused:
    problem = (
        f"{differing} lines differ; of an institution's files of 24 hours at most {at_most} differences are kept, and "
        f"there are {left}: see that day, province and amounts are those that were asked for, or send it later"
    )
    return Refused((Reason.TOO_MANY_DIFFERENCES,), (Fault("body", problem),))
