"""The table of states is whole, and what the rule does is what the table says."""

from services.settlement.states import EFFECTS, TRANSITIONS, Event, State


def test_every_state_has_its_row_and_its_effect() -> None:
    """No state is forgotten, in either table."""
    assert set(TRANSITIONS) == set(EFFECTS) == set(State)


def test_every_state_can_be_reached() -> None:
    """From a request that nobody knows."""
    reached = {State.UNKNOWN}
    while more := {after for state in reached for after in TRANSITIONS[state].values()} - reached:
        reached |= more

    assert reached == set(State)


def test_a_cancel_is_possible_everywhere_and_final() -> None:
    """Afterwards there is no way back."""
    ends = {events[Event.CANCEL] for events in TRANSITIONS.values()}

    assert ends == {State.BLOCKED, State.CANCELLED}
    assert all(set(TRANSITIONS[end].values()) == {end} for end in ends)


def test_money_is_reversed_exactly_where_something_is_left() -> None:
    """Where a refund is possible, or a transfer has not come back."""
    reversing = {state for state, effect in EFFECTS.items() if effect == "reversed"}

    assert reversing == {State.WAITING, State.EFFECTIVE, State.PARTLY_RETURNED}
