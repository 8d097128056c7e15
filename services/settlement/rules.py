"""The rule. Everything that decides who pays lives in this file, and nothing here does anything but decide.

No I/O, no clock, no await: a request and a position go in, a verdict comes out. Guards stand in the contract's order
of precedence, one reason each. Source: contract.md, "How a settlement is decided"; domain.md, rules 1-11.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json

from services.settlement.model import (
    Account,
    Candidate,
    Considered,
    Contra,
    Decision,
    Entry,
    Position,
    Rejection,
    Replay,
    Sender,
    Verdict,
)
from shared.domain.enrolment import EnrolmentStatus, InstitutionKind, Insurance
from shared.domain.policy import NEVER_COVERED, Funds, RegionPolicy
from shared.domain.reasons import Reason
from shared.messages.credit import CreditRequest
from shared.messages.envelope import OCCURRED_AHEAD_MAX, Operation, Outcome, Request
from shared.messages.lookup import LookupRequest
from shared.messages.settle import QuoteRequest, SettleRequest

CARE_GIVERS = frozenset(
    {InstitutionKind.HOSPITAL, InstitutionKind.PHARMACY, InstitutionKind.GATEWAY, InstitutionKind.TAX_OFFICE}
)
# A lookup asks for the sender's own request, so every kind of institution may ask.
MAY_SEND: dict[Operation, frozenset[InstitutionKind]] = {
    Operation.SETTLE: CARE_GIVERS,
    Operation.QUOTE: CARE_GIVERS,
    Operation.CREDIT: frozenset({InstitutionKind.AGENCY}),
    Operation.LOOKUP: frozenset(InstitutionKind),
}

# Why a candidate is out, from farthest from success to nearest.
CANDIDATE_REASONS = (
    Reason.REGION_NOT_CONNECTED,
    Reason.PAYER_NOT_ELIGIBLE,
    Reason.PAYER_ACCOUNT_FROZEN,
    Reason.EXPENSE_NOT_SHARED,
    Reason.AUTHORISED_LIMIT_EXCEEDED,
)


def decide(request: Request, position: Position) -> Verdict:
    """What becomes of a request. A refusal is a value: Rejection (not decided) or a declined Decision."""
    if reason := refuse_sender(request, position):
        return Rejection(reason)
    if stored := position.stored:
        same = stored.operation == request.operation and from_json(stored.content) == canonical(request)
        return Replay(stored) if same else Rejection(Reason.REQUEST_CONFLICT)
    if reason := refuse_institution(request.operation, position):
        return Rejection(reason)
    match request:
        case QuoteRequest():
            decision = settle(request, position)
            return replace(decision, entries=(), own_balance_fen=quoted_balance(decision, position))
        case SettleRequest():
            return settle(request, position)
        case CreditRequest():
            return credit(request, position)
        case LookupRequest():
            found = position.original is not None
            return Decision(Outcome.FOUND if found else Outcome.NOT_FOUND, original=position.original)
        case _:
            raise AssertionError(f"no rule for {request.operation}")


def canonical(request: Request) -> dict[str, Any]:
    """A request's content as values, to compare with what was stored under the same name."""
    content: dict[str, Any] = from_json(request.content())
    return content


# ---- Is the request acceptable? ----


def refuse_sender(request: Request, position: Position) -> Reason | None:
    """Guards on who sent it and when. A wrong sender is told nothing about stored requests."""
    sender, institution = position.sender, position.institution
    if request.occurred_at > position.now + OCCURRED_AHEAD_MAX:
        return Reason.MALFORMED
    registered = institution.amqp_user if institution else None
    if sender.user_id is not None and registered is not None and sender.user_id != registered:
        return Reason.SENDER_MISMATCH
    if not position.authenticate_senders:
        return None
    if sender.user_id is None or sender.user_id != registered:
        return Reason.SENDER_MISMATCH
    if sender.reply_to is not None and not owns_reply_queue(sender):
        return Reason.REPLY_QUEUE_NOT_ALLOWED
    return None


def owns_reply_queue(sender: Sender) -> bool:
    """RabbitMQ rewrites a direct reply-to to amq.rabbitmq.reply-to.<token>: only its owner can have been given it."""
    reply_to = sender.reply_to or ""
    if reply_to.startswith("amq.rabbitmq.reply-to."):
        return True
    return sender.user_id is not None and reply_to.startswith(f"reply.{sender.user_id}.")


