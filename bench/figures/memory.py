"""A worker's memory while very many requests wait: how much, and whether it grows as they are worked through."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import psutil

from bench.draining import Load, checked, fill, until_drained
from bench.report import Compared, Measures, Result, at_most, result
from bench.scale import Scale
from bench.stage import Running, Stage

NAME = "memory"
SAMPLE_EVERY_S = 0.05
MIB = 2**20
RSS, WHOLE, FIRST, LAST = "rss_mib_max", "whole", "first quarter", "last quarter"
COMPARED = (
    Compared(RSS, WHOLE, None, at_most(150), in_every_round=True),
    Compared(RSS, LAST, FIRST, at_most(1.1)),
)


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round a new worker comes to a queue that is already long, and is watched until it is empty."""
    rounds = []
    for number in range(1, scale.rounds + 1):
        rounds.append(await _round(stage, scale, f"{NAME}-{number}"))
        first, last = rounds[-1][FIRST], rounds[-1][LAST]
        tell(f"round {number}: at most {first[RSS]:g} MiB at first, {last[RSS]:g} MiB at last")
    conditions = {
        "settlement_workers": 1,
        "waiting": scale.waiting,
        "accounts": scale.population.accounts,
        "seed": scale.population.seed,
    }
    return result(NAME, conditions, rounds, COMPARED)


def quarters(sizes_mib: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The first and the last quarter of what was seen, in order; at least one of each."""
    size = max(len(sizes_mib) // 4, 1)
    return sizes_mib[:size], sizes_mib[-size:]


async def _round(stage: Stage, scale: Scale, series: str) -> dict[str, Measures]:
    waiting = Load(scale.population, series, scale.waiting)
    await fill(stage, (), waiting)
    async with stage.worker("settlement-1") as worker, _watched(worker) as sizes_mib:
        await until_drained(stage, (worker,), waiting)
    await checked(stage, waiting)
    first, last = quarters(sizes_mib)
    return {
        FIRST: {RSS: round(max(first), 1)},
        LAST: {RSS: round(max(last), 1)},
        WHOLE: {RSS: round(max(sizes_mib), 1)},
    }


@asynccontextmanager
async def _watched(worker: Running) -> AsyncIterator[list[float]]:
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
