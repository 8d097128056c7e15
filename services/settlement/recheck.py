"""Deciding again: a stored decision, from its record, by the rule of today.

Nothing is written. Where the answer differs, either the record or the answer was tampered with, or the rule has changed
its mind: both are worth knowing.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from services.settlement import answers, decisions, known, metrics, originals, rules
from services.settlement.incoming import Incoming, RequestName
from services.settlement.ledger import Hold
from services.settlement.model import Facts, Original
from services.settlement.records import NotRecorded, WhyNot, position_of
from shared.domain.ids import earliest_id, public_id
from shared.domain.policy import PolicyBook
from shared.domain.times import Clock
from shared.messages.catalogue import CATALOGUE
from shared.messages.envelope import Operation
from shared.postgres.pool import lent
from shared.postgres.trouble import Trouble, trouble_of
from shared.runtime.rounds import rounds

log = structlog.get_logger()

ROLE = "gongji_settlement"
# Of each province, each time.
SAMPLE = 20
LOOKS_BACK = timedelta(days=1)


class Result(StrEnum):
    SAME = "same"
    DIFFERENT = "different"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Recheck:
    """What deciding again has come to: the fields of the answer that differ, stored and now; or why it is impossible."""

    result: Result
    differences: Mapping[str, tuple[Any, Any]]
    why_not: WhyNot | None = None


async def recheck(connection: Any, province: int, decision_id: UUID, book: PolicyBook) -> Recheck | None:
    """Decides a stored decision again; None where there is no such decision."""
    row = await decisions.stored(connection, province, decision_id)
    if row is None:
        return None
    if row["operation"] not in CATALOGUE:
        return Recheck(Result.IMPOSSIBLE, {}, WhyNot.NOTHING_DECIDED)
    try:
        incoming = Incoming(CATALOGUE[Operation(row["operation"])].request.model_validate_json(row["request"]))
    except ValidationError:
        return Recheck(Result.IMPOSSIBLE, {}, WhyNot.REQUEST_UNREADABLE)
    earlier = await _originals(connection, incoming)
    try:
        position = position_of(from_json(row["record"]), incoming, row["decided_at"], book, earlier)
    except NotRecorded as error:
        return Recheck(Result.IMPOSSIBLE, {}, error.why_not)
    decision = rules.decided(incoming.request, position)
    movement_id = decision_id if decision.moves_money else None
    again = from_json(answers.answer(incoming, decision, movement_id, row["decided_at"]).text)
    before = from_json(row["answer"])
    differences = {
        name: (before.get(name), again.get(name))
        for name in again | before
        if name != "decided_at" and before.get(name) != again.get(name)
    }
    return Recheck(Result.DIFFERENT if differences else Result.SAME, differences)


async def policies(connection: Any) -> PolicyBook:
    """Every policy version that a record can name."""
    return await known.policies(connection)


async def _originals(connection: Any, incoming: Incoming) -> Mapping[RequestName, Original]:
    """The requests that a request speaks of, as the ledger has them."""
    facts = Facts()
    name = incoming.original
    if name is None:
        return {}
    await known.read_under(connection, name, facts)
    await originals.read(connection, [incoming], facts, Hold.READ)
    return facts.originals


@dataclass(frozen=True, slots=True)
class Rechecks:
    """Decides a sample of the last day's decisions again, `every_s` seconds apart."""

    pool: Any
    clock: Clock
    every_s: float

    async def run(self, stop: asyncio.Event) -> None:
        """Returns once `stop` is set."""
        await rounds(self.sample, stop, every_s=self.every_s, failed=_interrupted)

    async def sample(self) -> None:
        """Some decisions of each province, from a moment of the last day that chance chooses."""
        back_s = secrets.randbelow(int(LOOKS_BACK.total_seconds()))
        start = earliest_id(self.clock() - timedelta(seconds=back_s))
        async with lent(self.pool) as connection:
            book = await policies(connection)
            sample = await decisions.sample(connection, start, SAMPLE)
        for province, decision_id in sample:
            # A connection for each: a nation's sample takes longer than one is lent.
            async with lent(self.pool) as connection:
                found = await recheck(connection, province, decision_id, book)
            assert found, "decisions are never deleted"
            metrics.RECHECKS.labels(found.result).inc()
            if found.result is Result.DIFFERENT:
                log.error(
                    "recheck_differs", decision_id=public_id(province, decision_id), fields=sorted(found.differences)
                )


def _interrupted(error: Exception) -> None:
    poison = trouble_of(error) is Trouble.POISON
    log.warning("recheck_interrupted", error=type(error).__name__, exc_info=poison)
