"""Refund and cancel: what goes back, to whom, into which part. Pure.

Source: contract.md, "refund" and "cancel". Money returns last in first out: mutual aid, wallet, own; this year's money of
a past year returns as earlier years'.
"""

from dataclasses import replace
from datetime import datetime

from services.settlement.model import (
    BLOCKED,
    Contra,
    Decision,
    Entry,
    Movement,
    MovementKind,
    Original,
    Position,
    Returned,
    StoredDecision,
    Undo,
)
from services.settlement.states import EFFECTS, TRANSITIONS, Event, State, state_of
from services.settlement.transferring import end_of
from shared.domain.accounts import EMPTY, Account
from shared.domain.reasons import Reason
from shared.domain.regions import whole_province
from shared.domain.times import shanghai_year
from shared.messages.envelope import Operation, Outcome
from shared.messages.undo import Effect, RefundRequest


def refund(request: RefundRequest, position: Position) -> Decision:
    """Gives back all or a part of what is left of a settlement."""
    original = position.original
    if original is None or original.stored.operation != Operation.SETTLE:
        return declined(Reason.ORIGINAL_NOT_FOUND)
    if Event.REFUND_REST not in TRANSITIONS[state_of(original)]:
        return declined(Reason.NOTHING_LEFT_TO_REFUND, original)
    amount_fen = original.left_fen if request.amount_fen is None else request.amount_fen
    if amount_fen > original.left_fen:
        return declined(Reason.REFUND_EXCEEDS_REMAINING, original)
    return given_back(original, amount_fen, position, Outcome.REFUNDED)


def cancel(position: Position) -> Decision:
    """From now on the original has no effect: what is left of it is undone, and it can never be decided again."""
    original, name = position.original, position.original_name
    assert name
    state = state_of(original, position.refunded)
    match EFFECTS[state]:
        case Effect.BLOCKED:
            undo = Undo(name, cancels=True, blocks=True) if state is State.UNKNOWN else None
            return Decision(Outcome.CANCELLED, effect=Effect.BLOCKED, undo=undo)
        case Effect.NOTHING_TO_REVERSE:
            undo = None if state is State.CANCELLED else Undo(name, cancels=True)
            return Decision(Outcome.CANCELLED, effect=Effect.NOTHING_TO_REVERSE, original=original, undo=undo)
    assert original
    match original.stored.operation:
        case Operation.SETTLE:
            return given_back(original, original.left_fen, position, Outcome.CANCELLED)
        case Operation.REFUND:
            return taken_again(original, position, MovementKind.REFUND_REVERSAL)
        case Operation.CREDIT:
            return taken_again(original, position, MovementKind.CREDIT_REVERSAL)
        case Operation.TRANSFER:
            return transfer_undone(original, position)
    raise AssertionError(f"nothing tells how to undo {original.stored.operation}")


def declined(reason: Reason, original: Original | None = None) -> Decision:
    return Decision(Outcome.DECLINED, reason, original=original)


# ---- giving back what a settlement took ----


def given_back(original: Original, amount_fen: int, position: Position, outcome: Outcome) -> Decision:
    """An amount of what is left, last in first out."""
    movement, cancels = original.movement, outcome is Outcome.CANCELLED
    assert movement
    left = {each.person: each.parts for each in original.left}
    returned, entries, own_fen, wallet_fen, mutual_aid_fen, payer_id = [], [], 0, 0, 0, None
    rest_fen = amount_fen
    # A relative's entry was the last to be taken.
    for entry in sorted(movement.entries, key=lambda each: each.binding_id is None):
        parts = last_in_first_out(left[entry.person], rest_fen, of_relative=entry.binding_id is not None)
        fen = parts.personal_fen + parts.wallet_fen
        rest_fen -= fen
        if fen == 0:
            continue
        returned.append(Returned(entry.person, parts))
        entries.append(moving(entry, aged(parts, original, position.now)))
        if entry.binding_id:
            mutual_aid_fen, payer_id = fen, entry.person.person_id
        else:
            own_fen, wallet_fen = parts.personal_fen, parts.wallet_fen
    assert rest_fen == 0, "more was to be given back than is left"
    undo = Undo(original.name, movement.movement_id, MovementKind.REFUND, tuple(returned), cancels=cancels)
    return Decision(
        outcome,
        effect=Effect.REVERSED if cancels else None,
        own_account_fen=own_fen,
        wallet_fen=wallet_fen,
        mutual_aid_fen=mutual_aid_fen,
        payer_id=payer_id,
        own_balance_fen=balance_after(position, entries),
        entries=tuple(entries),
        original=original,
        undo=undo,
    )


