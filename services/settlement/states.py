"""The life of a request, as one table: where it can be, what can happen to it, and where it is then. Pure.

contracts/states.md is drawn from this table; undoing.py decides by it. Source: contract.md, "refund", "cancel".
"""

from enum import StrEnum

from services.settlement.model import Original
from shared.messages.envelope import Operation
from shared.messages.undo import Effect


class State(StrEnum):
    """Where a request is."""

    UNKNOWN = "unknown"
    DECLINED = "declined"
    WAITING = "waiting"
    EFFECTIVE = "effective"
    PARTLY_RETURNED = "partly_returned"
    RETURNED = "returned"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What can happen to it."""

    DECLINE = "declined"
    MOVE = "money moved"
    GIVE = "given, not yet accepted"
    ACCEPT = "accepted"
    DEADLINE = "not accepted in time"
    REFUND_PART = "refund of a part"
    REFUND_REST = "refund of the rest"
    CANCEL_A_REFUND = "one of several refunds cancelled"
    CANCEL_THE_REFUND = "the only refund cancelled"
    CANCEL = "cancel"


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.UNKNOWN: {
        Event.DECLINE: State.DECLINED,
        Event.MOVE: State.EFFECTIVE,
        Event.GIVE: State.WAITING,
        Event.CANCEL: State.BLOCKED,
    },
    State.DECLINED: {Event.CANCEL: State.CANCELLED},
    State.WAITING: {
        Event.ACCEPT: State.EFFECTIVE,
        Event.DEADLINE: State.RETURNED,
        Event.CANCEL: State.CANCELLED,
    },
    State.EFFECTIVE: {
        Event.REFUND_PART: State.PARTLY_RETURNED,
        Event.REFUND_REST: State.RETURNED,
        Event.CANCEL: State.CANCELLED,
    },
    State.PARTLY_RETURNED: {
        Event.REFUND_PART: State.PARTLY_RETURNED,
        Event.REFUND_REST: State.RETURNED,
        Event.CANCEL_A_REFUND: State.PARTLY_RETURNED,
        Event.CANCEL_THE_REFUND: State.EFFECTIVE,
        Event.CANCEL: State.CANCELLED,
    },
    State.RETURNED: {
        Event.CANCEL_A_REFUND: State.PARTLY_RETURNED,
        Event.CANCEL_THE_REFUND: State.EFFECTIVE,
        Event.CANCEL: State.CANCELLED,
    },
    # For good: nothing that comes under this name is decided any more.
    State.BLOCKED: {Event.CANCEL: State.BLOCKED},
    State.CANCELLED: {Event.CANCEL: State.CANCELLED},
}

# What a cancel finds in each state.
EFFECTS: dict[State, Effect] = {
    State.UNKNOWN: Effect.BLOCKED,
    State.BLOCKED: Effect.BLOCKED,
    State.DECLINED: Effect.NOTHING_TO_REVERSE,
    State.RETURNED: Effect.NOTHING_TO_REVERSE,
    State.CANCELLED: Effect.NOTHING_TO_REVERSE,
    State.WAITING: Effect.REVERSED,
    State.EFFECTIVE: Effect.REVERSED,
    State.PARTLY_RETURNED: Effect.REVERSED,
}


def state_of(original: Original | None, refunded: Original | None = None) -> State:
    """Where a request is, as far as it is known; `refunded` is the settlement that a refund speaks of."""
    if original is None:
        return State.UNKNOWN
    if original.stored.is_tombstone:
        return State.BLOCKED
    if original.cancelled:
        return State.CANCELLED
    match original.stored.operation:
        case Operation.SETTLE if original.movement:
            if original.left_fen == original.paid_fen:
                return State.EFFECTIVE
            return State.PARTLY_RETURNED if original.left_fen else State.RETURNED
        case Operation.TRANSFER if original.movement:
            if original.transfer is None:
                return State.RETURNED
            return State.EFFECTIVE if original.arrived or original.transfer.accepted else State.WAITING
        case Operation.REFUND if original.movement:
            # A refund is over with a settlement that was cancelled after it.
            return State.RETURNED if refunded and refunded.cancelled else State.EFFECTIVE
        case Operation.CREDIT if original.movement:
            return State.EFFECTIVE
    return State.DECLINED
