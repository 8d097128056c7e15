"""The registry as the worker sees it: who is insured how, who may pay for whom, under which policy."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

from services.settlement.model import Facts
from shared.domain.enrolment import EndCause, Enrolment, EnrolmentStatus, Insurance
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding
from shared.domain.policy import PolicyBook
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "registry.sql")


async def people(connection: Any, patients: Iterable[PersonKey], today: date, facts: Facts) -> None:
    """Adds the patients, their bindings valid or closed on the Shanghai date `today`, and those bindings' payers."""
    keys = sorted(set(patients))
    if not keys:
        return
    rows = await connection.fetch(SQL["people"], [k.province for k in keys], [k.person_id for k in keys], today)
    bindings: dict[PersonKey, list[Binding]] = defaultdict(list)
    for row in rows:
        patient = PersonKey(row["province"], row["person_id"])
        if row["kinship_linked"]:
            facts.kinship_linked.add(patient)
        if row["awaiting"]:
            facts.awaiting.add(patient)
        if row["region_code"] is not None:
            facts.enrolments[patient] = _enrolment(row, "")
        if row["binding_id"] is None:
            continue
        payer = PersonKey(row["payer_province"], row["payer_id"])
        bindings[patient].append(
            Binding(
                row["binding_id"],
                payer,
                row["bound_at"],
                row["annual_limit_fen"],
                wallet=row["wallet"],
                auto_accept=row["auto_accept"],
                closed=EndCause(row["closed_cause"]) if row["closed_cause"] else None,
            )
        )
        if row["payer_region_code"] is not None:
            facts.enrolments[payer] = _enrolment(row, "payer_")
    facts.bindings.update((patient, tuple(found)) for patient, found in bindings.items())


async def policies(connection: Any) -> PolicyBook:
    """The shipped policies under those that operators have put."""
    rows = await connection.fetch(SQL["policies"])
    return PolicyBook.of_rows(rows)


def _enrolment(row: Any, prefix: str) -> Enrolment:
    return Enrolment(
        region_code=row[f"{prefix}region_code"],
        insurance=Insurance(row[f"{prefix}insurance"]),
        status=EnrolmentStatus(row[f"{prefix}status"]),
        account_frozen=row[f"{prefix}account_frozen"],
    )
