"""The document says what the committed results say, and nothing of what is not measured."""

from pathlib import Path

import pytest

from bench.__main__ import FIGURES, GROWING
from bench.document import DOCUMENT, NOTHING, figures_of, filled, outcome, went_on
from bench.report import Compared, Measures, Rounds, at_least, result, write

ROUNDS: list[dict[str, Measures]] = [{"a": {"per_s": 8.0}, "b": {"per_s": 2.0}}]
MEANWHILE = [
    {"checkpoints": 0, "log_segments_made": 0, "load_average_1min_before": 1.5, "load_average_1min_after": 2.25}
]
MACHINE = {
    "commit": "0123456789ab",
    "postgresql": {"server_version": "18.6"},
    "rabbitmq": {"version": "3.10.8"},
    "python": "3.11.7",
    "cores": 2,
    "cpu": "AMD EPYC",
    "memory_gib": 23.5,
}
TEXT = "Before.\n\n<!-- figure: example -->\nan old table\n<!-- /figure -->\n\nAfter.\n"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("bench.report.RESULTS", tmp_path)
    found = result("example", {}, Rounds(ROUNDS, MEANWHILE), [Compared("per_s", "a", "b", at_least(5))])
    found.machine.update(MACHINE)
    write(found, whole=True)
    return tmp_path


def test_the_document_is_what_the_committed_results_make_of_it() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    assert filled(text) == text


def test_every_figure_has_its_place_in_the_document() -> None:
    assert sorted(figures_of(DOCUMENT.read_text(encoding="utf-8"))) == sorted(FIGURES | GROWING)


def test_tables_goals_and_machine_are_written_between_the_marks(results: Path) -> None:
    text = filled(TEXT, results, results)

    assert text == (
        "Before.\n\n<!-- figure: example -->\n"
        "Medians of 1 round, commit `0123456789ab`, PostgreSQL 18.6, RabbitMQ 3.10.8, Python 3.11.7, 2 cores (AMD EPYC), 23.5 GiB; "
        "load average 1.5 before the first round and 2.25 after the last; no checkpoint in a round; no new segment of the log in a round:\n\n"
        "|  | per_s |\n| --- | ---: |\n| a | 8 |\n| b | 2 |\n\n"
        "|  | of | ratio | by | round by round | goal | reached |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| a / b | per_s | 4 | medians | 4 | at least 5 | **no** |\n"
        "<!-- /figure -->\n\nAfter.\n"
    )


@pytest.mark.parametrize(
    ("measure", "told"),
    [
        ("checkpoints", "checkpoints in the rounds 2, 4; no new segment of the log in a round"),
        ("log_segments_made", "no checkpoint in a round; new segments of the log in the rounds 2, 4"),
    ],
)
def test_what_held_everybody_up_within_a_round_is_told(measure: str, told: str) -> None:
    rounds = [{**MEANWHILE[0], measure: many} for many in (0, 1, 0, 2)]

    assert went_on(rounds).endswith(f"2.25 after the last; {told}")


def test_of_an_older_result_nothing_is_said_that_it_does_not_tell() -> None:
    before = [{name: value for name, value in each.items() if name != "log_segments_made"} for each in MEANWHILE]

    assert went_on([]) == ""
    assert went_on(before).endswith("after the last; no checkpoint in a round")


def test_what_is_written_again_stays_as_it_is(results: Path) -> None:
    once = filled(TEXT, results, results)

    assert filled(once, results, results) == once


def test_a_figure_that_is_drawn_shows_its_picture(results: Path) -> None:
    (results / "example.svg").touch()

    assert "\n![example, drawn](performance/example.svg)\n<!-- /figure -->" in filled(TEXT, results, results)


def test_nothing_is_said_of_a_figure_without_a_result(tmp_path: Path) -> None:
    assert NOTHING in filled(TEXT, tmp_path, tmp_path)
    assert "old table" not in filled(TEXT, tmp_path, tmp_path)


def test_the_outcome_is_every_goal_and_what_it_came_to(results: Path) -> None:
    text = filled(f"<!-- outcome -->\nan old one\n<!-- /outcome -->\n{TEXT}", results, results)

    assert text.startswith(
        "<!-- outcome -->\n"
        "| figure |  | of | ratio | goal | reached |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| example | a / b | per_s | 4 | at least 5 | **no** |\n"
        "<!-- /outcome -->\n"
    )


def test_what_has_no_goal_is_no_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.report.RESULTS", tmp_path)
    write(result("example", {}, Rounds(ROUNDS, MEANWHILE), [Compared("per_s", "a", "b")]), whole=True)

    assert "a / b" not in outcome(["example", "another"], tmp_path)