def last_in_first_out(left: Account, amount_fen: int, *, of_relative: bool) -> Account:
    """At most an amount of what is left of one entry, the part that was taken last first.

    A relative paid with earlier years' money first; the patient with this year's, then earlier years', then the wallet.
    """
    order = (
        ("current_year_fen", "prior_years_fen")
        if of_relative
        else ("wallet_fen", "prior_years_fen", "current_year_fen")
    )
    parts = {}
    for part in order:
        parts[part] = min(getattr(left, part), amount_fen)
        amount_fen -= parts[part]
    return Account(**parts)


def aged(parts: Account, original: Original, now: datetime) -> Account:
    """The parts as they are by now, of money that moved when the original was decided."""
    assert original.stored.decided_at
    return parts.as_of(shanghai_year(now), shanghai_year(original.stored.decided_at))


def moving(like: Entry, parts: Account) -> Entry:
    """What undoes an entry is of its person, its contra account and its regions, wherever the person is insured by now."""
    return replace(
        like,
        current_year_fen=parts.current_year_fen,
        prior_years_fen=parts.prior_years_fen,
        wallet_fen=parts.wallet_fen,
    )


def balance_after(position: Position, entries: list[Entry]) -> int:
    """The patient's personal account after the answer."""
    account = position.balances.get(position.patient_key, EMPTY)
    for entry in entries:
        if entry.person == position.patient_key:
            account = account.plus(entry)
    return account.personal_fen


# ---- what is left of a settlement ----


def paid(movement: Movement) -> tuple[Returned, ...]:
    """What a settlement took from each, and all of it can be given back."""
    return tuple(
        Returned(entry.person, minus(Account(entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen)))
        for entry in movement.entries
    )


def less(original: Original, returned: tuple[Returned, ...]) -> Original:
    """An original of which something more was given back."""
    back = {each.person: minus(each.parts) for each in returned}
    return replace(
        original,
        left=tuple(
            Returned(each.person, each.parts.plus(back[each.person])) if each.person in back else each
            for each in original.left
        ),
    )


# ---- taking again what a refund or a credit gave ----


def taken_again(original: Original, position: Position, kind: MovementKind) -> Decision:
    """The money from where it went, part for part; all of it, or nothing."""
    assert original.movement
    entries = []
    for entry in original.movement.entries:
        given = Account(entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen)
        parts = minus(aged(given, original, position.now))
        after = position.balances.get(entry.person, EMPTY).plus(parts)
        if min(after.current_year_fen, after.prior_years_fen, after.wallet_fen) < 0:
            return declined(Reason.BALANCE_INSUFFICIENT, original)
        entries.append(moving(entry, parts))
    # A refund that is taken again is money of the settlement, and of its year.
    undone = position.refunded or original
    assert undone.movement
    undo = Undo(
        original.name,
        undone.movement.movement_id,
        kind,
        tuple(Returned(each.person, minus(each.parts)) for each in original.returned),
        cancels=True,
    )
    relative = next((entry for entry in entries if entry.binding_id), None)
    own = next((entry for entry in entries if not entry.binding_id), None)
    return Decision(
        Outcome.CANCELLED,
        effect=Effect.REVERSED,
        own_account_fen=-(own.current_year_fen + own.prior_years_fen) if own else 0,
        wallet_fen=-own.wallet_fen if own else 0,
        mutual_aid_fen=relative.contra_fen if relative else 0,
        payer_id=relative.person.person_id if relative else None,
        own_balance_fen=balance_after(position, entries),
        entries=tuple(entries),
        original=original,
        undo=undo,
    )


def minus(parts: Account) -> Account:
    return Account(-parts.current_year_fen, -parts.prior_years_fen, -parts.wallet_fen)


# ---- transfers ----


def transfer_undone(original: Original, position: Position) -> Decision:
    """A transfer on its way goes back to its giver; one that has arrived is taken from the wallet, if it is still there."""
    transfer = original.transfer
    assert transfer
    if not original.arrived:
        undo = Undo(original.name, cancels=True, returns=replace(transfer, accepted=False))
        return Decision(
            Outcome.CANCELLED,
            effect=Effect.REVERSED,
            own_account_fen=transfer.amount_fen,
            original=original,
            undo=undo,
        )
    wallet = position.balances.get(transfer.receiver, EMPTY)
    if wallet.wallet_fen < transfer.amount_fen:
        return declined(Reason.BALANCE_INSUFFICIENT, original)
    _, back = end_of(replace(transfer, accepted=False), position.now)
    taken = Entry(
        transfer.receiver,
        Contra.IN_TRANSIT,
        whole_province(transfer.receiver.province),
        wallet_fen=-transfer.amount_fen,
    )
    return Decision(
        Outcome.CANCELLED,
        effect=Effect.REVERSED,
        own_account_fen=transfer.amount_fen,
        entries=(taken, back),
        original=original,
        undo=Undo(original.name, transfer.transfer_id, MovementKind.TRANSFER_REVERSAL, cancels=True),
    )


def tombstone() -> StoredDecision:
    """What is kept under a name that was cancelled before its request came."""
    return StoredDecision(BLOCKED, "{}", "{}")
