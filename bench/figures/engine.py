"""How fast is the settling engine alone, without a broker? The worker's handler on batches, beside pgbench."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import uvloop

from bench.bills import bills
from bench.load import LoadFailed
from bench.machine import WORKER_ROLE
from bench.peers import pgbench
from bench.population import Population
from bench.report import Compared, Measures, Result, at_least, result
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Stage
from services.settlement.handler import Handler
from services.settlement.incoming import Incoming
from services.settlement.model import Decision, Resolution
from shared.domain.times import system_clock
from shared.postgres.pool import create_pool

NAME, ENGINE, SPEED = "engine", "engine", "settlements_per_s"
BATCH = 250
# As many as two queues of one worker would have in the database at once.
IN_FLIGHT = 2
COMPARED = (Compared(SPEED, ENGINE, pgbench.NAME, at_least(3)),)


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round the engine, in the process that else sends load, then pgbench."""
    whole = (stage.database_url, scale.population)
    rounds = []
    async with pgbench.database(stage.database_url, scale.pgbench_scale) as pgbench_url:
        await stage.load(settle, *whole, f"{NAME}-warm-up", scale.backlog // WARM_UP_PART)
        await pgbench.transactions_per_s(pgbench_url, scale.backlog // WARM_UP_PART)
        for number in range(1, scale.rounds + 1):
            await stage.checkpoint()
            took_s = await stage.load(settle, *whole, f"{NAME}-{number}", scale.backlog)
            await stage.checkpoint()
            pgbench_per_s = await pgbench.transactions_per_s(pgbench_url, scale.backlog)
            measured: dict[str, Measures] = {
                ENGINE: {SPEED: round(scale.backlog / took_s, 1)},
                pgbench.NAME: {SPEED: round(pgbench_per_s, 1)},
            }
            rounds.append(measured)
            tell(f"round {number}: {measured[ENGINE][SPEED]:,.0f} settlements, pgbench {pgbench_per_s:,.0f} a second")
    conditions = {
        "batch": BATCH,
        "batches_in_flight": IN_FLIGHT,
        "settlements": scale.backlog,
        "accounts": scale.population.accounts,
        "bindings": scale.population.bindings,
        "seed": scale.population.seed,
        "pgbench_scale": scale.pgbench_scale,
        "pgbench_clients": pgbench.CLIENTS,
    }
    return result(NAME, conditions, rounds, COMPARED)


def settle(database_url: str, population: Population, series: str, settlements: int) -> float:
    """Seconds in which the handler settles so many bills, read beforehand. Raises LoadFailed where one is not decided."""
    incoming = [Incoming(bill) for bill in islice(bills(population, series), settlements)]
    batches = [incoming[start : start + BATCH] for start in range(0, len(incoming), BATCH)]

    async def run() -> float:
        pool = await create_pool(database_url, role=WORKER_ROLE, name="bench engine", size_max=IN_FLIGHT)
        try:
            handler = Handler(pool, system_clock)
            # Connected before anything counts.
            await asyncio.gather(*(handler.ready() for _ in range(IN_FLIGHT)))
            began, waiting = time.perf_counter(), iter(batches)
            await asyncio.gather(*(_lane(handler, waiting) for _ in range(IN_FLIGHT)))
            return time.perf_counter() - began
        finally:
            pool.terminate()

    return uvloop.run(run())


async def _lane(handler: Handler, waiting: Iterator[Sequence[Incoming]]) -> None:
    """One batch after the other, as long as there are any."""
    for batch in waiting:
        for found in await handler.handle(batch):
            if not (isinstance(found, Resolution) and isinstance(found.verdict, Decision)):
                raise LoadFailed(f"{found.incoming.name} was not decided")
