"""How long does a settlement take when they come at a steady rate? The worker beside one transaction a message."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from bench import load
from bench.report import Compared, Judged, Measures, Result, at_most, latency_ms, result
from bench.rounds import Tell, conditions, each_round, in_turn, settled_in
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Running, Stage, settings_of
from shared.messages.envelope import Operation

NAME = "latency"
SETTLEMENTS_PER_S = 100.0
BURST, BURST_S = 500, 0.05
GONGJI, ONE_BY_ONE = "Gongji ×1", "one-by-one"
SUBJECTS: dict[str, Callable[[Stage], AbstractAsyncContextManager[Running]]] = {
    ONE_BY_ONE: lambda stage: stage.peer("one_by_one"),
    GONGJI: lambda stage: stage.worker("settlement-1"),
}
COMPARED = tuple(
    Compared(f"latency_ms_{part}", GONGJI, ONE_BY_ONE, at_most(1), Judged.BY_ROUNDS) for part in ("p50", "p99")
)


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """Each round both in turn, each started anew and warmed up; nothing else is going on."""

    async def one(number: int) -> dict[str, Measures]:
        return await in_turn(number, {name: partial(_latency, stage, scale, number, name) for name in SUBJECTS})

    await settled_in(stage, scale, NAME, tell)
    rounds = await each_round(stage, scale, one, tell)
    own = {"asked_per_s": SETTLEMENTS_PER_S, "steady_s": scale.steady_s}
    return result(NAME, conditions(scale.population, {GONGJI: settings_of("settlement-1")}, **own), rounds, COMPARED)


async def _latency(stage: Stage, scale: Scale, number: int, subject: str) -> Measures:
    series = f"{NAME}-{number}-{subject.replace(' ×', '-')}"

    async def asked(series: str, per_s: float, duration_s: float) -> list[float]:
        return await stage.load(
            load.ask_for, stage.amqp_url, scale.population, series, Operation.SETTLE, per_s, duration_s
        )

    async with SUBJECTS[subject](stage):
        # So many at once that every connection of a pool has been used when the first stall needs it.
        await asked(f"{series}-burst", BURST / BURST_S, BURST_S)
        await asked(f"{series}-warm-up", SETTLEMENTS_PER_S, scale.steady_s / WARM_UP_PART)
        return latency_ms(await asked(series, SETTLEMENTS_PER_S, scale.steady_s))
