"""A queue that is full when those who empty it go on: how long until the last answer, and what happened meanwhile."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bench import answers, load
from bench.answers import Answered
from bench.bills import Patients
from bench.load import SINGLE, Form, LoadFailed
from bench.population import Population
from bench.report import Measures
from bench.scale import WARM_UP_PART
from bench.stage import Running, Stage, held_still, together
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("bench", "draining.sql")

# What a worker logs where a batch has to be decided again from its start: services/settlement/handler.py.
AGAIN = '"batch_again"'

LOT_MAX = 60_000

Start = Callable[[Stage], AbstractAsyncContextManager[Sequence[Running]]]


@dataclass(frozen=True, slots=True)
class Load:
    """Whose bills wait, how many of them, in messages of which kind, and under which name nobody else's do."""

    population: Population
    series: str
    settlements: int
    patients: Patients | None = None
    form: Form = SINGLE

    @property
    def messages(self) -> int:
        return self.form.messages(self.settlements)

    def part(self, name: str, settlements: int) -> "Load":
        """Others of the same kind."""
        return replace(self, series=f"{self.series}-{name}", settlements=settlements)


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of a full queue; `began_at` is a POSIX time. Deadlocks are PostgreSQL's own count, `again` the workers'."""

    settlements: int
    began_at: float
    drained_s: float
    answered: Answered
    deadlocks: int = 0
    again: int = 0

    @property
    def settlements_per_s(self) -> float:
        return round(self.settlements / self.drained_s, 1)

    @property
    def decided_s(self) -> list[float]:
        """When each was decided, in seconds from when the workers went on, in the order in which they waited."""
        return [at - self.began_at for at in self.answered.decided_at]


def workers(stage: Stage, processes: int) -> AbstractAsyncContextManager[Sequence[Running]]:
    """So many settlement workers."""
    return together(*(stage.worker(f"settlement-{number}") for number in range(1, processes + 1)))


def peers(stage: Stage, name: str, processes: int = 1) -> AbstractAsyncContextManager[Sequence[Running]]:
    """So many processes of a peer."""
    return together(*(stage.peer(name, number) for number in range(1, processes + 1)))


async def drain(stage: Stage, start: Start, waiting: Load) -> Drained:
    """Whoever is started, warmed up on other bills, then held still until everything waits; gone when deadlocks are counted."""
    before = await _deadlocks(stage.database_url)
    async with start(stage) as running:
        await once(stage, running, waiting.part("warm-up", max(waiting.settlements // WARM_UP_PART, 1)))
        logged = sum(_again(each) for each in running)
        drained = await once(stage, running, waiting)
        again = sum(_again(each) for each in running) - logged
    # PostgreSQL adds up what a session has to tell when the session ends, if not before.
    return replace(drained, deadlocks=await _deadlocks(stage.database_url) - before, again=again)


async def settle_in(stage: Stage, population: Population, settlements: int, name: str = "settling-in") -> None:
    """Settles so many bills before anything is measured: the first time after a checkpoint a page is written whole.

    Checkpoints are a quarter of an hour apart, as a server under load has them, so nobody else pays for that.
    """
    # No more at once than are sent within a heartbeat.
    for number, first in enumerate(range(0, settlements, LOT_MAX)):
        waiting = Load(population, f"{name}-{number}", min(LOT_MAX, settlements - first))
        await drain(stage, partial(workers, processes=2), waiting)


async def once(stage: Stage, running: Sequence[Running], waiting: Load) -> Drained:
    """Fills the queue while these hold still, and lets them go on until it is empty."""
    await fill(stage, running, waiting)
    began_at, began_s = time.time(), time.perf_counter()
    drained_at_s = await until_drained(stage, running, waiting)
    return Drained(waiting.settlements, began_at, drained_at_s - began_s, await checked(stage, waiting))


async def fill(stage: Stage, running: Sequence[Running], waiting: Load) -> None:
    """Everything waits when these go on."""
    with held_still(*running):
        await stage.load(waiting.form.publish, stage.amqp_url, *_whole(waiting))


async def until_drained(stage: Stage, running: Sequence[Running], waiting: Load) -> float:
    """When the last answer was there, as `time.perf_counter` tells it. Raises StackFailed where one of these has ended."""
    try:
        return await stage.load(load.drained_at_s, stage.amqp_url, waiting.messages)
    except LoadFailed:
        for each in running:
            each.check()
        raise


async def checked(stage: Stage, waiting: Load) -> Answered:
    """Takes every answer away and looks at it. Raises LoadFailed unless each settlement has exactly one distinct decision."""
    return await stage.load(answers.check, stage.amqp_url, *_whole(waiting))


def counted(drained: Iterable[Drained]) -> Measures:
    """What must not happen, in all of them together."""
    everything = list(drained)
    return {
        "deadlocks": sum(each.deadlocks for each in everything),
        "batches_again": sum(each.again for each in everything),
    }


def _whole(waiting: Load) -> tuple[Population, str, int, Patients | None]:
    return waiting.population, waiting.series, waiting.settlements, waiting.patients


def _again(running: Running) -> int:
    return running.log.read_text(encoding="utf-8", errors="replace").count(AGAIN)


async def _deadlocks(url: str) -> int:
    """How often PostgreSQL had to end a circle of waiting transactions in this database, since it was made."""
    connection: Any = await connect(url, role=None, name="bench")
    try:
        found: int = await connection.fetchval(SQL["deadlocks"])
    finally:
        await connection.close()
    return found
