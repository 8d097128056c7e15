"""What the figures make of what they have seen, and what they hold it against."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bench.figures import bulk, contention, engine, growth, inquiries, latency, memory, throughput, tills
from bench.figures import workers as more_workers
from bench.figures.memory import quarters
from bench.figures.workers import behind_max_s, compared, subject
from bench.report import RESULTS, Compared, Ratio, read
from bench.scale import FULL, GROWTH, QUICK

GOALS = {
    **{each.NAME: each.COMPARED for each in (throughput, bulk, engine, latency, inquiries, tills, contention, memory)},
    more_workers.NAME: compared(FULL.workers),
    growth.NAME: growth.compared([GROWTH.population, *GROWTH.grown]),
}


def goals_of(told: Iterable[Compared | Ratio]) -> set[tuple[Any, ...]]:
    return {(each.measure, each.subject, each.base, each.goal, each.judged) for each in told if each.goal}


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


@pytest.mark.parametrize("file", [RESULTS / f"{figure}.json" for figure in sorted(GOALS)], ids=lambda file: file.stem)
def test_a_committed_result_is_held_against_the_goals_of_today(file: Path) -> None:
    told = read(file).ratios

    assert goals_of(told) == goals_of(GOALS[file.stem])
