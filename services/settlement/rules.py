"""The rule: what becomes of a request. Nothing here does anything but decide; the choice among relatives is
shared.domain.mutual_aid, where the binding service finds it too.

No I/O, no clock, no await: a request and a position go in, a verdict comes out. Guards stand in the contract's order
of precedence, one reason each. Source: contract.md, "How a settlement is decided"; domain.md, rules 1-11.
"""

from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from services.settlement.incoming import Sender
from services.settlement.model import Contra, Decision, Entry, Position, Rejection, Replay, StoredDecision, Verdict
from services.settlement.reconciling import reconcile
from services.settlement.transferring import transfer
from services.settlement.undoing import cancel, refund
from shared.domain.accounts import Account
from shared.domain.enrolment import Enrolment, Insurance
from shared.domain.mutual_aid import PATIENT_GUARDS, Bill, Candidate, Choice, choose, first_broken, own_money
from shared.domain.reasons import Reason
from shared.messages.catalogue import CATALOGUE
from shared.messages.credit import CreditRequest
from shared.messages.envelope import OCCURRED_AHEAD_MAX, Operation, Outcome, Request
from shared.messages.lookup import LookupRequest
from shared.messages.reconcile import ReconcileRequest
from shared.messages.settle import QuoteRequest, SettleRequest
from shared.messages.signing import holds
from shared.messages.transfer import TransferRequest
from shared.messages.undo import CancelRequest, RefundRequest
from shared.rabbit.direct import node_of


def decide(request: Request, position: Position) -> Verdict:
    """What becomes of a request. A refusal is a value: Rejection (not decided) or a declined Decision."""
    if refused := refuse_sender(request, position):
        return refused
    if position.stored:
        return known(request, position.stored, cancelled=position.cancelled)
    if reason := refuse_institution(request.operation, position):
        return Rejection(reason)
    return decided(request, position)


def known(request: Request, stored: StoredDecision, *, cancelled: bool) -> Replay | Rejection:
    """A request whose name has been decided: the same answer again, unless it is another request, or was cancelled."""
    if stored.is_tombstone:
        return Rejection(Reason.REQUEST_CANCELLED)
    if stored.operation != request.operation or from_json(stored.content) != canonical(request):
        return Rejection(Reason.REQUEST_CONFLICT)
    return Rejection(Reason.REQUEST_CANCELLED) if cancelled else Replay(stored)


def decided(request: Request, position: Position) -> Decision:
    """The decision on an acceptable request, by its operation's rule."""
    match request:
        case QuoteRequest():
            decision = settle(request, position)
            return replace(decision, entries=(), own_balance_fen=quoted_balance(decision, position))
        case SettleRequest():
            return settle(request, position)
        case CreditRequest():
            return credit(request, position)
        case TransferRequest():
            return transfer(request, position)
        case RefundRequest():
            return refund(request, position)
        case CancelRequest():
            return cancel(position)
        case LookupRequest():
            return lookup(position)
        case ReconcileRequest():
            assert position.day
            return reconcile(request, position.day)
        case _:
            raise AssertionError(f"no rule for {request.operation}")


def canonical(request: Request) -> dict[str, Any]:
    """A request's content as values, to compare with what was stored under the same name."""
    content: dict[str, Any] = from_json(request.content())
    return content


# ---- Is the request acceptable? ----


def refuse_sender(request: Request, position: Position) -> Rejection | None:
    """Guards on who sent it and when. A wrong sender is told nothing about stored requests."""
    stranger = refuse_stranger(position)
    if request.occurred_at > position.now + OCCURRED_AHEAD_MAX:
        # An odd time is told first, and hides nobody.
        return Rejection(Reason.MALFORMED, sender=stranger, problems="occurred_at: must not be more than a day ahead")
    if stranger:
        return Rejection(stranger)
    # Last: a check takes a while, and a stranger must not ask for it.
    institution = position.institution
    if institution and institution.signing_keys and not holds(institution.signing_keys, position.sender.signed):
        return Rejection(Reason.SIGNATURE_INVALID)
    return None


def refuse_stranger(position: Position) -> Reason | None:
    """Guards on whom the broker vouches for: the institution's registered user, who is answered on a queue of its own."""
    sender, institution = position.sender, position.institution
    registered = institution.amqp_user if institution else None
    if sender.user_id is not None and registered is not None and sender.user_id != registered:
        return Reason.SENDER_MISMATCH
    if position.authenticate_senders:
        if sender.user_id is None or sender.user_id != registered:
            return Reason.SENDER_MISMATCH
        if sender.reply_to is not None and not owns_reply_queue(sender):
            return Reason.REPLY_QUEUE_NOT_ALLOWED
    return None


def owns_reply_queue(sender: Sender) -> bool:
    """RabbitMQ rewrites a direct reply-to to an address of its own making, which only its owner can have been given."""
    reply_to = sender.reply_to or ""
    if node_of(reply_to):
        return True
    return sender.user_id is not None and reply_to.startswith(f"reply.{sender.user_id}.")


