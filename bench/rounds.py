"""Rounds: what is compared takes turns in each, every second round backwards; what else went on is told beside it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from bench import draining, machine
from bench.population import Population
from bench.report import Measures, Rounds
from bench.scale import Scale
from bench.stage import Stage

T = TypeVar("T")

Tell = Callable[[str], None]


async def each_round(
    stage: Stage,
    scale: Scale,
    measured: Callable[[int], Awaitable[dict[str, Measures]]],
    tell: Tell,
    *,
    begin: Callable[[int], Awaitable[None]] | None = None,
) -> Rounds:
    """As many rounds as the scale has, numbered from 1; what `begin` does before each of them is not part of it."""
    found, meanwhile = [], []
    for number in range(1, scale.rounds + 1):
        if begin:
            await begin(number)
        before = await machine.moment(stage.database_url)
        found.append(await measured(number))
        meanwhile.append(machine.between(before, await machine.moment(stage.database_url)))
        for subject, measures in found[-1].items():
            tell(f"round {number}: {subject}: {', '.join(f'{name} {value:,g}' for name, value in measures.items())}")
    return Rounds(found, meanwhile)


async def in_turn(number: int, subjects: Mapping[str, Callable[[], Awaitable[T]]]) -> dict[str, T]:
    """What each came to. Every second round begins with the last of them, so that nobody always comes first."""
    names = list(subjects)
    found = {name: await subjects[name]() for name in (names if number % 2 else reversed(names))}
    return {name: found[name] for name in names}


async def settled_in(stage: Stage, scale: Scale, name: str, tell: Tell) -> None:
    """A checkpoint, and so many settlements that nobody who is measured pays for pages that are written whole after it."""
    tell(f"{name}: a checkpoint, and {scale.settling_in:,} settlements to settle in")
    await draining.checkpoint(stage)
    await draining.settle_in(stage, scale.population, scale.settling_in, f"settling-in-{name}")


def conditions(people: Population, workers: Mapping[str, Mapping[str, Any]], **own: Any) -> dict[str, Any]:
    """Under which conditions a figure is measured: who lives there, what its workers work by, and what is `own` to the figure."""
    return {**people.facts(), "workers": {name: dict(settings) for name, settings in workers.items()}, **own}
