"""`python -m bench.plots`: draws docs/performance/*.svg from bench/results/*.json, each plot whose result is there.

The same results give the same bytes: no date, no chance in the names of what is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.document import PLOTS
from bench.report import RESULTS, SPEED, Measures
from cli.speech import console

OURS, OTHERS, INK, PALE = "#0b6e6e", "#9aa5b1", "#1f2933", "#e4e7eb"
LIGHT = "#7cc4c4"
# Any: the stubs know each key by itself.
STYLE: Any = {
    "svg.hashsalt": "gongji",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
WIDTH_IN, ROW_IN = 8.0, 0.55
THOUSANDS = "{x:,.0f}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a plot needs of a result: the medians and the rounds by subject, and where they come from."""

    medians: dict[str, Measures]
    rounds: list[dict[str, Measures]]
    machine: dict[str, Any]

    def of(self, *measures: str) -> dict[str, Measures]:
        """The subjects that have all of these."""
        return {name: each for name, each in self.medians.items() if each.keys() >= set(measures)}

    def points(self, across: str, up: str) -> tuple[list[float], list[float]]:
        """Every round's values, for those subjects that have both."""
        found = [
            (each[across], each[up]) for told in self.rounds for each in told.values() if each.keys() >= {across, up}
        ]
        return [x for x, _ in found], [y for _, y in found]

    @property
    def source(self) -> str:
        cores, commit = self.machine.get("cores", "?"), self.machine.get("commit", "unknown")
        return f"Medians of {len(self.rounds)} rounds on one machine of {cores} cores, commit {commit}"


def main(
    results: Annotated[Path, typer.Option(help="Where the results are.")] = RESULTS,
    to: Annotated[Path, typer.Option(help="Where the plots go.")] = PLOTS,
) -> None:
    """Draw every plot whose result has been measured."""
    for file in draw(results, to):
        console.print(f"[dim]drawn: {file}[/]")


def draw(results: Path, to: Path) -> list[Path]:
    """Draws what there are results for; returns the files."""
    drawn = []
    for figure, plot in FIGURES.items():
        source = results / f"{figure}.json"
        if not source.exists():
            continue
        told = orjson.loads(source.read_bytes())
        with rc_context(STYLE):
            picture = plot(Measured(told["medians"], told["rounds"], told["machine"]))
            to.mkdir(parents=True, exist_ok=True)
            file = to / f"{figure}.svg"
            picture.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        # Its lines end in blanks, which no file of the project has.
        file.write_text("".join(f"{line.rstrip()}\n" for line in file.read_text(encoding="utf-8").splitlines()))
        drawn.append(file)
    return drawn


def throughput(measured: Measured) -> Figure:
    """How many a second of everything that was measured, the fastest on top."""
    subjects = measured.of(SPEED)
    ranked = sorted(subjects, key=lambda name: subjects[name][SPEED])
    picture, axes = _canvas(
        measured, "A second: settlements, messages of an echo, transactions of pgbench", rows=len(ranked)
    )
    values = [subjects[name][SPEED] for name in ranked]
    bars = axes.barh(ranked, values, color=[_colour(name) for name in ranked], height=0.62)
    axes.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=5)
    _across(axes, "a second, from a full queue to the last answer", values)
    return picture


def latency(measured: Measured) -> Figure:
    """The median and the 99th percentile of each subject, one above the other."""
    subjects = measured.of("latency_ms_p50", "latency_ms_p99")
    names = sorted(subjects, key=lambda name: -subjects[name]["latency_ms_p99"])
    picture, axes = _canvas(measured, "Latency at a steady rate", rows=2 * len(names))
    values: list[float] = []
    for measure, label, shift, part in (
        ("latency_ms_p50", "median", 0.2, 1.0),
        ("latency_ms_p99", "99th percentile", -0.2, 0.5),
    ):
        found = [subjects[name][measure] for name in names]
        places = [place + shift for place in range(len(names))]
        colours = [_colour(name) for name in names]
        bars = axes.barh(places, found, color=colours, height=0.36, alpha=part)
        axes.bar_label(bars, labels=[f"{label} {value:,.1f} ms" for value in found], padding=5, fontsize=9)
        values += found
    axes.set_yticks(range(len(names)), names)
    # Room for the words beside the longest bar.
    _across(axes, "milliseconds from when a request was due to its answer", [1.25 * value for value in values])
    return picture


