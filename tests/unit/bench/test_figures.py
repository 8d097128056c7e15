"""What the figures make of what they have seen."""

from bench.figures.memory import quarters
from bench.figures.workers import behind_max_s, compared, subject
from bench.scale import FULL, QUICK


def test_who_is_decided_in_turn_is_not_behind() -> None:
    assert behind_max_s([0.2, 0.5, 0.7, 1.0], drained_s=4.0) == 0.0


def test_who_is_left_to_the_end_is_behind_by_all_the_time_since_their_turn() -> None:
    """The first of four, whose turn was after one second, is decided with the last."""
    assert behind_max_s([4.0, 2.0, 3.0, 4.0], drained_s=4.0) == 3.0


def test_the_quarters_are_the_first_and_the_last_that_was_seen() -> None:
    assert quarters([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]) == ([1.0, 2.0], [7.0, 8.0])


def test_a_worker_that_was_seen_once_is_its_own_first_and_last_quarter() -> None:
    assert quarters([5.0]) == ([5.0], [5.0])


def test_more_workers_are_held_against_the_next_fewer() -> None:
    ratios = [(each.subject, each.base) for each in compared(FULL.workers) if each.base]

    assert ratios == [("2 workers", "1 worker"), ("4 workers", "2 workers"), ("8 workers", "4 workers")]


def test_no_worker_count_is_held_against_one_that_is_not_measured() -> None:
    for numbers in (FULL.workers, QUICK.workers):
        assert {each.base for each in compared(numbers)} <= {subject(number) for number in numbers} | {None}
