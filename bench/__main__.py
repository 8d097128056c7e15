"""`python -m bench`: measures the figures asked for, prints tables, writes bench/results."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated

import typer

from bench import filling, machine, report
from bench.figures import bulk, contention, engine, growth, inquiries, latency, memory, throughput, tills, workers
from bench.load import LoadFailed
from bench.proof import Broken, prove
from bench.report import Result
from bench.scale import ACCOUNTS_COME_BY, FULL, GROWTH, QUICK, QUICK_GROWTH, Scale, nation
from bench.stage import Stage, stage
from cli.environment import STATE_DIRECTORY, state_directory
from cli.speech import BROKEN, USAGE, console, errors
from deploy.devstack.failure import StackFailed
from shared.rabbit.client import NoAnswer, NotRouted, NotTaken
from shared.rabbit.publisher import PublishFailed

Measurement = Callable[[Stage, Scale, Callable[[str], None]], Awaitable[Result]]

FIGURES: dict[str, Measurement] = {
    each.NAME: each.measure
    for each in (throughput, bulk, engine, latency, inquiries, tills, contention, workers, memory)
}
# Takes a hundred times the room and half an hour, and other people than the rest: measured when it is asked for by itself.
GROWING: dict[str, Measurement] = {growth.NAME: growth.measure}


FAILURES = (
    *(Broken, LoadFailed, NoAnswer, NotRouted, NotTaken, PublishFailed, StackFailed, TimeoutError),
    *(machine.NotDurable, filling.NotEmpty),
)


def main(
    figures: Annotated[
        list[str] | None, typer.Argument(metavar="[FIGURE]...", help=f"{', '.join(FIGURES)}; by itself growth.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds, few people: does the bench work?")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each figure.")] = None,
    grow: Annotated[bool, typer.Option("--growth", help="Only growth: up to ten million accounts, 80 GB.")] = False,
    accounts: Annotated[
        list[int] | None,
        typer.Option(min=ACCOUNTS_COME_BY, help="With --growth: another size; several times, a curve."),
    ] = None,
    prove_whole: Annotated[
        bool, typer.Option("--prove", help="With --growth: audit every ledger, however large.")
    ] = False,
) -> None:
    """Measure side by side on private servers; exit 1 if an answer is missing or the ledger does not hold."""
    grow = grow or figures == [growth.NAME]
    known = GROWING if grow else FIGURES
    asked = figures or list(known)
    if unknown := sorted(set(asked) - known.keys()):
        errors.print(f"[red]unknown: {', '.join(unknown)}; known: {', '.join(known)}[/]")
        raise typer.Exit(USAGE)
    usual = (QUICK_GROWTH if quick else GROWTH) if grow else (QUICK if quick else FULL)
    sizes = sorted(set(accounts or ()))
    if odd := [size for size in sizes if size % ACCOUNTS_COME_BY]:
        errors.print(f"[red]not a multiple of {ACCOUNTS_COME_BY}: {', '.join(map(str, odd))}[/]")
        raise typer.Exit(USAGE)
    if usual.population.accounts in sizes:
        errors.print(f"[red]{usual.population.accounts} accounts are what the others are held against[/]")
        raise typer.Exit(USAGE)
    grown = tuple(map(nation, sizes)) or usual.grown
    scale = replace(usual, rounds=rounds or usual.rounds, grown=grown, proven_whole=prove_whole)
    whole = not quick and scale.rounds >= usual.rounds and set(usual.grown) <= set(grown) and not told_otherwise()
    failures: list[str] = []
    # Whoever ends the bench ends it as Ctrl-C does: what it has started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with stage(state_directory() / "bench", scale.postgres, _tell) as ready:
            asyncio.run(_measure(ready, scale, asked, whole=whole))
    # Many quotes fail together, in a group.
    except* FAILURES as failed:
        failures = [f"{type(error).__name__}: {error}" for error in failed.exceptions]
    if failures:
        errors.print("\n".join(f"[red]{each}[/]" for each in dict.fromkeys(failures)))
        raise typer.Exit(BROKEN)


def told_otherwise() -> list[str]:
    """What the environment tells the servers or the workers: it may be measured, and is not what Gongji does by itself."""
    return sorted(name for name in os.environ if name.startswith("GONGJI_") and name != STATE_DIRECTORY)


async def _measure(ready: Stage, scale: Scale, asked: list[str], *, whole: bool) -> None:
    """Figure after figure, each proven and written before the next begins."""
    await ready.prepare()
    facts = await machine.facts(ready.database_url, ready.amqp_url, ready.broker_settings(), ready.directory)
    people = scale.population
    _tell(f"filling in {people.people:,} people, {people.accounts:,} accounts, {people.bindings:,} bindings")
    await filling.make_log_segments(ready.database_url, scale.log_segments)
    await filling.fill(ready.database_url, people, _tell)
    for name in asked:
        _tell(f"{name}: {scale.rounds} rounds")
        found = replace(await (FIGURES | GROWING)[name](ready, scale, _tell), machine=machine.still(facts))
        await prove(ready.database_url, _tell)
        console.print(report.shown(found))
        _tell(f"written to {report.write(found, whole=whole).relative_to(machine.PROJECT)}")


def _tell(line: str) -> None:
    console.print(f"[dim]{line}[/]")


if __name__ == "__main__":
    typer.run(main)
