"""Requests, positions and families with good defaults: a test names only what it is about. Money is fen."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from services.settlement.batch import Batch
from services.settlement.incoming import Incoming, Sender
from services.settlement.journal import Journal
from services.settlement.model import Decision, Facts, Institution, Original, Position, StoredDecision, Verdict
from services.settlement.rules import decide
from shared.domain.accounts import Account
from shared.domain.enrolment import EndCause, Enrolment, EnrolmentStatus, InstitutionKind, Insurance
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding, Candidate
from shared.domain.policy import PolicyBook, PolicyVersion, RegionPolicy
from shared.messages.catalogue import CATALOGUE
from shared.messages.credit import CreditRequest
from shared.messages.envelope import Operation, Request
from shared.messages.lookup import LookupRequest
from shared.messages.settle import QuoteRequest, SettleRequest
from shared.messages.signing import EdwardsKey
from shared.messages.transfer import TransferRequest
from shared.messages.undo import CancelRequest, RefundRequest
from tests.support.reading import read

NOW = datetime(2026, 11, 22, 1, 30, tzinfo=UTC)
BOUND_AT = datetime(2025, 3, 1, tzinfo=UTC)
AREA = "130100"
PROVINCE = 13
PATIENT = PersonKey(PROVINCE, "patient")
PAYER = PersonKey(PROVINCE, "payer")

COMMON: dict[str, Any] = {
    "request_id": "R-1",
    "institution_id": "hospital-1",
    "insured_region": AREA,
    "occurred_at": "2026-11-22T09:30:00+08:00",
}


# ---- requests ----


def incoming(operation: str, body: dict[str, Any]) -> Incoming:
    """A request as a worker has it in hand once it has read it."""
    return Incoming(CATALOGUE[Operation(operation)].request.model_validate_json(orjson.dumps(body)))


def settle_body(**fields: Any) -> dict[str, Any]:
    """A settle of 100 yuan as a sender writes it, with the patient's own credential."""
    person_id = fields.get("person_id", PATIENT.person_id)
    return {
        **COMMON,
        "person_id": person_id,
        "credential": {"type": "01", "person_id": person_id},
        "expense_type": "outpatient",
        "amount_fen": 10_000,
        "care_region": "110100",
        **fields,
    }


def credit_body(**fields: Any) -> dict[str, Any]:
    return {
        **COMMON,
        "institution_id": "agency-1",
        "person_id": PATIENT.person_id,
        "fund": "current_year",
        "amount_fen": 10_000,
        **fields,
    }


def lookup_body(**fields: Any) -> dict[str, Any]:
    return {**COMMON, "request_id": "L-1", "original_request_id": "R-1", **fields}


def settle(**fields: Any) -> SettleRequest:
    return SettleRequest.model_validate_json(json.dumps(settle_body(**fields)))


def quote(**fields: Any) -> QuoteRequest:
    return QuoteRequest.model_validate_json(json.dumps(settle_body(**fields)))


def credit(**fields: Any) -> CreditRequest:
    return CreditRequest.model_validate_json(json.dumps(credit_body(**fields)))


def transfer(**fields: Any) -> TransferRequest:
    """A gift of 100 yuan from the patient to somebody's wallet in another province."""
    body = {
        **COMMON,
        "institution_id": "agency-1",
        "from_person_id": PATIENT.person_id,
        "to_person_id": "receiver",
        "to_insured_region": "120100",
        "amount_fen": 10_000,
        **fields,
    }
    return TransferRequest.model_validate_json(json.dumps(body))


def refund(**fields: Any) -> RefundRequest:
    """All that is left of R-1, or with an amount so much of it."""
    body = {**COMMON, "request_id": "U-1", "original_request_id": "R-1", **fields}
    return RefundRequest.model_validate_json(
        json.dumps({name: value for name, value in body.items() if value is not None})
    )


def cancel(**fields: Any) -> CancelRequest:
    return CancelRequest.model_validate_json(
        json.dumps({**COMMON, "request_id": "U-1", "original_request_id": "R-1", **fields})
    )


def lookup(**fields: Any) -> LookupRequest:
    return LookupRequest.model_validate_json(json.dumps(lookup_body(**fields)))


def stored(request: Request, answer: str = "{}") -> StoredDecision:
    """The decision that was stored when `request` was decided."""
    return StoredDecision(request.operation, request.content(), answer)


# ---- what the rule sees ----


def enrolment(
    region: str = AREA, insurance: str = "employee", status: str = "active", *, frozen: bool = False
) -> Enrolment:
    return Enrolment(region, Insurance(insurance), EnrolmentStatus(status), frozen)


def policy(code: str = "13", version: int = 1, **fields: Any) -> PolicyVersion:
    """A policy that an operator has put: open within the province, the whole balance."""
    opened: dict[str, Any] = {"effective_from": "2025-01-01", "scope": "province"}
    return PolicyVersion(code, version, RegionPolicy.model_validate({**opened, **fields}))


