"""What one look may have found: what a step did as a whole, and of what shares no step any places."""

import math
from typing import Any

from tests.nemesis.chronicle import Chronicle, Key

MOTHER, FATHER, LIMIT = ("account", "MOTHER"), ("account", "FATHER"), ("used", "B1")


def chronicle(*steps: tuple[dict[Key, Any], float, float]) -> Chronicle:
    """Of steps: what each made of what, when it was known outside, and before when it cannot have begun."""
    written = Chronicle(lambda _: 0)
    for values, answered_s, sent_s in steps:
        written.write(values, answered_s, sent_s)
    return written


def looked(at: Chronicle, *keys: Key, sent_s: float = 10.0, came_s: float = 20.0) -> set[tuple[Any, ...]]:
    return {tuple(look[key] for key in keys) for look in at.looks(keys, sent_s, came_s, lambda *_: True)}


def test_nothing_has_happened() -> None:
    assert looked(chronicle(), MOTHER, FATHER) == {(0, 0)}


def test_what_was_known_before_is_seen_and_what_began_afterwards_is_not() -> None:
    told = chronicle(
        ({MOTHER: 1}, 5.0, 4.0), ({MOTHER: 2}, 15.0, 9.0), ({MOTHER: 3}, 30.0, 19.0), ({MOTHER: 4}, 30.0, 21.0)
    )

    assert looked(told, MOTHER) == {(1,), (2,), (3,)}


def test_what_comes_before_something_known_is_known() -> None:
    """The first was answered late; the second, of the same account, stands behind it and had been answered."""
    assert looked(chronicle(({MOTHER: 1}, 15.0, 4.0), ({MOTHER: 2}, 9.0, 5.0)), MOTHER) == {(2,)}


def test_a_step_is_seen_as_a_whole_or_not_at_all() -> None:
    assert looked(chronicle(({MOTHER: 1, LIMIT: 1}, 15.0, 9.0)), MOTHER, LIMIT) == {(0, 0), (1, 1)}


def test_steps_that_share_nothing_become_visible_in_any_order() -> None:
    """Of two transactions that hold different rows the one with the later page may be committed first."""
    told = chronicle(({MOTHER: 1}, 15.0, 9.0), ({FATHER: 1}, 15.0, 9.0))

    assert looked(told, MOTHER, FATHER) == {(0, 0), (1, 0), (0, 1), (1, 1)}


def test_what_moved_without_the_other_is_no_bond() -> None:
    """Her limit was used by the first; the second moved only her money."""
    told = chronicle(({MOTHER: 1, LIMIT: 1}, 15.0, 9.0), ({MOTHER: 2}, math.inf, 9.0))

    assert looked(told, MOTHER, LIMIT) == {(0, 0), (1, 1), (2, 1)}


def test_what_does_not_fit_by_itself_is_left_out() -> None:
    told = chronicle(({MOTHER: 1, LIMIT: 1}, 15.0, 9.0))

    looks = list(told.looks([MOTHER, LIMIT], 10.0, 20.0, lambda key, value: key != MOTHER or value == 1))

    assert looks == [{MOTHER: 1, LIMIT: 1}]
