"""What was measured: medians and ratios, as JSON, on the terminal, and in docs/performance.md."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from rich.console import Group
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"

# What one subject came to in one round, by names that end in their unit.
Measures = dict[str, float]
SPEED = "settlements_per_s"


class Bound(StrEnum):
    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio must come to."""

    bound: Bound
    value: float

    def reached(self, ratio: float) -> bool:
        return ratio >= self.value if self.bound is Bound.AT_LEAST else ratio <= self.value

    def __str__(self) -> str:
        return f"{self.bound} {_number(self.value)}"


class Judged(StrEnum):
    """What several rounds come to.

    A percentile swings with the machine from one round to the next, and both of a round with it: of percentiles the median of the
    rounds' own ratios counts, not that of two medians which may come of different rounds. Of what must never happen the
    worst round counts.
    """

    BY_MEDIANS = "medians"
    BY_ROUNDS = "each round"
    BY_THE_WORST = "the worst round"


@dataclass(frozen=True, slots=True)
class Compared:
    """A measure of one subject beside that of another, or by itself where there is no base."""

    measure: str
    subject: str
    base: str | None
    goal: Goal | None = None
    judged: Judged = Judged.BY_MEDIANS


@dataclass(frozen=True, slots=True)
class Ratio:
    """A comparison, and what each round came to by itself; `reached` says whether the goal was, where there is one.

    Nothing is so many times nothing: where the base is 0 there is no ratio, and no goal is reached.
    """

    measure: str
    subject: str
    base: str | None
    judged: Judged
    ratio: float | None
    rounds: list[float | None]
    goal: Goal | None
    reached: bool | None


@dataclass(frozen=True, slots=True)
class Rounds:
    """What each round measured of each subject, the same subjects in all; and what went on `meanwhile` in each."""

    measured: Sequence[dict[str, Measures]]
    meanwhile: Sequence[Measures] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A figure: every round, each subject's medians over the rounds, and comparisons."""

    figure: str
    conditions: dict[str, Any]
    rounds: list[dict[str, Measures]]
    medians: dict[str, Measures]
    ratios: list[Ratio]
    meanwhile: list[Measures] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)


def at_least(value: float) -> Goal:
    return Goal(Bound.AT_LEAST, value)


def at_most(value: float) -> Goal:
    return Goal(Bound.AT_MOST, value)


def result(figure: str, conditions: dict[str, Any], found: Rounds, compared: Sequence[Compared]) -> Result:
    """The result of what was found in all rounds."""
    rounds = found.measured
    medians = {
        subject: {
            measure: round(statistics.median(each[subject][measure] for each in rounds), 4) for measure in measures
        }
        for subject, measures in rounds[0].items()
    }
    ratios = [_compare(each, medians, rounds) for each in compared]
    return Result(figure, conditions, list(rounds), medians, ratios, list(found.meanwhile))


def latency_ms(latencies_s: Sequence[float]) -> Measures:
    """The spread of at least two latencies, in milliseconds."""
    hundredths = statistics.quantiles(latencies_s, n=100, method="inclusive")
    spread = {"p50": hundredths[49], "p99": hundredths[98], "max": max(latencies_s)}
    return {f"latency_ms_{name}": round(value_s * 1_000, 2) for name, value_s in spread.items()}


def write(found: Result, *, whole: bool) -> Path:
    """Writes the result; that of a run in small beside the honest one, where it is not committed."""
    file = RESULTS / f"{found.figure}{'' if whole else '.small'}.json"
    RESULTS.mkdir(exist_ok=True)
    file.write_bytes(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return file


def read(file: Path) -> Result:
    """A result as it was written."""
    told = orjson.loads(file.read_bytes())
    ratios = [
        Ratio(**{**each, "judged": Judged(each["judged"]), "goal": _goal(each["goal"])}) for each in told["ratios"]
    ]
    return Result(**{**told, "ratios": ratios})


def shown(found: Result) -> Group:
    """The medians and the ratios, for a terminal."""
    title = f"{found.figure}: medians of {len(found.rounds)} rounds"
    return Group(_table(medians_of(found), title), _table(ratios_of(found), None))


def markdown(found: Result) -> str:
    """The same tables as docs/performance.md has them."""
    return f"{markdown_table(medians_of(found))}\n{markdown_table(ratios_of(found))}"


def medians_of(found: Result) -> list[list[str]]:
    """A row for each subject, the heading first."""
    measures = list(dict.fromkeys(name for medians in found.medians.values() for name in medians))
    rows = [[subject, *(_number(medians.get(name)) for name in measures)] for subject, medians in found.medians.items()]
    return [["", *measures], *rows]


def ratios_of(found: Result) -> list[list[str]]:
    """A row for each ratio with its goal, the heading first."""
    rows = [
        [
            f"{each.subject} / {each.base}" if each.base else each.subject,
            each.measure,
            _number(each.ratio),
            each.judged,
            ", ".join(_number(one) or "none" for one in each.rounds),
            str(each.goal or ""),
            {None: "", True: "yes", False: "**no**"}[each.reached],
        ]
        for each in found.ratios
    ]
    return [["", "of", "ratio", "by", "round by round", "goal", "reached"], *rows]


def _compare(compared: Compared, medians: dict[str, Measures], rounds: Sequence[dict[str, Measures]]) -> Ratio:
    goal, each_round = compared.goal, [_found(compared, each) for each in rounds]
    judged = _found(compared, medians) if compared.judged is Judged.BY_MEDIANS else _judged(compared, each_round)
    return Ratio(
        compared.measure,
        compared.subject,
        compared.base,
        compared.judged,
        _told(compared, judged),
        [_told(compared, each) for each in each_round],
        goal,
        reached=(judged is not None and goal.reached(judged)) if goal else None,
    )


def _told(compared: Compared, ratio: float | None) -> float | None:
    """A ratio in two digits; its goal is held against the ratio itself."""
    return round(ratio, 2) if ratio is not None and compared.base else ratio


def _judged(compared: Compared, each_round: Sequence[float | None]) -> float | None:
    """What the rounds' own ratios come to; nothing where one of them has none."""
    told = [each for each in each_round if each is not None]
    if len(told) < len(each_round):
        return None
    if compared.judged is Judged.BY_ROUNDS:
        return statistics.median(told)
    return min(told) if compared.goal and compared.goal.bound is Bound.AT_LEAST else max(told)


def _found(compared: Compared, measured: dict[str, Measures]) -> float | None:
    value = measured[compared.subject][compared.measure]
    if compared.base is None:
        return value
    base = measured[compared.base][compared.measure]
    return value / base if base else None


def _goal(told: dict[str, Any] | None) -> Goal | None:
    return Goal(Bound(told["bound"]), told["value"]) if told else None


def _table(cells: list[list[str]], title: str | None) -> Table:
    heading, *rows = cells
    table = Table(title=title)
    for place, name in enumerate(heading):
        table.add_column(name, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*(cell.strip("*") for cell in row), style="red" if "**no**" in row else None)
    return table


def markdown_table(cells: list[list[str]]) -> str:
    """Rows as Markdown, the heading first; what is behind the first column stands to the right."""
    heading, *rows = cells
    rule = ["---", *["---:" for _ in heading[1:]]]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, rule, *rows)) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    # A fraction of a millisecond has two digits to be compared by, too.
    return f"{value:,.{2 if abs(value) >= 1 else 3}f}".rstrip("0").rstrip(".")
