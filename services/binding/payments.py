"""Payments, as the people on both sides may see them."""

from typing import Any

from services.binding.model import Payment, PaymentFund, PaymentKind, PaymentRole, PaymentsAsked
from shared.domain.enrolment import InstitutionKind
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "payments.sql")


async def page(connection: Any, asked: PaymentsAsked, limit: int) -> list[Payment]:
    """At most `limit` payments after the place asked for, newest first."""
    rows = await connection.fetch(
        SQL["page"],
        asked.person_id,
        asked.role,
        asked.first_id,
        asked.last_id,
        asked.after.movement_id,
        asked.after.line,
        limit,
    )
    return [_payment(row) for row in rows]


def _payment(row: Any) -> Payment:
    return Payment(
        province=row["province"],
        row_id=row["movement_id"],
        line=row["line"],
        at=row["moved_at"],
        kind=PaymentKind(row["kind"]),
        role=PaymentRole(row["role"]),
        other_person_id=row["other_person_id"],
        fund=PaymentFund(row["fund"]),
        amount_fen=row["amount_fen"],
        institution_kind=InstitutionKind(row["institution_kind"]),
    )
