"""What is kept of how a decision came about, and back: from the record to the position it was decided by. Pure.

A record holds what the rule saw and could not be found again later: balances, enrolments, limits used, what was left of
an original. What never changes (requests, movements, policies by their version) is named, not copied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.settlement.incoming import Incoming, RequestName
from services.settlement.model import Decision, Original, Position, Returned
from shared.domain.accounts import EMPTY, Account
from shared.domain.enrolment import EndCause, Enrolment, EnrolmentStatus, Insurance
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding, Candidate, Considered
from shared.domain.policy import PolicyBook
from shared.messages.envelope import Operation

Json = dict[str, Any]


class WhyNot(StrEnum):
    """Why a decision cannot be decided again."""

    NOTHING_DECIDED = "nothing_decided"
    REQUEST_UNREADABLE = "request_unreadable"
    RECORD_TOO_OLD = "record_too_old"
    POLICY_UNKNOWN = "policy_unknown"
    TRANSFER_STATE_NOT_KEPT = "transfer_state_not_kept"


class NotRecorded(Exception):
    """The record does not hold what the rule would have to see."""

    def __init__(self, why_not: WhyNot) -> None:
        super().__init__(why_not)
        self.why_not = why_not


def record_of(decision: Decision, position: Position, locked: Sequence[PersonKey]) -> Json:
    """The record of a decision, as JSON can hold it."""
    record: Json = {
        "policy": decision.policy,
        "locked": [key.person_id for key in locked],
        "considered": [_considered(seen) for seen in decision.considered],
        "seen": _seen(position),
    }
    if decision.undo and decision.undo.returned:
        # Part for part, so that a cancel of this refund can take it again.
        record["returned"] = [_returned(each) for each in decision.undo.returned]
    return record


def _seen(position: Position) -> Json:
    """What the rule saw beside the candidates; what is empty is left out."""
    seen: Json = {}
    if position.patient:
        seen["patient"] = position.patient
    if position.account != EMPTY:
        seen["account"] = position.account
    if position.kinship_linked:
        seen["kinship_linked"] = True
    if position.receiver:
        seen["receiver"] = position.receiver
    if position.wallet_binding:
        seen["wallet_binding"] = _binding(position.wallet_binding)
    if position.transfers_today and (position.receiver or position.wallet_binding):
        seen["transfers_today"] = position.transfers_today
    if position.original:
        people = {entry.person for entry in position.original.movement.entries} if position.original.movement else set()
        people.add(position.patient_key)
        seen |= {
            "patient_id": position.patient_key.person_id,
            "original": _original(position.original),
            "balances": {key.person_id: position.balances[key] for key in people if key in position.balances},
        }
        if position.refunded:
            seen["refunded"] = _original(position.refunded)
    return seen


def _considered(seen: Considered) -> Json:
    """A candidate as the rule saw it and what it made of it; what is as with most is left out."""
    candidate = seen.candidate
    binding = candidate.binding
    said: Json = {
        "binding_id": str(binding.binding_id),
        "payer_id": binding.payer.person_id,
        "usable_fen": seen.usable_fen,
        "policy": candidate.policy.name,
        "bound_at": binding.bound_at,
        "payer": candidate.payer,
        "account": candidate.account,
    }
    if seen.out:
        said["out"] = seen.out
    if seen.limit_left_fen is not None:
        said |= {
            "limit_left_fen": seen.limit_left_fen,
            "annual_limit_fen": binding.annual_limit_fen,
            "used_fen": candidate.used_fen,
        }
    if not candidate.connected:
        said["connected"] = False
    if binding.closed:
        said["closed"] = binding.closed
    return said


def _binding(binding: Binding) -> Json:
    fields = asdict(binding)
    return fields | {"payer": list(binding.payer)}


def _original(original: Original) -> Json:
    return {
        "cancelled": original.cancelled,
        "left": [_returned(each) for each in original.left],
        "returned": [_returned(each) for each in original.returned],
        "arrived": original.arrived,
    }


def _returned(each: Returned) -> Json:
    return {"person": list(each.person), **asdict(each.parts)}


# ---- and back ----


def position_of(
    record: Json, incoming: Incoming, decided_at: datetime, book: PolicyBook, originals: Mapping[RequestName, Original]
) -> Position:
    """The position that a request was decided by. `originals` are the requests that it speaks of, as the ledger has them.

    Raises NotRecorded.
    """
    seen = record.get("seen")
    if seen is None:
        raise NotRecorded(WhyNot.RECORD_TOO_OLD)
    province = incoming.name.province
    subject = incoming.subject
    patient_id = seen.get("patient_id") or (subject.person_id if subject else "")
    name = incoming.original
    original = originals.get(name) if name else None
    refunded = originals.get(original.refunds) if original and original.refunds else None
    if original and original.stored.operation == Operation.TRANSFER:
        raise NotRecorded(WhyNot.TRANSFER_STATE_NOT_KEPT)
    return Position(
        now=decided_at,
        sender=incoming.sender,
        authenticate_senders=False,
        institution=None,
        patient=_enrolment(seen.get("patient")),
        patient_key=PersonKey(province, patient_id),
        account=_account(seen.get("account")),
        policy=book.named(record["policy"]) if record.get("policy") else None,
        candidates=tuple(_candidate(each, province, book) for each in record["considered"]),
        kinship_linked=seen.get("kinship_linked", False),
        original_name=name,
        original=_as_it_was(original, seen.get("original")),
        refunded=_as_it_was(refunded, seen.get("refunded")),
        balances={
            PersonKey(province, person_id): _account(parts) for person_id, parts in seen.get("balances", {}).items()
        },
        receiver=_enrolment(seen.get("receiver")),
        wallet_binding=_binding_of(seen.get("wallet_binding")),
        transfers_today=seen.get("transfers_today", 0),
    )


def _candidate(said: Json, province: int, book: PolicyBook) -> Candidate:
    policy = book.named(said["policy"])
    if policy is None:
        raise NotRecorded(WhyNot.POLICY_UNKNOWN)
    return Candidate(
        binding=Binding(
            UUID(said["binding_id"]),
            PersonKey(province, said["payer_id"]),
            datetime.fromisoformat(said["bound_at"]),
            said.get("annual_limit_fen"),
            closed=EndCause(said["closed"]) if said.get("closed") else None,
        ),
        payer=_enrolment(said["payer"]),
        account=_account(said["account"]),
        policy=policy,
        connected=said.get("connected", True),
        used_fen=said.get("used_fen", 0),
    )


def _binding_of(said: Json | None) -> Binding | None:
    if said is None:
        return None
    return Binding(
        UUID(said["binding_id"]),
        PersonKey(*said["payer"]),
        datetime.fromisoformat(said["bound_at"]),
        said["annual_limit_fen"],
        wallet=said["wallet"],
        auto_accept=said["auto_accept"],
    )


def _as_it_was(original: Original | None, said: Json | None) -> Original | None:
    """An original in the state in which a later request found it."""
    if original is None or said is None:
        return None
    return replace(
        original,
        cancelled=said["cancelled"],
        left=tuple(returned_of(each) for each in said["left"]),
        returned=tuple(returned_of(each) for each in said["returned"]),
        arrived=said["arrived"],
    )


def returned_of(said: Json) -> Returned:
    """What was given back of one person's entry, as a record writes it."""
    return Returned(
        PersonKey(*said["person"]), Account(said["current_year_fen"], said["prior_years_fen"], said["wallet_fen"])
    )


def _enrolment(said: Json | None) -> Enrolment | None:
    if said is None:
        return None
    return Enrolment(
        said["region_code"], Insurance(said["insurance"]), EnrolmentStatus(said["status"]), said["account_frozen"]
    )


def _account(said: Json | None) -> Account:
    return Account(**said) if said else EMPTY
