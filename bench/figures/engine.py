"""How fast is the settling engine alone, without a broker? The worker's handler on batches, beside pgbench."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import uvloop
from pydantic_core import from_json

from bench import processor
from bench.answers import hold
from bench.bills import bills, request_ids
from bench.machine import WORKER_ROLE
from bench.peers import pgbench
from bench.population import Population
from bench.processor import OWN
from bench.report import SPEED, Compared, Measures, Result, at_least, result
from bench.rounds import Tell, conditions, each_round, in_turn, settled_in
from bench.scale import WARM_UP_PART, Scale
from bench.sessions import session
from bench.stage import Stage
from services.settlement.handler import Handler
from services.settlement.incoming import Incoming
from services.settlement.model import Resolution
from shared.domain.times import system_clock
from shared.postgres.pool import create_pool
from shared.postgres.queries import load_queries
from shared.runtime.lifecycle import rarely_collect_garbage

NAME = "engine"
BATCH = 250
# As many as the lanes of a worker would have in the database at once.
IN_FLIGHT = 2
WARM_UP = IN_FLIGHT * BATCH
PROCESSES = {"engine ×1": 1, "engine ×2": 2}
COMPARED = (
    Compared(SPEED, "engine ×2", pgbench.NAME, at_least(3)),
    Compared(SPEED, "engine ×1", pgbench.NAME),
)
SQL = load_queries("bench.figures", "engine.sql")
# The key of the lock that is the line from which all processes begin, once each has read its bills and is connected.
LINE = 0x6C696E65  # "line"
READY_WITHIN_S, LOOK_EVERY_S = 60.0, 0.02


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """Each round the engine in one process and in two, and pgbench, whose clients use all processors too."""
    async with pgbench.database(stage.database_url, scale.pgbench_scale) as pgbench_url:

        async def one(number: int) -> dict[str, Measures]:
            engines = {
                name: partial(settled, stage, scale, processes, f"{NAME}-{number}-{processes}", scale.backlog)
                for name, processes in PROCESSES.items()
            }
            return await in_turn(
                number, engines | {pgbench.NAME: partial(pgbench.measure, stage, pgbench_url, scale.backlog)}
            )

        await settled_in(stage, scale, NAME, tell)
        await pgbench.settle_in(pgbench_url, scale.pgbench_scale)
        for processes in PROCESSES.values():
            await settled(stage, scale, processes, f"{NAME}-warm-up-{processes}", scale.backlog // WARM_UP_PART)
        rounds = await each_round(stage, scale, one, tell)
    engine = {"lanes": IN_FLIGHT, "batch_max": BATCH, "authenticate_senders": False}
    own = {
        "settlements": scale.backlog,
        "pgbench_scale": scale.pgbench_scale,
        "pgbench_clients": pgbench.CLIENTS,
    }
    return result(NAME, conditions(scale.population, {NAME: engine}, **own), rounds, COMPARED)


@dataclass(frozen=True, slots=True)
class Settled:
    """When a process began and ended, by `time.perf_counter`; the seconds of processor time that it took; what it answered."""

    began_s: float
    ended_s: float
    taken_s: float
    answers: list[str]


async def settled(stage: Stage, scale: Scale, processes: int, series: str, settlements: int) -> Measures:
    """How many a second, from when the first process begins to when the last is through, and at which cost.

    Raises LoadFailed where a bill is not settled, or not as the ledger has it.
    """
    each = settlements // processes
    whole, servers = (stage.database_url, scale.population), stage.parties(())
    of_each = [f"{series}-{number}" for number in range(1, processes + 1)]
    async with session(stage.database_url) as line:
        await line.execute(SQL["draw"], LINE)
        working = asyncio.gather(*(stage.load(settle, *whole, name, each) for name in of_each))
        async with asyncio.timeout(READY_WITHIN_S):
            # No event tells of it, and who has failed never comes there.
            while not working.done() and await line.fetchval(SQL["standing_at"], LINE) < processes:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY_S)
        before = processor.read(servers)
        await line.execute(SQL["lift"], LINE)
        found = await working
    spent = processor.spent(before, processor.read(servers), each * processes)
    for name, process in zip(of_each, found, strict=True):
        await stage.load(check, stage.database_url, name, each, process.answers)
    took_s = max(process.ended_s for process in found) - min(process.began_s for process in found)
    return {
        SPEED: round(each * processes / took_s, 1),
        f"cpu_us_{OWN}": round(1e6 * sum(process.taken_s for process in found) / (each * processes), 1),
        **spent,
    }


def settle(database_url: str, population: Population, series: str, settlements: int) -> Settled:
    """Settles so many bills after two batches that warm up. Runs in the load generator's process."""
    incoming = [Incoming(bill) for bill in islice(bills(population, series), settlements + WARM_UP)]
    batches = [incoming[start : start + BATCH] for start in range(0, len(incoming), BATCH)]

    async def run() -> Settled:
        pool = await create_pool(
            database_url, role=WORKER_ROLE, name="bench engine", size_max=IN_FLIGHT, plan_once=True
        )
        try:
            handler, answers = Handler(pool, system_clock), list[str]()
            # On every connection each statement has been prepared before anything counts.
            warm_up, counted = batches[:IN_FLIGHT], batches[IN_FLIGHT:]
            await asyncio.gather(*(_lane(handler, iter([batch]), answers) for batch in warm_up))
            await _stand_at_the_line(database_url)
            began_s, taken_s, waiting = time.perf_counter(), time.process_time(), iter(counted)
            await asyncio.gather(*(_lane(handler, waiting, answers) for _ in range(IN_FLIGHT)))
            return Settled(began_s, time.perf_counter(), time.process_time() - taken_s, answers)
        finally:
            pool.terminate()

    # As a worker does.
    rarely_collect_garbage()
    return uvloop.run(run())


def check(database_url: str, series: str, settlements: int, answers: Sequence[str]) -> None:
    """Raises LoadFailed unless each bill is settled, as the ledger has it."""
    hold(database_url, request_ids(series, settlements + WARM_UP), [from_json(answer) for answer in answers])


async def _stand_at_the_line(database_url: str) -> None:
    """Returns when everybody may begin."""
    async with session(database_url) as connection:
        await connection.execute(SQL["stand_at"], LINE)


async def _lane(handler: Handler, waiting: Iterator[Sequence[Incoming]], answers: list[str]) -> None:
    """One batch after the other, as long as there are any."""
    for batch in waiting:
        answers += [each.answer.text for each in await handler.handle(batch) if isinstance(each, Resolution)]
