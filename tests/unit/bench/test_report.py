"""Medians, ratios, and the same tables everywhere."""

from pathlib import Path

import pytest

from bench.report import (
    RESULTS,
    Compared,
    Goal,
    Judged,
    Measures,
    Result,
    Rounds,
    at_least,
    at_most,
    latency_ms,
    medians_of,
    ratios_of,
    read,
    result,
    write,
)

ROUNDS = [
    {"quiet": {"latency_ms_p50": 2.0}, "busy": {"latency_ms_p50": busy_ms, "settlements_per_s": 4_000.5}}
    for busy_ms in (3.0, 90.0, 5.0)
]
COMPARED = (
    Compared("latency_ms_p50", "busy", "quiet"),
    Compared("latency_ms_p50", "busy", "quiet", at_most(2.0)),
    Compared("settlements_per_s", "busy", None, at_least(4_000)),
)


@pytest.fixture
def found() -> Result:
    return result("example", {}, Rounds(ROUNDS, [{"checkpoints": 0}]), COMPARED)


def test_latencies_are_told_in_milliseconds() -> None:
    spread = latency_ms([number / 1_000 for number in range(1, 102)])

    assert spread == {"latency_ms_p50": 51.0, "latency_ms_p99": 100.0, "latency_ms_max": 101.0}


def test_a_ratio_is_one_of_medians(found: Result) -> None:
    """One round that went wrong does not count."""
    assert found.medians["busy"]["latency_ms_p50"] == 5.0
    assert found.ratios[0].ratio == 2.5


def test_a_measure_may_be_compared_with_nothing_but_its_goal(found: Result) -> None:
    assert found.ratios[2].ratio == 4_000.5


def test_a_percentile_is_judged_by_what_each_round_came_to_by_itself() -> None:
    """Two of three rounds were slow for both: the medians would hold one's quiet round against the other's slow one."""
    rounds: list[dict[str, Measures]] = [
        {"busy": {"p99": busy}, "quiet": {"p99": quiet}} for busy, quiet in ((10.0, 2.0), (11.0, 10.0), (12.0, 10.0))
    ]

    found = result("example", {}, Rounds(rounds), [Compared("p99", "busy", "quiet", at_most(1.15), Judged.BY_ROUNDS)])

    (ratio,) = found.ratios
    assert (ratio.ratio, ratio.rounds, ratio.reached) == (1.2, [5.0, 1.1, 1.2], False)
    assert found.medians["busy"]["p99"] / found.medians["quiet"]["p99"] == 1.1


def test_where_one_round_has_no_ratio_the_rounds_have_none_together() -> None:
    rounds: list[dict[str, Measures]] = [{"a": {"per_s": 8.0}, "b": {"per_s": per_s}} for per_s in (2.0, 0.0, 2.0)]

    found = result("example", {}, Rounds(rounds), [Compared("per_s", "a", "b", at_least(2), Judged.BY_ROUNDS)])

    assert (found.ratios[0].ratio, found.ratios[0].reached) == (None, False)
    assert ratios_of(found)[1][4] == "4, none, 4"


def test_of_what_must_not_happen_the_worst_round_counts() -> None:
    """A deadlock in one round of three is no median, and is told."""
    rounds: list[dict[str, Measures]] = [{"all": {"deadlocks": deadlocks}} for deadlocks in (0, 1, 0)]

    found = result(
        "example", {}, Rounds(rounds), [Compared("deadlocks", "all", None, at_most(0), judged=Judged.BY_THE_WORST)]
    )

    assert (found.ratios[0].ratio, found.ratios[0].reached) == (1, False)
    assert ratios_of(found)[1] == ["all", "deadlocks", "1", "the worst round", "0, 1, 0", "at most 0", "**no**"]


def test_the_worst_round_is_the_slowest_where_speed_is_asked_for() -> None:
    rounds: list[dict[str, Measures]] = [{"a": {"per_s": per_s}, "b": {"per_s": 2.0}} for per_s in (8.0, 2.0, 4.0)]

    found = result(
        "example", {}, Rounds(rounds), [Compared("per_s", "a", "b", at_least(2), judged=Judged.BY_THE_WORST)]
    )

    assert (found.ratios[0].ratio, found.ratios[0].reached) == (1.0, False)


