"""How long does a settlement take when they come at a steady rate? The worker beside one transaction a message."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from bench import load
from bench.report import Compared, Measures, Result, at_most, latency_ms, result
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Running, Stage
from shared.messages.envelope import Operation

NAME = "latency"
SETTLEMENTS_PER_S = 100.0
GONGJI, ONE_BY_ONE = "Gongji ×1", "one-by-one"
SUBJECTS: dict[str, Callable[[Stage], AbstractAsyncContextManager[Running]]] = {
    ONE_BY_ONE: lambda stage: stage.peer("one_by_one"),
    GONGJI: lambda stage: stage.worker("settlement-1"),
}
COMPARED = tuple(Compared(f"latency_ms_{part}", GONGJI, ONE_BY_ONE, at_most(1)) for part in ("p50", "p99"))


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round both in turn, each started anew and warmed up; nothing else is going on."""
    whole = (stage.amqp_url, scale.population)
    rounds = []
    for number in range(1, scale.rounds + 1):
        measured: dict[str, Measures] = {}
        for name, start in SUBJECTS.items():
            series = f"{NAME}-{number}-{name.replace(' ×', '-')}"
            async with start(stage):
                warm_up_s = scale.steady_s / WARM_UP_PART
                await stage.load(
                    load.ask_for, *whole, f"{series}-warm-up", Operation.SETTLE, SETTLEMENTS_PER_S, warm_up_s
                )
                latencies_s = await stage.load(
                    load.ask_for, *whole, series, Operation.SETTLE, SETTLEMENTS_PER_S, scale.steady_s
                )
            measured[name] = latency_ms(latencies_s)
            spread = measured[name]
            tell(f"round {number}: {name} p50 {spread['latency_ms_p50']:g} ms, p99 {spread['latency_ms_p99']:g} ms")
        rounds.append(measured)
    conditions = {
        "settlements_per_s": SETTLEMENTS_PER_S,
        "steady_s": scale.steady_s,
        "accounts": scale.population.accounts,
        "bindings": scale.population.bindings,
        "seed": scale.population.seed,
    }
    return result(NAME, conditions, rounds, COMPARED)
