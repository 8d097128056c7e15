"""`python -m bench.document`: writes what was measured into docs/performance.md, each figure between its marks, what all came to before them.

The document follows from bench/results alone, so that no number in its tables was ever typed.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import typer

from bench.machine import PROJECT
from bench.report import RESULTS, Measures, Result, markdown, markdown_table, ratios_of, read
from cli.speech import console

DOCUMENT = PROJECT / "docs" / "performance.md"
PLOTS = PROJECT / "docs" / "performance"
BLOCK = re.compile(r"(?P<begin><!-- figure: (?P<figure>[a-z_]+) -->\n).*?(?P<end><!-- /figure -->)", re.DOTALL)
OUTCOME = re.compile(r"(?P<begin><!-- outcome -->\n).*?(?P<end><!-- /outcome -->)", re.DOTALL)
# What holds everybody up and is no part of what is measured, with how it is told; results of before it was recorded tell nothing.
INTERRUPTIONS = {
    "checkpoints": ("checkpoint", "checkpoints"),
    "log_segments_made": ("new segment of the log", "new segments of the log"),
}
NOTHING = "No result is committed yet, and none is claimed.\n"


def main() -> None:
    """Write the tables of docs/performance.md anew from bench/results."""
    DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    console.print(f"[dim]written: {DOCUMENT.relative_to(PROJECT)}[/]")


def filled(text: str, results: Path = RESULTS, plots: Path = PLOTS) -> str:
    """The document with each figure's committed result between its marks, whatever stood there."""

    def block(found: re.Match[str]) -> str:
        return f"{found['begin']}{told(found['figure'], results, plots)}{found['end']}"

    reached = outcome(figures_of(text), results)
    return OUTCOME.sub(lambda found: f"{found['begin']}{reached}{found['end']}", BLOCK.sub(block, text))


def figures_of(text: str) -> list[str]:
    """The figures that have their marks in a document."""
    return [found["figure"] for found in BLOCK.finditer(text)]


def outcome(figures: Sequence[str], results: Path = RESULTS) -> str:
    """Every goal, and what it came to in the committed results of these figures."""
    rows = [["figure", "", "of", "ratio", "goal", "reached"]]
    for figure in figures:
        if (file := results / f"{figure}.json").exists():
            _, *ratios = ratios_of(read(file))
            rows += [[figure, *ratio[:3], *ratio[5:]] for ratio in ratios if ratio[5]]
    return markdown_table(rows)


def told(figure: str, results: Path, plots: Path) -> str:
    """What a document says of a figure: where and how often it was measured, its tables, and its picture if it has one."""
    file = results / f"{figure}.json"
    if not file.exists():
        return NOTHING
    found = read(file)
    parts = [f"{_source(found)}\n", markdown(found)]
    if (plots / f"{figure}.svg").exists():
        parts.append(f"![{figure}, drawn](performance/{figure}.svg)\n")
    return "\n".join(parts)


def _source(found: Result) -> str:
    machine, rounds = found.machine, len(found.rounds)
    return (
        f"Medians of {rounds} round{'s' if rounds > 1 else ''}, commit `{machine['commit']}`, "
        f"PostgreSQL {machine['postgresql']['server_version']}, RabbitMQ {machine['rabbitmq']['version']}, "
        f"Python {machine['python']}, {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB"
        f"{went_on(found.meanwhile)}:"
    )


def went_on(meanwhile: Sequence[Measures]) -> str:
    """What is told of the rounds besides what they measured; results of before it was recorded tell nothing."""
    if not meanwhile:
        return ""
    busy = meanwhile[0]["load_average_1min_before"], meanwhile[-1]["load_average_1min_after"]
    began, ended = f"load average {busy[0]:g} before the first round", f"{busy[1]:g} after the last"
    told = [_told(meanwhile, measure) for measure in INTERRUPTIONS if measure in meanwhile[0]]
    return "".join(f"; {each}" for each in (f"{began} and {ended}", *told))


def _told(meanwhile: Sequence[Measures], measure: str) -> str:
    one, many = INTERRUPTIONS[measure]
    into = [str(number) for number, each in enumerate(meanwhile, 1) if each[measure]]
    return f"{many} in the rounds {', '.join(into)}" if into else f"no {one} in a round"


if __name__ == "__main__":
    typer.run(main)
