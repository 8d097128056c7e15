"""A gift to a relative's wallet: who may give, how much, and where the money goes in the end. Pure.

Source: contract.md, "transfer"; domain.md, "wallet, nationwide".
"""

from datetime import datetime

from services.settlement.model import Contra, Decision, Entry, MovementKind, Position, Transfer
from shared.domain.enrolment import EnrolmentStatus
from shared.domain.mutual_aid import usable
from shared.domain.reasons import Reason
from shared.domain.regions import whole_province
from shared.domain.times import shanghai_year
from shared.messages.envelope import Outcome
from shared.messages.transfer import TransferRequest


def transfer(request: TransferRequest, position: Position) -> Decision:
    """A gift to a relative's wallet: the money leaves the giver now, and is in transit until it is accepted."""
    if reason := refuse_transfer(request, position):
        return Decision(Outcome.DECLINED, reason, policy=position.policy.name if position.policy else None)
    giver, binding, policy = position.patient, position.wallet_binding, position.policy
    assert giver
    assert binding
    assert policy
    prior_fen = min(position.account.prior_years_fen, request.amount_fen)
    entry = Entry(
        position.patient_key,
        Contra.IN_TRANSIT,
        giver.region_code,
        current_year_fen=-(request.amount_fen - prior_fen),
        prior_years_fen=-prior_fen,
    )
    return Decision(
        Outcome.TRANSFERRED if binding.auto_accept else Outcome.PENDING,
        entries=(entry,),
        policy=policy.name,
        wallet_binding=binding,
        accept_by=policy.policy.wallet.accept_until(position.now),
    )


def refuse_transfer(request: TransferRequest, position: Position) -> Reason | None:
    """Guards in the contract's order; `patient` is the giver."""
    giver, receiver, policy = position.patient, position.receiver, position.policy
    if giver is None or receiver is None or policy is None:
        return Reason.PERSON_UNKNOWN
    if receiver.status is not EnrolmentStatus.ACTIVE:
        return Reason.PERSON_NOT_INSURED
    if position.wallet_binding is None:
        return Reason.NOT_RELATED
    if not giver.is_active_employee:
        return Reason.PAYER_NOT_ELIGIBLE
    if giver.account_frozen or receiver.account_frozen:
        return Reason.PAYER_ACCOUNT_FROZEN
    wallet = policy.policy.wallet
    if wallet.is_closed(position.now):
        return Reason.TRANSFER_CLOSED_HOURS
    if request.amount_fen > wallet.per_transfer_fen or position.transfers_today >= wallet.per_day:
        return Reason.TRANSFER_LIMIT_REACHED
    if usable(position.account, policy.policy) < request.amount_fen:
        return Reason.BALANCE_INSUFFICIENT
    return None


def end_of(transfer: Transfer, now: datetime) -> tuple[MovementKind, Entry]:
    """Where a transfer's money goes in the end: to the receiver if accepted, else back to the part it came from.

    This year's money of a past year returns as earlier years'.
    """
    if transfer.accepted:
        region = whole_province(transfer.receiver.province)
        return MovementKind.ARRIVAL, Entry(transfer.receiver, Contra.IN_TRANSIT, region, wallet_fen=transfer.amount_fen)
    same_year = shanghai_year(transfer.made_at) == shanghai_year(now)
    current_fen = transfer.current_year_fen if same_year else 0
    return MovementKind.RETURN, Entry(
        transfer.giver,
        Contra.IN_TRANSIT,
        whole_province(transfer.province),
        current_year_fen=current_fen,
        prior_years_fen=transfer.amount_fen - current_fen,
    )