def growth(measured: Measured) -> Figure:
    """Time a settlement over the number of accounts, with what it may become."""
    goal = 1.25
    across, up = "accounts", "settlement_ms"
    sizes = sorted(measured.of(across, up).values(), key=lambda each: each[across])
    picture, axes = _canvas(measured, "Time a settlement as the books grow", rows=6)
    least = sizes[0][up]
    axes.axhline(goal * least, color=OTHERS, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"goal: at most {goal:g} times the smallest",
        (sizes[0][across], goal * least),
        xytext=(0, 5),
        textcoords="offset points",
    )
    _curve(axes, measured, sizes, across, up, "{:.3f} ms")
    axes.set_xscale("log")
    axes.set_xticks([each[across] for each in sizes], [f"{each[across]:,.0f}" for each in sizes])
    axes.set_xticks([], minor=True)
    axes.margins(x=0.16)
    axes.set_xlabel("accounts (logarithmic)")
    axes.set_ylabel("milliseconds a settlement")
    axes.set_ylim(0, 1.15 * max(goal * least, *measured.points(across, up)[1]))
    axes.grid(axis="y")
    return picture


def workers(measured: Measured) -> Figure:
    """Settlements a second over the number of workers."""
    across, up = "workers", SPEED
    numbers = sorted(measured.of(across, up).values(), key=lambda each: each[across])
    picture, axes = _canvas(measured, "More workers, families by Zipf's law", rows=6)
    _curve(axes, measured, numbers, across, up, "{:,.0f}")
    axes.set_xticks([each[across] for each in numbers], [f"{each[across]:.0f}" for each in numbers])
    axes.margins(x=0.14)
    axes.set_xlabel("settlement workers")
    axes.set_ylabel("settlements a second")
    axes.yaxis.set_major_formatter(THOUSANDS)
    axes.set_ylim(0, 1.15 * max(measured.points(across, up)[1]))
    axes.grid(axis="y")
    return picture


FIGURES: dict[str, Callable[[Measured], Figure]] = {
    "throughput": throughput,
    "latency": latency,
    "growth": growth,
    "workers": workers,
}


def _canvas(measured: Measured, title: str, *, rows: int) -> tuple[Figure, Axes]:
    height_in = 1.5 + ROW_IN * rows
    picture = Figure(figsize=(WIDTH_IN, height_in), layout="constrained", facecolor="white")
    picture.get_layout_engine().set(rect=(0.01, 0.3 / height_in, 0.97, 1 - 0.75 / height_in))  # type: ignore[union-attr, call-arg]  # it is the constrained one
    picture.text(0.02, 1 - 0.3 / height_in, title, fontsize=13, fontweight="bold", va="center")
    picture.text(0.02, 0.15 / height_in, measured.source, fontsize=8, color="#616e7c", va="center")
    return picture, picture.add_subplot()


def _curve(axes: Axes, measured: Measured, medians: Sequence[Measures], across: str, up: str, told: str) -> None:
    """The medians as a line, every round as a pale dot around it."""
    axes.scatter(*measured.points(across, up), color=LIGHT, s=22, linewidths=0, label="a round")
    line = {"color": OURS, "linewidth": 2, "marker": "o", "label": "median"}
    axes.plot([each[across] for each in medians], [each[up] for each in medians], **line)  # type: ignore[arg-type]  # keywords of several types
    for each in medians:
        axes.annotate(
            told.format(each[up]),
            (each[across], each[up]),
            # Beside the dots of the rounds, which lie above and below.
            xytext=(9, -15),
            textcoords="offset points",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    axes.legend(frameon=False, loc="lower right")


def _across(axes: Axes, label: str, values: Sequence[float]) -> None:
    axes.set_xlim(0, 1.12 * max(values))
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.grid(axis="x")


def _colour(subject: str) -> str:
    return OURS if subject.startswith("Gongji") else OTHERS


if __name__ == "__main__":
    typer.run(main)
