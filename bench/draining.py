"""A queue that is full when those who empty it go on: how long until the last answer, and what happened meanwhile."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bench import answers, counters, load, processor
from bench.bills import Patients
from bench.load import SINGLE, Form, LoadFailed
from bench.population import Population
from bench.report import SPEED, Measures
from bench.scale import WARM_UP_PART
from bench.sessions import session
from bench.stage import Running, Stage, held_still, together
from services.settlement import metrics
from shared.postgres.queries import load_queries

SQL = load_queries("bench", "draining.sql")

# What a worker counts where a batch has to be decided again from its start, and where a request has to wait for a row that somebody outside holds.
AGAIN, PUT_ASIDE = (next(iter(counter.describe())).name for counter in (metrics.BATCHES_AGAIN, metrics.PUT_ASIDE))

# What is sent within a few heartbeats: a worker that holds still sends none.
LOT_MAX = 20_000

Start = Callable[[Stage], AbstractAsyncContextManager[Sequence[Running]]]


@dataclass(frozen=True, slots=True)
class Load:
    """Whose bills wait, how many of them, in messages of which kind, and under which name nobody else's do; `settles`: for somebody who does more than echo them."""

    population: Population
    series: str
    settlements: int
    patients: Patients | None = None
    form: Form = SINGLE
    settles: bool = True

    @property
    def messages(self) -> int:
        return self.form.messages(self.settlements)

    def part(self, name: str, settlements: int) -> "Load":
        """Others of the same kind."""
        return replace(self, series=f"{self.series}-{name}", settlements=settlements)


@dataclass(frozen=True, slots=True)
class Drained:
    """What came of a full queue that went on at `began_s`, by `time.perf_counter`; `spent` is which processor time it took, where that is told.

    Deadlocks and what became of updated `rows` are PostgreSQL's own count; `again` and `put_aside` the workers'.
    """

    settlements: int
    began_s: float
    drained_s: float
    arrived_at_s: Sequence[float]
    spent: Measures = field(default_factory=dict)
    rows: Measures = field(default_factory=dict)
    deadlocks: int = 0
    again: int = 0
    put_aside: int = 0

    @property
    def settlements_per_s(self) -> float:
        return round(self.settlements / self.drained_s, 1)

    @property
    def measures(self) -> Measures:
        """How fast it went, and at which cost."""
        return {SPEED: self.settlements_per_s, **self.spent, **self.rows}

    @property
    def answered_s(self) -> list[float]:
        """When each answer came, in seconds from when the workers went on, in the order in which the requests waited.

        Says something only of a queue whose answers were taken while it drained.
        """
        return [at_s - self.began_s for at_s in self.arrived_at_s]


def workers(stage: Stage, processes: int) -> AbstractAsyncContextManager[Sequence[Running]]:
    """So many settlement workers."""
    return together(*(stage.worker(f"settlement-{number}", of=processes) for number in range(1, processes + 1)))


def peers(stage: Stage, name: str, processes: int = 1) -> AbstractAsyncContextManager[Sequence[Running]]:
    """So many processes of a peer."""
    return together(*(stage.peer(name, number) for number in range(1, processes + 1)))


