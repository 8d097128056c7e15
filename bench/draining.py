"""A queue that is full when its workers go on: how long until the last answer, and what happened meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench import answers, load
from bench.answers import Answered
from bench.bills import Patients
from bench.population import Population
from bench.report import Measures
from bench.stage import Stage, Worker
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("bench", "draining.sql")

WARM_UP_PART = 10
# What a worker logs where a batch has to be decided again from its start: services/settlement/handler.py.
AGAIN = '"batch_again"'


@dataclass(frozen=True, slots=True)
class Load:
    """Whose bills wait, how many of them, and under which name nobody else's do."""

    population: Population
    series: str
    settlements: int
    patients: Patients | None = None

    def part(self, series: str, settlements: int) -> "Load":
        return Load(self.population, f"{self.series}-{series}", settlements, self.patients)


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


async def drain(stage: Stage, workers: int, waiting: Load) -> Drained:
    """New workers, warmed up on other bills, then held still until everything waits; gone when their deadlocks are counted."""
    before = await _deadlocks(stage.database_url)
    async with at_work(stage, workers) as working:
        warm_up = waiting.part("warm-up", max(waiting.settlements // WARM_UP_PART, 1))
        await once(stage, working, warm_up)
        logged = sum(_again(worker) for worker in working)
        drained = await once(stage, working, waiting)
        again = sum(_again(worker) for worker in working) - logged
    # PostgreSQL adds up what a session has to tell when the session ends, if not before.
    deadlocks = await _deadlocks(stage.database_url) - before
    return Drained(drained.settlements, drained.began_at, drained.drained_s, drained.answered, deadlocks, again)


async def once(stage: Stage, working: list[Worker], waiting: Load) -> Drained:
    """Fills the queue while these workers hold still, and lets them go on until it is empty."""
    whole = (stage.amqp_url, waiting.population, waiting.series, waiting.settlements, waiting.patients)
    async with AsyncExitStack() as still:
        for worker in working:
            still.enter_context(worker.held_still())
        await stage.load(load.publish, *whole)
    began_at, began_s = time.time(), time.perf_counter()
    drained_at_s = await stage.load(load.drained_at_s, stage.amqp_url, waiting.settlements)
    answered = await stage.load(answers.check, *whole)
    for worker in working:
        worker.check()
    return Drained(waiting.settlements, began_at, drained_at_s - began_s, answered)


def counted(drained: Iterable[Drained]) -> Measures:
    """What must not happen, in all of them together."""
    together = list(drained)
    return {
        "deadlocks": sum(each.deadlocks for each in together),
        "batches_again": sum(each.again for each in together),
    }


@asynccontextmanager
async def at_work(stage: Stage, workers: int) -> AsyncIterator[list[Worker]]:
    """So many settlement workers, started together."""
    async with AsyncExitStack() as running:
        async with asyncio.TaskGroup() as starting:
            contexts = [stage.worker(f"settlement-{number}") for number in range(1, workers + 1)]
            started = [starting.create_task(running.enter_async_context(context)) for context in contexts]
        yield [worker.result() for worker in started]


def _again(worker: Worker) -> int:
    return worker.log.read_text(encoding="utf-8", errors="replace").count(AGAIN)


async def _deadlocks(url: str) -> int:
    """How often PostgreSQL had to end a circle of waiting transactions in this database, since it was made."""
    connection: Any = await connect(url, role=None, name="bench")
    try:
        found: int = await connection.fetchval(SQL["deadlocks"])
    finally:
        await connection.close()
    return found
