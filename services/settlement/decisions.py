"""Decisions by the name of their request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from services.settlement.incoming import RequestName
from services.settlement.model import (
    BLOCKED,
    Decision,
    Resolution,
    Returned,
    StoredDecision,
    Undo,
    decision_id,
)
from services.settlement.records import returned_of
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "decisions.sql")


async def decided(connection: Any, known: Mapping[RequestName, UUID]) -> dict[RequestName, StoredDecision]:
    """What was decided under these names. Apart from them: most requests are new, and for those no month is looked into."""
    rows = await connection.fetch(SQL["decided"], [name.province for name in known], list(known.values()))
    return {
        name: StoredDecision(row["operation"], row["request"], row["answer"], row["movement_id"], row["decided_at"])
        for name, row in zip(known, rows, strict=True)
    }


async def returned(connection: Any, refund: RequestName) -> tuple[Returned, ...]:
    """What a refund gave back, in the parts of its original."""
    return tuple(returned_of(each) for each in orjson.loads(await connection.fetchval(SQL["returned"], *refund)))


async def stored(connection: Any, province: int, decision_id: UUID) -> Any:
    """A decision with all that is kept of it, or None."""
    return await connection.fetchrow(SQL["stored"], province, decision_id)


async def sample(connection: Any, start: UUID, limit: int) -> list[tuple[int, UUID]]:
    """At most `limit` decisions of each province from an id on."""
    return [(row["province"], row["decision_id"]) for row in await connection.fetch(SQL["sample"], start, limit)]


async def cancel(connection: Any, undone: Sequence[Undo], resolutions: Sequence[Resolution], now: datetime) -> None:
    """Writes which requests are over for good.

    Raises asyncpg.UniqueViolationError on one_cancellation_per_request where another worker was faster.
    """
    by = {
        resolution.verdict.undo.name: resolution.incoming.name
        for resolution in resolutions
        if isinstance(resolution.verdict, Decision) and resolution.verdict.undo
    }
    rows = [(*undo.name, by[undo.name].request_id) for undo in undone if undo.cancels]
    if rows:
        await connection.execute(SQL["cancel"], *[list(column) for column in zip(*rows, strict=True)], now)


def rows(resolutions: Sequence[Resolution], undone: Sequence[Undo], now: datetime) -> list[tuple[Any, ...]]:
    """The decisions of a batch as ledger.new_decision, names that were blocked among them."""
    return [
        *(_row(resolution, now) for resolution in resolutions),
        *(_tombstone(undo.name, now) for undo in undone if undo.blocks),
    ]


def _row(resolution: Resolution, now: datetime) -> tuple[Any, ...]:
    kept, name = resolution.kept, resolution.incoming.name
    assert kept
    return (
        name.province,
        kept.decision_id,
        name.institution_id,
        name.request_id,
        kept.stored.operation,
        resolution.answer.outcome,
        resolution.answer.reason,
        kept.movement is not None,
        kept.stored.content,
        _json(kept.record),
        kept.stored.answer,
        now,
    )


def _tombstone(name: RequestName, now: datetime) -> tuple[Any, ...]:
    return (
        name.province,
        decision_id(name, now),
        name.institution_id,
        name.request_id,
        BLOCKED,
        BLOCKED,
        None,
        False,
        "{}",
        "{}",
        "{}",
        now,
    )


def _json(record: Mapping[str, Any]) -> str:
    # asyncpg's UUIDs are a type of their own that orjson does not know.
    return orjson.dumps(record, default=str).decode()
