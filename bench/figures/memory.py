"""A worker's memory while very many requests wait: how much, and whether it grows as they are worked through."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import psutil

from bench import answers, load
from bench.report import Measures, Result, result
from bench.scale import Scale
from bench.stage import Stage, Worker

NAME = "memory"
SAMPLE_EVERY_S = 0.05
MIB = 2**20


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round a new worker comes to a queue that is already long, and is watched until it is empty."""
    rounds = []
    for number in range(1, scale.rounds + 1):
        rounds.append(await _round(stage, scale, f"memory-{number}"))
        first, last = rounds[-1]["first_quarter"], rounds[-1]["last_quarter"]
        tell(f"round {number}: at most {first['rss_mib_max']:g} MiB at first, {last['rss_mib_max']:g} MiB at last")
    conditions = {
        "settlement_workers": 1,
        "waiting": scale.waiting,
        "accounts": scale.population.accounts,
        "seed": scale.population.seed,
    }
    return result(NAME, conditions, rounds, compared=("last_quarter", "first_quarter"))


def quarters(sizes_mib: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The first and the last quarter of what was seen, in order; at least one of each."""
    size = max(len(sizes_mib) // 4, 1)
    return sizes_mib[:size], sizes_mib[-size:]


async def _round(stage: Stage, scale: Scale, series: str) -> dict[str, Measures]:
    whole = (stage.amqp_url, scale.population, series, scale.waiting)
    await stage.load(load.publish, *whole)
    async with stage.worker("settlement-1") as worker, _watched(worker) as sizes_mib:
        await stage.load(load.drained_at_s, stage.amqp_url, scale.waiting)
    await stage.load(answers.check, *whole)
    first, last = quarters(sizes_mib)
    return {
        "first_quarter": {"rss_mib_max": round(max(first), 1)},
        "last_quarter": {"rss_mib_max": round(max(last), 1)},
        "whole": {"rss_mib_max": round(max(sizes_mib), 1)},
    }


@asynccontextmanager
async def _watched(worker: Worker) -> AsyncIterator[list[float]]:
    """The worker's resident memory in MiB, again and again until the end."""
    process = psutil.Process(worker.process.pid)
    sizes_mib = [process.memory_info().rss / MIB]

    async def watch() -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            sizes_mib.append(process.memory_info().rss / MIB)

    watching = asyncio.create_task(watch())
    try:
        yield sizes_mib
    finally:
        watching.cancel()
