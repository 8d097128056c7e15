"""What was measured: medians and ratios, as JSON, on the terminal, and in docs/performance.md."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"

# What one subject came to in one round, by names that end in their unit.
Measures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Result:
    """A figure: every round, the medians over the rounds, and the ratios of the medians of two subjects."""

    figure: str
    conditions: dict[str, Any]
    compared: tuple[str, str]
    rounds: list[dict[str, Measures]]
    medians: dict[str, Measures]
    ratios: Measures
    machine: dict[str, Any] = field(default_factory=dict)


def result(
    figure: str, conditions: dict[str, Any], rounds: Sequence[dict[str, Measures]], compared: tuple[str, str]
) -> Result:
    """The result of rounds that all have measured the same subjects; `compared` names the subject and its base."""
    medians = {
        subject: {
            measure: round(statistics.median(each[subject][measure] for each in rounds), 2) for measure in measures
        }
        for subject, measures in rounds[0].items()
    }
    subject, base = (medians[name] for name in compared)
    ratios = {name: ratio(subject[name], base[name]) for name in subject if name in base}
    return Result(figure, conditions, compared, list(rounds), medians, ratios)


def latency_ms(latencies_s: Sequence[float]) -> Measures:
    """The spread of at least two latencies, in milliseconds."""
    hundredths = statistics.quantiles(latencies_s, n=100, method="inclusive")
    spread = {"p50": hundredths[49], "p99": hundredths[98], "max": max(latencies_s)}
    return {f"latency_ms_{name}": round(value_s * 1_000, 2) for name, value_s in spread.items()}


def ratio(value: float, base: float) -> float:
    return round(value / base, 2)


def write(found: Result, *, quick: bool) -> Path:
    """Writes the result; a quick run's beside the honest one, where it is not committed."""
    file = RESULTS / f"{found.figure}{'.quick' if quick else ''}.json"
    RESULTS.mkdir(exist_ok=True)
    file.write_bytes(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return file


def read(file: Path) -> Result:
    """A result as it was written."""
    told = orjson.loads(file.read_bytes())
    return Result(**{**told, "compared": tuple(told["compared"])})


def table(found: Result) -> Table:
    """The medians and their ratios, for a terminal."""
    heading, *rows = cells(found)
    shown = Table(title=f"{found.figure}: medians of {len(found.rounds)} rounds")
    for place, title in enumerate(heading):
        shown.add_column(title, justify="left" if place == 0 else "right")
    for row in rows:
        shown.add_row(*row)
    return shown


def markdown(found: Result) -> str:
    """The same table as docs/performance.md has it."""
    heading, *rows = cells(found)
    rule = ["---", *["---:" for _ in heading[1:]]]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, rule, *rows)) + "\n"


def cells(found: Result) -> list[list[str]]:
    """The table's cells, the heading first: the base, what is compared with it, and their ratio."""
    subject, base = found.compared
    measures = list(dict.fromkeys([*found.medians[base], *found.medians[subject]]))
    rows = [
        [name, *(_number(part.get(name)) for part in (found.medians[base], found.medians[subject], found.ratios))]
        for name in measures
    ]
    return [["", base, subject, f"{subject} / {base}"], *rows]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")