def refuse_institution(operation: Operation, position: Position) -> Reason | None:
    institution = position.institution
    if institution is None:
        return Reason.INSTITUTION_UNKNOWN
    if institution.suspended:
        return Reason.INSTITUTION_SUSPENDED
    if institution.kind not in MAY_SEND[operation]:
        return Reason.INSTITUTION_NOT_ALLOWED
    return None


# ---- settle ----


def settle(request: SettleRequest, position: Position) -> Decision:
    """Own account, then wallet, then one relative for the whole of what is left."""
    if reason := refuse_person(request, position):
        known = reason is Reason.EXPENSE_NOT_COVERED
        return Decision(Outcome.DECLINED, reason, own_balance_fen=position.account.personal_fen if known else None)

    account = position.account
    own_fen = min(account.personal_fen, request.amount_fen) if pays_own(request, position) else 0
    wallet_fen = min(account.wallet_fen, request.amount_fen - own_fen)
    shortfall_fen = request.amount_fen - own_fen - wallet_fen

    considered: tuple[Considered, ...] = ()
    payer: Candidate | None = None
    reason = None
    if shortfall_fen > 0:
        payer, reason, considered = ask_mutual_aid(request, position, shortfall_fen)

    policy = position.policy.name if position.policy else None
    cash_fen = 0 if payer or shortfall_fen == 0 else shortfall_fen
    if cash_fen > 0 and (request.require_full or cash_fen == request.amount_fen):
        if request.require_full and not request.use_mutual_aid:
            reason = Reason.OWN_BALANCE_INSUFFICIENT
        return Decision(
            Outcome.DECLINED,
            reason,
            own_balance_fen=account.personal_fen,
            considered=considered,
            policy=policy,
        )

    entries = [own_entry(position, own_fen, wallet_fen)] if own_fen or wallet_fen else []
    if payer:
        entries.append(payer_entry(payer, shortfall_fen))
    return Decision(
        Outcome.PARTIAL if cash_fen else Outcome.SETTLED,
        reason,
        own_account_fen=own_fen,
        wallet_fen=wallet_fen,
        mutual_aid_fen=shortfall_fen if payer else 0,
        payer_id=payer.binding.payer.person_id if payer else None,
        own_balance_fen=account.personal_fen - own_fen,
        entries=tuple(entries),
        considered=considered,
        policy=policy,
    )


def refuse_person(request: SettleRequest, position: Position) -> Reason | None:
    if position.patient is None:
        return Reason.PERSON_UNKNOWN
    if request.credential.person_id != request.person_id:
        return Reason.CREDENTIAL_MISMATCH
    if position.patient.status is not EnrolmentStatus.ACTIVE:
        return Reason.PERSON_NOT_INSURED
    if request.expense_type in NEVER_COVERED:
        return Reason.EXPENSE_NOT_COVERED
    return None


def pays_own(request: SettleRequest, position: Position) -> bool:
    patient = position.patient
    return request.use_own_account and patient is not None and patient.is_active_employee and not patient.account_frozen


def ask_mutual_aid(
    request: SettleRequest, position: Position, shortfall_fen: int
) -> tuple[Candidate | None, Reason | None, tuple[Considered, ...]]:
    """The one relative who pays the whole shortfall, or why there is none; and everybody who was considered."""
    if not request.use_mutual_aid:
        return None, Reason.MUTUAL_AID_NOT_REQUESTED, ()
    if not position.candidates:
        return None, Reason.KINSHIP_ACCOUNT_ONLY if position.kinship_linked else Reason.NO_BINDING, ()

    considered = tuple(consider(request, candidate, shortfall_fen) for candidate in position.candidates)
    ranked = [
        (rank(seen), candidate, seen)
        for candidate, seen in zip(position.candidates, considered, strict=True)
        if seen.out is None
    ]
    if not ranked:
        nearest = max((seen.out for seen in considered if seen.out), key=CANDIDATE_REASONS.index)
        return None, nearest, considered

    _, richest, seen = min(ranked, key=lambda each: each[0])
    if seen.usable_fen == 0:
        return None, Reason.PAYER_BALANCE_ZERO, considered
    if seen.usable_fen < shortfall_fen:
        return None, Reason.RICHEST_PAYER_INSUFFICIENT, considered
    return richest, None, considered


