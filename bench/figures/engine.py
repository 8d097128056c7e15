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
from shared.runtime.lifecycle import rarely_collect_garbage

NAME, SPEED = "engine", "settlements_per_s"
BATCH = 250
# As many as the lanes of a worker would have in the database at once.
IN_FLIGHT = 2
PROCESSES = {"engine ×1": 1, "engine ×2": 2}
COMPARED = (
    Compared(SPEED, "engine ×2", pgbench.NAME, at_least(3)),
    Compared(SPEED, "engine ×1", pgbench.NAME),
)
# Until then every process has read its bills and is connected.
BEGINS_IN_S = 8.0


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round the engine in one process and in two, then pgbench, whose clients use all processors too."""
    rounds = []
    async with pgbench.database(stage.database_url, scale.pgbench_scale) as pgbench_url:
        for processes in PROCESSES.values():
            await settled_per_s(stage, scale, processes, f"{NAME}-warm-up-{processes}", scale.backlog // WARM_UP_PART)
        for number in range(1, scale.rounds + 1):
            measured: dict[str, Measures] = {}
            for name, processes in PROCESSES.items():
                per_s = await settled_per_s(stage, scale, processes, f"{NAME}-{number}-{processes}", scale.backlog)
                measured[name] = {SPEED: round(per_s, 1)}
            measured[pgbench.NAME] = {SPEED: round(await pgbench.transactions_per_s(pgbench_url, scale.backlog), 1)}
            rounds.append(measured)
            told = ", ".join(f"{name} {measures[SPEED]:,.0f}" for name, measures in measured.items())
            tell(f"round {number}: {told} a second")
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


async def settled_per_s(stage: Stage, scale: Scale, processes: int, series: str, settlements: int) -> float:
    """How many a second, from when the first process begins to when the last is through."""
    begins_at_s = time.perf_counter() + BEGINS_IN_S
    each = settlements // processes
    whole = (stage.database_url, scale.population)
    working = [
        stage.load(settle, *whole, f"{series}-{number}", each, begins_at_s) for number in range(1, processes + 1)
    ]
    times = await asyncio.gather(*working)
    began_s, ended_s = min(began for began, _ in times), max(ended for _, ended in times)
    return each * processes / (ended_s - began_s)


def settle(
    database_url: str, population: Population, series: str, settlements: int, begins_at_s: float
) -> tuple[float, float]:
    """When the handler began and ended, by `time.perf_counter`. Raises LoadFailed where a bill is not decided."""
    incoming = [Incoming(bill) for bill in islice(bills(population, series), settlements + IN_FLIGHT * BATCH)]
    batches = [incoming[start : start + BATCH] for start in range(0, len(incoming), BATCH)]

    async def run() -> tuple[float, float]:
        pool = await create_pool(
            database_url, role=WORKER_ROLE, name="bench engine", size_max=IN_FLIGHT, plan_once=True
        )
        try:
            handler = Handler(pool, system_clock)
            # On every connection each statement has been prepared before anything counts.
            warm_up, counted = batches[:IN_FLIGHT], batches[IN_FLIGHT:]
            await asyncio.gather(*(_lane(handler, iter([batch])) for batch in warm_up))
            await asyncio.sleep(begins_at_s - time.perf_counter())
            began_s, waiting = time.perf_counter(), iter(counted)
            await asyncio.gather(*(_lane(handler, waiting) for _ in range(IN_FLIGHT)))
            return began_s, time.perf_counter()
        finally:
            pool.terminate()

    # As a worker does.
    rarely_collect_garbage()
    return uvloop.run(run())


async def _lane(handler: Handler, waiting: Iterator[Sequence[Incoming]]) -> None:
    """One batch after the other, as long as there are any."""
    for batch in waiting:
        for found in await handler.handle(batch):
            if not (isinstance(found, Resolution) and isinstance(found.verdict, Decision)):
                raise LoadFailed(f"{found.incoming.name} was not decided")
