"""Decisions by the name of their request, and who sends the request."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from services.settlement.model import Decision, Facts, Institution, RequestName, Resolution, StoredDecision
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
            facts.stored[name] = StoredDecision(row["operation"], row["request"], row["answer"])
        if row["kind"] is not None:
            facts.institutions[name.institution_id] = Institution(
                InstitutionKind(row["kind"]), row["status"] == InstitutionStatus.SUSPENDED, row["amqp_user"]
            )
    return epoch


def columns(resolutions: Sequence[Resolution]) -> list[list[Any]]:
    """The decisions of a batch, column by column, in the order of the table."""
    rows = [_row(resolution) for resolution in resolutions]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(10)]


def _row(resolution: Resolution) -> tuple[Any, ...]:
    incoming, decision = resolution.incoming, resolution.verdict
    assert isinstance(decision, Decision)
    return (
        *incoming.name,
        incoming.operation,
        decision.outcome,
        decision.reason,
        resolution.movement.movement_id if resolution.movement else None,
        incoming.request.content(),
        _record(decision, resolution.locked),
        resolution.answer.model_dump_json(),
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
        },
        default=str,
    ).decode()
