"""A worker's memory while very many requests wait: how much, and whether it grows as they are worked through."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import psutil

from bench.draining import Load, checked, fill, until_drained
from bench.report import SPEED, Compared, Judged, Measures, Result, at_most, result
from bench.rounds import Tell, conditions, each_round
from bench.scale import Scale
from bench.stage import Running, Stage, settings_of

NAME, WORKER = "memory", "settlement-1"
SAMPLE_EVERY_S = 0.05
MIB = 2**20
RSS, WHOLE, FIRST, LAST = "rss_mib_max", "whole", "first quarter", "last quarter"
COMPARED = (
    Compared(RSS, WHOLE, None, at_most(150), Judged.BY_THE_WORST),
    Compared(RSS, LAST, FIRST, at_most(1.1)),
)


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """Each round a new worker comes to a queue that is already long, and is watched until it is empty."""
    rounds = await each_round(stage, scale, partial(_round, stage, scale), tell)
    told = conditions(scale.population, {WORKER: settings_of(WORKER)}, waiting=scale.waiting)
    return result(NAME, told, rounds, COMPARED)


def quarters(sizes_mib: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    """The first and the last quarter of what was seen, in order; at least one of each."""
    size = max(len(sizes_mib) // 4, 1)
    return sizes_mib[:size], sizes_mib[-size:]


async def _round(stage: Stage, scale: Scale, number: int) -> dict[str, Measures]:
    waiting = Load(scale.population, f"{NAME}-{number}", scale.waiting)
    began_s = await fill(stage, (), waiting)
    async with stage.worker(WORKER) as worker, _watched(worker) as sizes_mib:
        drained_s = await until_drained(stage, (worker,), waiting) - began_s
    await checked(stage, waiting)
    first, last = quarters(sizes_mib)
    return {
        FIRST: {RSS: round(max(first), 1)},
        LAST: {RSS: round(max(last), 1)},
        # Its start is part of the time.
        WHOLE: {RSS: round(max(sizes_mib), 1), SPEED: round(scale.waiting / drained_s, 1)},
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
