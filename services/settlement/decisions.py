"""Decisions by the name of their request, and who sends the request."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from services.settlement.model import (
    BLOCKED,
    Decision,
    Facts,
    Institution,
    RequestName,
    Resolution,
    Returned,
    StoredDecision,
    Undo,
    decision_id,
)
from shared.domain.accounts import Account
from shared.domain.enrolment import InstitutionKind, InstitutionStatus
from shared.domain.ids import PersonKey
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "decisions.sql")


async def requests(connection: Any, names: Sequence[RequestName], facts: Facts) -> int:
    """Adds to `facts` what was decided under each name and who its institution is. Returns the policies' epoch."""
    rows = await connection.fetch(
        SQL["requests"],
        [name.province for name in names],
        [name.institution_id for name in names],
        [name.request_id for name in names],
    )
    epoch = 0
    for name, row in zip(names, rows, strict=True):
        epoch = row["policy_epoch"]
        if row["operation"] is not None:
            facts.stored[name] = StoredDecision(
                row["operation"], row["request"], row["answer"], row["movement_id"], row["decided_at"]
            )
        if row["cancelled"]:
            facts.cancelled.add(name)
        if row["kind"] is not None:
            facts.institutions[name.institution_id] = Institution(
                InstitutionKind(row["kind"]), row["status"] == InstitutionStatus.SUSPENDED, row["amqp_user"]
            )
    return epoch


async def returned(connection: Any, refund: RequestName) -> tuple[Returned, ...]:
    """What a refund gave back, in the parts of its original."""
    rows = orjson.loads(await connection.fetchval(SQL["returned"], *refund))
    return tuple(
        Returned(
            PersonKey(row["person"][0], row["person"][1]),
            Account(row["current_year_fen"], row["prior_years_fen"], row["wallet_fen"]),
        )
        for row in rows
    )


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


def columns(resolutions: Sequence[Resolution], undone: Sequence[Undo], now: datetime) -> list[list[Any]]:
    """The decisions of a batch, column by column, in the order of the table; names that were blocked among them."""
    rows = [_row(resolution, now) for resolution in resolutions]
    rows += [_tombstone(undo.name, now) for undo in undone if undo.blocks]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(11)]


def _row(resolution: Resolution, now: datetime) -> tuple[Any, ...]:
    incoming, decision = resolution.incoming, resolution.verdict
    assert isinstance(decision, Decision)
    return (
        incoming.name.province,
        decision_id(incoming.name, now),
        incoming.name.institution_id,
        incoming.name.request_id,
        incoming.operation,
        decision.outcome,
        decision.reason,
        resolution.movement is not None,
        incoming.request.content(),
        _record(decision, resolution.locked),
        resolution.answer.model_dump_json(),
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
    )


def _record(decision: Decision, locked: Sequence[PersonKey]) -> str:
    """The candidates as the rule saw them, so that the decision can be explained and decided again."""
    considered = [asdict(seen) for seen in decision.considered]
    # asyncpg's UUIDs are a type of their own that orjson does not know.
    return orjson.dumps(
        {
            "policy": decision.policy,
            "locked": [key.person_id for key in locked],
            "considered": considered,
        }
        | _returned(decision),
        default=str,
    ).decode()


def _returned(decision: Decision) -> dict[str, Any]:
    """Part for part, so that a cancel of this refund can take it again."""
    if not decision.undo or not decision.undo.returned:
        return {}
    return {"returned": [{"person": list(each.person), **asdict(each.parts)} for each in decision.undo.returned]}
