"""Plots: of what was measured, the same bytes each time, nothing of when and where they were drawn."""

from pathlib import Path

import orjson
import pytest

from bench.document import PLOTS
from bench.plots import draw
from bench.report import RESULTS, Measures

MEDIANS: dict[str, dict[str, Measures]] = {
    "throughput": {
        "Gongji ×2": {"settlements_per_s": 4_000.0},
        "one-by-one": {"settlements_per_s": 500.0},
        "pgbench": {"settlements_per_s": 3_000.0},
    },
    "latency": {
        "Gongji ×2": {"latency_ms_p50": 5.0, "latency_ms_p99": 9.0},
        "one-by-one": {"latency_ms_p50": 6.0, "latency_ms_p99": 12.0},
    },
    "growth": {
        "200 accounts": {"accounts": 200, "settlement_ms": 0.3},
        "900 accounts": {"accounts": 900, "settlement_ms": 0.4},
    },
    "workers": {
        "1 worker": {"workers": 1, "settlements_per_s": 2_000.0},
        "2 workers": {"workers": 2, "settlements_per_s": 3_000.0},
        "all": {"deadlocks": 0},
    },
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for figure, medians in MEDIANS.items():
        told = {"medians": medians, "rounds": [medians, medians], "machine": {"cores": 2, "commit": "0123456789ab"}}
        (tmp_path / f"{figure}.json").write_bytes(orjson.dumps(told))
    return tmp_path


def test_each_figure_with_a_result_is_drawn(results: Path) -> None:
    drawn = draw(results, results / "plots")

    assert {file.stem for file in drawn} == set(MEDIANS)
    assert all(file.read_text(encoding="utf-8").endswith("</svg>\n") for file in drawn)


def test_what_was_not_measured_is_not_drawn(results: Path) -> None:
    (results / "growth.json").unlink()
    (results / "workers.json").rename(results / "workers.small.json")

    drawn = draw(results, results / "plots")

    assert {file.stem for file in drawn} == {"throughput", "latency"}


def test_the_same_results_give_the_same_bytes(results: Path) -> None:
    first, again = ([file.read_bytes() for file in draw(results, results / place)] for place in ("one", "two"))

    assert first == again


def test_another_result_gives_another_plot(results: Path) -> None:
    before = {file.stem: file.read_bytes() for file in draw(results, results / "before")}
    for file in results.glob("*.json"):
        file.write_bytes(file.read_bytes().replace(b"0123456789ab", b"ba9876543210"))

    after = {file.stem: file.read_bytes() for file in draw(results, results / "after")}

    assert not [name for name in before if before[name] == after[name]]


def test_the_committed_plots_are_drawn_from_the_committed_results(tmp_path: Path) -> None:
    drawn = {file.name: file.read_bytes() for file in draw(RESULTS, tmp_path)}

    assert {file.name: file.read_bytes() for file in PLOTS.glob("*.svg")} == drawn
