"""What is told of an entry and of a binding, and under which key. Pure. Source: contract.md, docs/integrators.md."""

from services.bookkeeping.model import Entry, Notice, Seal
from shared.domain.ids import public_id
from shared.domain.regions import whole_province
from shared.messages.event import AccountEvent, BindingEvent, EventName

# Every kind of movement is told.
EVENTS: dict[str, EventName] = {
    "settlement": EventName.DEBITED,
    "refund": EventName.REFUNDED,
    "refund_reversal": EventName.REFUND_REVERSED,
    "credit": EventName.CREDITED,
    "credit_reversal": EventName.CREDIT_REVERSED,
    "rollover": EventName.AGED,
    "transfer": EventName.TRANSFER_GIVEN,
    "arrival": EventName.TRANSFER_ARRIVED,
    "return": EventName.TRANSFER_RETURNED,
    "transfer_reversal": EventName.TRANSFER_REVERSED,
}


def account_event(entry: Entry, seal: Seal) -> AccountEvent:
    """What is told of one entry."""
    movement_id = public_id(entry.province, entry.movement_id)
    return AccountEvent(
        event_id=f"{movement_id}-{entry.person_id}",
        event=EVENTS[entry.kind],
        at=entry.moved_at,
        person_id=entry.person_id,
        insured_region=entry.insured_region,
        movement_id=movement_id,
        original_id=public_id(entry.original_province, entry.original_id) if entry.original_id else None,
        institution_id=entry.institution_id,
        request_id=entry.request_id,
        binding_id=public_id(entry.province, entry.binding_id) if entry.binding_id else None,
        care_region=entry.care_region,
        current_year_fen=entry.current_year_fen,
        prior_years_fen=entry.prior_years_fen,
        wallet_fen=entry.wallet_fen,
        seal_no=seal.seal_no,
        hash=seal.hash.hex(),
    )


def binding_event(notice: Notice) -> BindingEvent:
    binding_id = public_id(notice.province, notice.binding_id)
    return BindingEvent(
        # An end may be brought forward: each of its dates is told.
        event_id=f"{binding_id}-{notice.notice_no}",
        event=EventName(notice.event),
        at=notice.at,
        binding_id=binding_id,
        payer_id=notice.payer_id,
        payer_province=f"{notice.province:02d}",
        beneficiary_id=notice.beneficiary_id,
        beneficiary_province=f"{notice.beneficiary_province:02d}",
        valid_from=notice.valid_from,
        valid_until=notice.valid_until,
        cause=notice.cause,
    )


def routing_key(event: AccountEvent | BindingEvent) -> str:
    """Three words, so that a consumer can choose by what happened and by where: account.debited.130100."""
    region = event.insured_region if isinstance(event, AccountEvent) else whole_province(int(event.payer_province))
    return f"{event.event}.{region}"