def rank(seen: Considered) -> tuple[int, datetime, UUID]:
    """Most usable balance first; ties: the binding made earliest, then the smallest binding id."""
    return -seen.usable_fen, seen.bound_at, seen.binding_id


def consider(request: SettleRequest, candidate: Candidate, shortfall_fen: int) -> Considered:
    left_fen = limit_left(candidate)
    return Considered(
        binding_id=candidate.binding.binding_id,
        payer_id=candidate.binding.payer.person_id,
        usable_fen=usable(candidate.account, candidate.policy.policy),
        policy=candidate.policy.name,
        bound_at=candidate.binding.bound_at,
        out=refuse_candidate(request, candidate, left_fen, shortfall_fen),
        limit_left_fen=left_fen,
    )


def refuse_candidate(
    request: SettleRequest, candidate: Candidate, left_fen: int | None, shortfall_fen: int
) -> Reason | None:
    if not candidate.connected:
        return Reason.REGION_NOT_CONNECTED
    if candidate.payer is None or not candidate.payer.is_active_employee:
        return Reason.PAYER_NOT_ELIGIBLE
    if candidate.payer.account_frozen:
        return Reason.PAYER_ACCOUNT_FROZEN
    if request.expense_type not in candidate.policy.policy.shared_expense_types:
        return Reason.EXPENSE_NOT_SHARED
    if left_fen is not None and left_fen < shortfall_fen:
        return Reason.AUTHORISED_LIMIT_EXCEEDED
    return None


def limit_left(candidate: Candidate) -> int | None:
    """What this binding may still use in this calendar year; None where neither binding nor policy limits it."""
    limits = [
        limit
        for limit in (candidate.binding.annual_limit_fen, candidate.policy.policy.annual_limit_fen)
        if limit is not None
    ]
    return max(min(limits) - candidate.used_fen, 0) if limits else None


def usable(account: Account, policy: RegionPolicy) -> int:
    """The funds that the payer's region lets be shared, less what it must keep, never below 0."""
    shared_fen = account.prior_years_fen if policy.funds is Funds.PRIOR_YEARS else account.personal_fen
    return max(shared_fen - policy.keep_fen, 0)


def own_entry(position: Position, own_fen: int, wallet_fen: int) -> Entry:
    """The patient pays with this year's money first."""
    current_fen = min(position.account.current_year_fen, own_fen)
    return Entry(
        position.patient_key,
        Contra.PAYABLE,
        current_year_fen=-current_fen,
        prior_years_fen=-(own_fen - current_fen),
        wallet_fen=-wallet_fen,
    )


def payer_entry(payer: Candidate, shortfall_fen: int) -> Entry:
    """A relative pays with earlier years' money first."""
    prior_fen = min(payer.account.prior_years_fen, shortfall_fen)
    return Entry(
        payer.binding.payer,
        Contra.PAYABLE,
        current_year_fen=-(shortfall_fen - prior_fen),
        prior_years_fen=-prior_fen,
        binding_id=payer.binding.binding_id,
    )


def quoted_balance(decision: Decision, position: Position) -> int | None:
    """A quote debits nothing, so the balance after it is the balance before."""
    return None if decision.own_balance_fen is None else position.account.personal_fen


# ---- credit ----


def credit(request: CreditRequest, position: Position) -> Decision:
    """The agency's contribution to one part of an employee's personal account."""
    if position.patient is None:
        return Decision(Outcome.DECLINED, Reason.PERSON_UNKNOWN)
    if position.patient.insurance is not Insurance.EMPLOYEE:
        return Decision(Outcome.DECLINED, Reason.PERSON_NOT_EMPLOYEE)
    entry = Entry(
        position.patient_key,
        Contra.CONTRIBUTION,
        current_year_fen=request.amount_fen if request.fund == "current_year" else 0,
        prior_years_fen=request.amount_fen if request.fund == "prior_years" else 0,
    )
    return Decision(Outcome.CREDITED, account_after=position.account.plus(entry), entries=(entry,))
