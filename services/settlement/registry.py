"""The registry as the worker sees it: who is insured how, who may pay for whom, under which policy."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

from services.settlement.model import Facts
from shared.domain.enrolment import EndCause, enrolment_of
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
            facts.enrolments[patient] = enrolment_of(
                row["region_code"], row["insurance"], row["status"], row["account_frozen"]
            )
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
            facts.enrolments[payer] = enrolment_of(
                row["payer_region_code"], row["payer_insurance"], row["payer_status"], row["payer_account_frozen"]
            )
    facts.bindings.update((patient, tuple(found)) for patient, found in bindings.items())


async def policies(connection: Any) -> PolicyBook:
    """The shipped policies under those that operators have put."""
    rows = await connection.fetch(SQL["policies"])
    return PolicyBook.of_rows(rows)
