"""Medians, ratios, and the same table everywhere."""

from pathlib import Path

import pytest

from bench.report import RESULTS, Result, cells, latency_ms, markdown, read, result

DOCUMENT = Path(__file__).parents[3] / "docs" / "performance.md"
ROUNDS = [
    {"quiet": {"latency_ms_p50": 2.0}, "busy": {"latency_ms_p50": busy_ms, "settlements_per_s": 4_000.5}}
    for busy_ms in (3.0, 90.0, 5.0)
]


@pytest.fixture
def found() -> Result:
    return result("example", {}, ROUNDS, compared=("busy", "quiet"))


def test_latencies_are_told_in_milliseconds() -> None:
    spread = latency_ms([number / 1_000 for number in range(1, 102)])

    assert spread == {"latency_ms_p50": 51.0, "latency_ms_p99": 100.0, "latency_ms_max": 101.0}


def test_a_ratio_is_one_of_medians(found: Result) -> None:
    """One round that went wrong does not count."""
    assert found.medians["busy"]["latency_ms_p50"] == 5.0
    assert found.ratios == {"latency_ms_p50": 2.5}


def test_what_only_one_side_has_is_shown_without_a_ratio(found: Result) -> None:
    assert cells(found) == [
        ["", "quiet", "busy", "busy / quiet"],
        ["latency_ms_p50", "2", "5", "2.5"],
        ["settlements_per_s", "", "4,000.5", ""],
    ]


@pytest.mark.parametrize(
    "file", sorted(set(RESULTS.glob("*.json")) - set(RESULTS.glob("*.quick.json"))), ids=lambda f: f.stem
)
def test_the_document_has_the_table_of_the_committed_result(file: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")

    written = read(file)

    assert markdown(written) in text
    assert written.machine["commit"] in text


def test_no_committed_result_is_of_changed_code() -> None:
    results = set(RESULTS.glob("*.json")) - set(RESULTS.glob("*.quick.json"))

    assert not [file.name for file in results if " " in read(file).machine["commit"]]