def binding(payer_id: str = "payer", number: int = 1, **fields: Any) -> Binding:
    """A binding valid today; `number` makes its id: the smaller the number, the smaller the id."""
    return Binding(
        binding_id=UUID(int=number),
        payer=PersonKey(fields.get("province", PROVINCE), payer_id),
        bound_at=fields.get("bound_at", BOUND_AT),
        annual_limit_fen=fields.get("limit"),
        closed=fields.get("closed"),
    )


def candidate(
    payer_id: str = "payer",
    *,
    current: int = 0,
    prior: int = 0,
    wallet: int = 0,
    number: int = 1,
    bound_at: datetime = BOUND_AT,
    limit: int | None = None,
    used: int = 0,
    known: bool = True,
    insurance: str = "employee",
    status: str = "active",
    frozen: bool = False,
    connected: bool = True,
    closed: EndCause | None = None,
    **policy_fields: Any,
) -> Candidate:
    """A payer whom nothing but an empty account keeps from paying."""
    return Candidate(
        binding=binding(payer_id, number, bound_at=bound_at, limit=limit, closed=closed),
        payer=enrolment(insurance=insurance, status=status, frozen=frozen) if known else None,
        account=Account(current, prior, wallet),
        policy=policy(**policy_fields),
        connected=connected,
        used_fen=used,
    )


def position(
    *candidates: Candidate,
    current: int = 0,
    prior: int = 0,
    wallet: int = 0,
    known: bool = True,
    insurance: str = "employee",
    status: str = "active",
    frozen: bool = False,
    kinship_linked: bool = False,
    registered: bool = True,
    kind: str = "hospital",
    suspended: bool = False,
    amqp_user: str | None = "clinic",
    user_id: str | None = None,
    reply_to: str | None = None,
    authenticate_senders: bool = False,
    signature_holds: bool = True,
    now: datetime = NOW,
    stored: StoredDecision | None = None,
    original: Original | None = None,
) -> Position:
    """An insured employee with an empty account, at an active hospital, which need not sign or has not signed."""
    keys = () if signature_holds else (EdwardsKey(kid="unused", x="A" * 43),)
    institution = Institution(InstitutionKind(kind), suspended, amqp_user, keys)
    return Position(
        now=now,
        sender=Sender(user_id, reply_to),
        authenticate_senders=authenticate_senders,
        institution=institution if registered else None,
        stored=stored,
        patient=enrolment(insurance=insurance, status=status, frozen=frozen) if known else None,
        patient_key=PATIENT,
        account=Account(current, prior, wallet),
        policy=policy() if known else None,
        candidates=candidates,
        kinship_linked=kinship_linked,
        original=original,
    )


def decided(request: Request, at: Position) -> Decision:
    """The decision on a request that must be acceptable."""
    verdict = decide(request, at)
    assert isinstance(verdict, Decision), verdict
    return verdict


def reason_of(verdict: Verdict) -> str | None:
    """The reason of a rejection or of a decision; a replay has none."""
    return getattr(verdict, "reason", None)


# ---- a family in memory ----


def batch(
    people: dict[PersonKey, Enrolment],
    accounts: dict[PersonKey, Account] | None = None,
    bindings: Iterable[Binding] = (),
    policies: Iterable[PolicyVersion] = (),
    *,
    kinship_linked: bool = False,
    now: datetime = NOW,
) -> Batch:
    """A batch about one patient's family, at one hospital and one agency; every binding is the patient's."""
    institutions = {
        "hospital-1": Institution(InstitutionKind.HOSPITAL, suspended=False, amqp_user=None),
        "pharmacy-1": Institution(InstitutionKind.PHARMACY, suspended=False, amqp_user=None),
        "agency-1": Institution(InstitutionKind.AGENCY, suspended=False, amqp_user=None),
    }
    facts = Facts(
        institutions=institutions,
        enrolments=dict(people),
        bindings={PATIENT: tuple(bindings)},
        kinship_linked={PATIENT} if kinship_linked else set(),
    )
    return Batch(Journal(now, dict(accounts or {})), PolicyBook.of(policies), facts)


def family(payer_region: str = "130100", patient_region: str = "130100", **fields: Any) -> Batch:
    """A resident patient and an employee with 500 yuan who has bound the patient."""
    payer = PersonKey(int(payer_region[:2]), "payer")
    return batch(
        {PATIENT: enrolment(patient_region, "resident"), payer: enrolment(payer_region)},
        {payer: Account(prior_years_fen=50_000), PATIENT: Account(wallet_fen=fields.pop("wallet", 0))},
        [binding(province=payer.province, limit=fields.pop("limit", None))],
        fields.pop("policies", ()),
        **fields,
    )


def answered(in_batch: Batch, request: Request) -> dict[str, Any]:
    """The answer to a request as the sender reads it."""
    return read(in_batch.decide(Incoming(request)).answer).model_dump(mode="json")


def earlier(days: int) -> datetime:
    """A time so many days before the default binding was made."""
    return BOUND_AT - timedelta(days=days)