def refuse_institution(operation: Operation, position: Position) -> Reason | None:
    institution = position.institution
    if institution is None:
        return Reason.INSTITUTION_UNKNOWN
    if institution.suspended:
        return Reason.INSTITUTION_SUSPENDED
    if institution.kind not in CATALOGUE[operation].senders:
        return Reason.INSTITUTION_NOT_ALLOWED
    return None


# ---- settle ----


def settle(request: SettleRequest, position: Position) -> Decision:
    """Own account, then wallet, then one relative for the whole of what is left."""
    account, patient = position.account, position.patient
    bill = Bill(request.expense_type, request.credential.person_id == request.person_id)
    policy = position.policy.name if position.policy else None
    if reason := first_broken(PATIENT_GUARDS, patient, bill):
        known = reason is Reason.EXPENSE_NOT_COVERED
        return Decision(
            Outcome.DECLINED, reason, own_balance_fen=account.personal_fen if known else None, policy=policy
        )

    own_fen, wallet_fen, shortfall_fen = own_part(request, patient, account)
    choice = Choice()
    if shortfall_fen > 0:
        choice = ask_mutual_aid(request, position, Bill(bill.expense_type, shortfall_fen=shortfall_fen))
    payer, reason = choice.payer, choice.reason

    cash_fen = 0 if payer or shortfall_fen == 0 else shortfall_fen
    if cash_fen > 0 and (request.require_full or cash_fen == request.amount_fen):
        if request.require_full and not request.use_mutual_aid:
            reason = Reason.OWN_BALANCE_INSUFFICIENT
        return Decision(
            Outcome.DECLINED,
            reason,
            own_balance_fen=account.personal_fen,
            considered=choice.considered,
            policy=policy,
        )

    entries = [own_entry(request, position, own_fen, wallet_fen)] if own_fen or wallet_fen else []
    if payer:
        entries.append(payer_entry(request, payer, shortfall_fen))
    return Decision(
        Outcome.PARTIAL if cash_fen else Outcome.SETTLED,
        reason,
        own_account_fen=own_fen,
        wallet_fen=wallet_fen,
        mutual_aid_fen=shortfall_fen if payer else 0,
        payer_id=payer.binding.payer.person_id if payer else None,
        own_balance_fen=account.personal_fen - own_fen,
        entries=tuple(entries),
        considered=choice.considered,
        policy=policy,
    )


def own_part(request: SettleRequest, patient: Enrolment | None, account: Account) -> tuple[int, int, int]:
    """What the patient's account and wallet pay, and what they leave, in fen."""
    own_fen, wallet_fen = own_money(patient, account, request.amount_fen, use_own_account=request.use_own_account)
    return own_fen, wallet_fen, request.amount_fen - own_fen - wallet_fen


def asks_relatives(request: Request, patient: Enrolment | None, account: Account) -> bool:
    """Whether it makes a difference who might pay for the patient."""
    return isinstance(request, SettleRequest) and request.use_mutual_aid and own_part(request, patient, account)[-1] > 0


def ask_mutual_aid(request: SettleRequest, position: Position, bill: Bill) -> Choice:
    if not request.use_mutual_aid:
        return Choice(reason=Reason.MUTUAL_AID_NOT_REQUESTED)
    return choose(position.candidates, bill, kinship_linked=position.kinship_linked)


def own_entry(request: SettleRequest, position: Position, own_fen: int, wallet_fen: int) -> Entry:
    """The patient pays with this year's money first."""
    assert position.patient
    current_fen = min(position.account.current_year_fen, own_fen)
    return Entry(
        position.patient_key,
        Contra.PAYABLE,
        position.patient.region_code,
        current_year_fen=-current_fen,
        prior_years_fen=-(own_fen - current_fen),
        wallet_fen=-wallet_fen,
        care_region=request.care_region,
    )


def payer_entry(request: SettleRequest, payer: Candidate, shortfall_fen: int) -> Entry:
    """A relative pays with earlier years' money first."""
    assert payer.payer, "nobody pays who is insured nowhere"
    prior_fen = min(payer.account.prior_years_fen, shortfall_fen)
    return Entry(
        payer.binding.payer,
        Contra.PAYABLE,
        payer.payer.region_code,
        current_year_fen=-(shortfall_fen - prior_fen),
        prior_years_fen=-prior_fen,
        binding_id=payer.binding.binding_id,
        care_region=request.care_region,
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
        position.patient.region_code,
        current_year_fen=request.amount_fen if request.fund == "current_year" else 0,
        prior_years_fen=request.amount_fen if request.fund == "prior_years" else 0,
    )
    return Decision(Outcome.CREDITED, account_after=position.account.plus(entry), entries=(entry,))


# ---- lookup ----


def lookup(position: Position) -> Decision:
    """What became of a request; one that was cancelled before it came is not found, and cancelled."""
    original = position.original
    found = original is not None and not original.stored.is_tombstone
    return Decision(Outcome.FOUND if found else Outcome.NOT_FOUND, original=original)