def test_beside_nothing_there_is_no_ratio_and_no_goal_reached() -> None:
    rounds: list[dict[str, Measures]] = [{"a": {"per_s": 8.0}, "b": {"per_s": 0.0}}]

    found = result(
        "example", {}, Rounds(rounds), [Compared("per_s", "a", "b"), Compared("per_s", "a", "b", at_least(2))]
    )

    assert [(each.ratio, each.reached) for each in found.ratios] == [(None, None), (None, False)]
    assert ratios_of(found)[2] == ["a / b", "per_s", "", "medians", "none", "at least 2", "**no**"]


@pytest.mark.parametrize("judged", [Judged.BY_MEDIANS, Judged.BY_ROUNDS, Judged.BY_THE_WORST])
def test_a_goal_is_not_reached_by_rounding(judged: Judged) -> None:
    rounds: list[dict[str, Measures]] = [{"a": {"per_s": 0.7951}, "b": {"per_s": 1.0}}]

    found = result("example", {}, Rounds(rounds), [Compared("per_s", "a", "b", at_least(0.8), judged)])

    (ratio,) = found.ratios
    assert (ratio.ratio, ratio.rounds, ratio.reached) == (0.8, [0.8], False)


@pytest.mark.parametrize(
    ("goal", "ratio", "reached"),
    [
        (at_least(8), 8.0, True),
        (at_least(8), 7.99, False),
        (at_most(1), 1.0, True),
        (at_most(1), 1.01, False),
    ],
    ids=str,
)
def test_a_goal_is_reached_at_its_value(goal: Goal, ratio: float, *, reached: bool) -> None:
    assert goal.reached(ratio) is reached


def test_each_subject_has_a_row_with_what_was_measured_of_it(found: Result) -> None:
    assert medians_of(found) == [
        ["", "latency_ms_p50", "settlements_per_s"],
        ["quiet", "2", ""],
        ["busy", "5", "4,000.5"],
    ]


def test_a_fraction_of_a_millisecond_is_not_rounded_to_where_a_goal_could_turn_on_it() -> None:
    rounds: list[dict[str, Measures]] = [{"small": {"settlement_ms": 0.2046}, "large": {"settlement_ms": 0.2554}}]

    found = result("example", {}, Rounds(rounds), [Compared("settlement_ms", "large", "small", at_most(1.25))])

    assert medians_of(found)[1:] == [["small", "0.205"], ["large", "0.255"]]
    assert (found.ratios[0].ratio, found.ratios[0].reached) == (1.25, True)


def test_a_missed_goal_is_shown_plainly(found: Result) -> None:
    assert ratios_of(found) == [
        ["", "of", "ratio", "by", "round by round", "goal", "reached"],
        ["busy / quiet", "latency_ms_p50", "2.5", "medians", "1.5, 45, 2.5", "", ""],
        ["busy / quiet", "latency_ms_p50", "2.5", "medians", "1.5, 45, 2.5", "at most 2", "**no**"],
        ["busy", "settlements_per_s", "4,000.5", "medians", "4,000.5, 4,000.5, 4,000.5", "at least 4,000", "yes"],
    ]


def test_a_result_is_read_as_it_was_written(found: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.report.RESULTS", tmp_path)

    assert read(write(found, whole=True)) == found


def test_no_committed_result_is_of_changed_code() -> None:
    results = set(RESULTS.glob("*.json")) - set(RESULTS.glob("*.small.json"))

    assert not [file.name for file in results if " " in read(file).machine["commit"]]


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_what_a_committed_result_comes_to_follows_from_its_rounds(file: Path) -> None:
    told = read(file)
    compared = [Compared(each.measure, each.subject, each.base, each.goal, each.judged) for each in told.ratios]

    found = result(told.figure, told.conditions, Rounds(told.rounds, told.meanwhile), compared)

    assert (told.medians, told.ratios) == (found.medians, found.ratios)
