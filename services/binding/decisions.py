"""Decisions of the worker, to be explained to the person whom they are about."""

from typing import Any
from uuid import UUID

import orjson

from services.binding.explanations import Decision, Moved, Ranked
from shared.domain.ids import public_id
from shared.domain.mutual_aid import ranked
from shared.domain.reasons import Reason
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "decisions.sql")


async def find(connection: Any, province: int, decision_id: UUID) -> Decision | None:
    """A decision with its candidates in the order of the rule, what it moved, and what became of that."""
    row = await connection.fetchrow(SQL["find"], province, decision_id)
    if row is None:
        return None
    record = orjson.loads(row["record"])
    moved = await connection.fetch(SQL["moved"], province, decision_id)
    later = await connection.fetch(SQL["later"], province, decision_id)
    return Decision(
        decision_id=public_id(province, row["decision_id"]),
        institution_id=row["institution_id"],
        request_id=row["request_id"],
        operation=row["operation"],
        outcome=row["outcome"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        subject_id=row["subject_id"],
        request=orjson.loads(row["request"]),
        answer=orjson.loads(row["answer"]),
        policy=record.get("policy"),
        locked=tuple(record.get("locked", ())),
        candidates=_ranked(province, record.get("considered", [])),
        moved=tuple(_moved(province, each) for each in moved),
        later=tuple(_moved(province, each) for each in later),
        decided_at=row["decided_at"],
        cancelled_by=row["cancelled_by"],
    )


def _ranked(province: int, considered: list[dict[str, Any]]) -> tuple[Ranked, ...]:
    return tuple(
        Ranked(
            payer_id=seen["payer_id"],
            binding_id=public_id(province, UUID(seen["binding_id"])),
            bound_at=seen["bound_at"],
            policy=seen["policy"],
            usable_fen=seen["usable_fen"],
            limit_left_fen=seen["limit_left_fen"],
            out=Reason(seen["out"]) if seen["out"] else None,
        )
        for seen in ranked(considered)
    )


def _moved(province: int, row: Any) -> Moved:
    return Moved(
        movement_id=public_id(province, row["movement_id"]),
        person_id=row["person_id"],
        kind=row["kind"],
        request_id=row["request_id"],
        binding_id=public_id(province, row["binding_id"]) if row["binding_id"] else None,
        current_year_fen=row["current_year_fen"],
        prior_years_fen=row["prior_years_fen"],
        wallet_fen=row["wallet_fen"],
        at=row["moved_at"],
    )
