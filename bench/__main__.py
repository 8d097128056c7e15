"""`python -m bench`: measures the figures asked for, prints tables, writes bench/results."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any

import typer

from bench import filling, machine, report
from bench.figures import contention, inquiries, memory, workers
from bench.load import LoadFailed
from bench.report import Result
from bench.scale import FULL, QUICK, Scale
from bench.stage import Stage, stage
from cli import audit
from cli.environment import state_directory
from cli.speech import BROKEN, USAGE, console, errors, speech
from deploy.devstack.failure import StackFailed
from shared.rabbit.client import NoAnswer, NotRouted

Measurement = Callable[[Stage, Scale, Callable[[str], None]], Awaitable[Result]]

FIGURES: dict[str, Measurement] = {each.NAME: each.measure for each in (inquiries, contention, workers, memory)}


class Broken(Exception):
    """The ledger does not hold after what was measured."""


FAILURES = (
    *(Broken, LoadFailed, NoAnswer, NotRouted, StackFailed, TimeoutError),
    *(machine.NotDurable, filling.NotEmpty),
)


def main(
    figures: Annotated[list[str] | None, typer.Argument(metavar="[FIGURE]...", help=f"{', '.join(FIGURES)}.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds, few people: does the bench work?")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each figure.")] = None,
) -> None:
    """Measure side by side on private servers; exit 1 if an answer is missing or the ledger does not hold."""
    asked = figures or list(FIGURES)
    if unknown := sorted(set(asked) - FIGURES.keys()):
        errors.print(f"[red]unknown: {', '.join(unknown)}; known: {', '.join(FIGURES)}[/]")
        raise typer.Exit(USAGE)
    scale = QUICK if quick else FULL
    scale = replace(scale, rounds=rounds or scale.rounds)
    failures: list[str] = []
    try:
        with stage(state_directory() / "bench", _tell) as ready:
            asyncio.run(_measure(ready, scale, asked, quick=quick))
    # Many quotes fail together, in a group.
    except* FAILURES as failed:
        failures = [f"{type(error).__name__}: {error}" for error in failed.exceptions]
    if failures:
        errors.print("\n".join(f"[red]{each}[/]" for each in dict.fromkeys(failures)))
        raise typer.Exit(BROKEN)


async def _measure(ready: Stage, scale: Scale, asked: list[str], *, quick: bool) -> None:
    await ready.prepare()
    facts = await machine.facts(ready.database_url, ready.amqp_url)
    people = scale.population
    _tell(f"filling in {people.people:,} people, {people.accounts:,} accounts, {people.bindings:,} bindings")
    await filling.fill(ready.database_url, people, _tell)
    found = []
    for name in asked:
        _tell(f"{name}: {scale.rounds} rounds")
        found.append(replace(await FIGURES[name](ready, scale, _tell), machine=facts))
    await _prove(ready)
    for each in found:
        console.print(report.table(each))
        _tell(f"written to {report.write(each, quick=quick).relative_to(machine.PROJECT)}")


async def _prove(ready: Stage) -> None:
    """Raises Broken, and shows the rows, where the ledger does not hold."""
    proof: dict[str, Any] = await audit.prove(ready.database_url)
    if not proof["holds"]:
        audit.show(proof, speech("en"))
        raise Broken("the ledger does not hold")
    _tell(f"the ledger holds: {proof['totals']['decisions']:,} decisions, {proof['totals']['entries']:,} entries")


def _tell(line: str) -> None:
    console.print(f"[dim]{line}[/]")


if __name__ == "__main__":
    typer.run(main)