async def drain(stage: Stage, start: Start, waiting: Load, *, taken: bool = False) -> Drained:
    """Whoever is started, warmed up on other bills, then held still until everything waits; gone when PostgreSQL's counters are read.

    `taken`: answers are taken as they come, each with its time, and not only counted; who takes them shares the processors.
    """
    before = await counters.read(stage.database_url)
    async with start(stage) as running:
        await once(stage, running, waiting.part("warm-up", max(waiting.settlements // WARM_UP_PART, 1)))
        counted_before = await _counted_by(running)
        drained = await (_once_taken if taken else once)(stage, running, waiting)
        again, put_aside = (now - then for now, then in zip(await _counted_by(running), counted_before, strict=True))
    after = await counters.read(stage.database_url)
    rows, deadlocks = counters.rows(before, after), after.deadlocks - before.deadlocks
    return replace(drained, rows=rows, deadlocks=deadlocks, again=again, put_aside=put_aside)


async def checkpoint(stage: Stage) -> None:
    """The whole server's, now, so that by itself none comes for as long as they are apart."""
    async with session(stage.database_url) as connection:
        await connection.execute(SQL["checkpoint"])


async def settle_in(stage: Stage, population: Population, settlements: int, name: str) -> None:
    """Settles so many bills that nobody counts: the first time after a checkpoint a page is written whole.

    `name` is nobody else's.
    """
    for number, first in enumerate(range(0, settlements, LOT_MAX)):
        waiting = Load(population, f"{name}-{number}", min(LOT_MAX, settlements - first))
        await drain(stage, partial(workers, processes=2), waiting)


async def once(stage: Stage, running: Sequence[Running], waiting: Load) -> Drained:
    """Fills the queue while these hold still, and lets them go on until it is empty."""
    parties = stage.parties(running)
    with held_still(*running):
        await _publish(stage, waiting)
        before = processor.read(parties)
    began_s = time.perf_counter()
    drained_s = await until_drained(stage, running, waiting) - began_s
    spent = processor.spent(before, processor.read(parties), waiting.settlements)
    return Drained(waiting.settlements, began_s, drained_s, await checked(stage, waiting), spent)


async def _once_taken(stage: Stage, running: Sequence[Running], waiting: Load) -> Drained:
    """The same, where every answer is taken as soon as it is there. It is drained when the last one has come."""
    with held_still(*running):
        await _publish(stage, waiting)
        taking = asyncio.create_task(checked(stage, waiting))
        await load.answers_are_taken(stage.amqp_url)
    began_s = time.perf_counter()
    with _told_of(running):
        arrived_at_s = await taking
    return Drained(waiting.settlements, began_s, max(arrived_at_s) - began_s, arrived_at_s)


async def fill(stage: Stage, running: Sequence[Running], waiting: Load) -> float:
    """Everything waits when these go on: when they did, as `time.perf_counter` tells it."""
    with held_still(*running):
        await _publish(stage, waiting)
    return time.perf_counter()


async def until_drained(stage: Stage, running: Sequence[Running], waiting: Load) -> float:
    """When the last answer was there, as `time.perf_counter` tells it. Raises StackFailed where one of these has ended."""
    with _told_of(running):
        return await stage.load(load.drained_at_s, stage.amqp_url, waiting.messages)


async def checked(stage: Stage, waiting: Load) -> Sequence[float]:
    """Takes every answer away and looks at it; when each came. Raises LoadFailed unless each settlement has exactly one, as the ledger has it."""
    ledger = stage.database_url if waiting.settles else None
    return await stage.load(answers.check, stage.amqp_url, ledger, waiting.series, waiting.settlements)


def counted(drained: Iterable[Drained]) -> Measures:
    """What must not happen, or seldom, in all of them together."""
    everything = list(drained)
    return {
        "deadlocks": sum(each.deadlocks for each in everything),
        "batches_again": sum(each.again for each in everything),
        "put_aside": sum(each.put_aside for each in everything),
    }


def counted_on(page: str, name: str) -> int:
    """How far a worker's counter is, by its page of metrics, whatever its labels."""
    families = text_string_to_metric_families(page)
    return round(sum(sample.value for family in families if family.name == name for sample in family.samples))


@contextmanager
def _told_of(running: Sequence[Running]) -> Iterator[None]:
    """Whoever has ended says more than the answers that did not come of it."""
    try:
        yield
    except LoadFailed:
        for each in running:
            each.check()
        raise


async def _publish(stage: Stage, waiting: Load) -> None:
    whole = (waiting.population, waiting.series, waiting.settlements, waiting.patients)
    await stage.load(waiting.form.publish, stage.amqp_url, *whole)


async def _counted_by(running: Sequence[Running]) -> tuple[int, int]:
    """How many batches these have decided again, and how many requests put aside, since they began."""
    # The user's proxy settings have no say in what runs on this machine.
    async with httpx.AsyncClient(trust_env=False) as http:
        pages = [(await http.get(f"{each.url}/metrics")).text for each in running if each.url]
    again, put_aside = (sum(counted_on(page, name) for page in pages) for name in (AGAIN, PUT_ASIDE))
    return again, put_aside
