"""Does a backlog of settlements slow a quote down? Quotes at a steady rate, in quiet and while the backlog drains."""

from collections.abc import Callable
from dataclasses import replace

from bench import load
from bench.draining import Load, checked, fill
from bench.report import Compared, Measures, Result, latency_ms, ratio, result
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Running, Stage
from shared.messages.envelope import Operation

NAME = "inquiries"
QUOTES_PER_S = 50.0
COMPARED = tuple(Compared(f"latency_ms_{part}", "draining", "idle") for part in ("p50", "p99", "max"))


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """A worker for each queue; each round a quiet phase, then one that lasts as long as the backlog."""
    rounds = []
    async with stage.worker("settlement-1") as worker, stage.worker("inquiry"):
        warm_up = replace(scale, backlog=scale.backlog // WARM_UP_PART, idle_s=scale.idle_s / WARM_UP_PART)
        await _round(stage, worker, warm_up, "warm-up")
        for number in range(1, scale.rounds + 1):
            rounds.append(await _round(stage, worker, scale, f"round-{number}"))
            tell(_line(number, rounds[-1]))
    conditions = {
        "settlement_workers": 1,
        "inquiry_workers": 1,
        "accounts": scale.population.accounts,
        "people": scale.population.people,
        "bindings": scale.population.bindings,
        "seed": scale.population.seed,
        "backlog": scale.backlog,
        "quotes_per_s": QUOTES_PER_S,
        "idle_s": scale.idle_s,
    }
    return result(NAME, conditions, rounds, COMPARED)


async def _round(stage: Stage, worker: Running, scale: Scale, name: str) -> dict[str, Measures]:
    """Quotes in quiet, quotes while the backlog drains, then every answer is looked at."""
    whole = (stage.amqp_url, scale.population)
    quotes = (Operation.QUOTE, QUOTES_PER_S)
    backlog = Load(scale.population, f"{name}-backlog", scale.backlog)
    idle_s = await stage.load(load.ask_for, *whole, f"{name}-idle", *quotes, scale.idle_s)
    await fill(stage, (worker,), backlog)
    draining = await stage.load(load.ask_until_drained, *whole, f"{name}-draining", *quotes, scale.backlog)
    await checked(stage, backlog)
    return {
        "idle": latency_ms(idle_s),
        "draining": {
            **latency_ms(draining.latencies_s),
            "quotes": len(draining.latencies_s),
            "settlements_per_s": round(scale.backlog / draining.drained_s, 1),
        },
    }


def _line(number: int, measured: dict[str, Measures]) -> str:
    idle, draining = measured["idle"], measured["draining"]
    slower = ratio(draining["latency_ms_p99"], idle["latency_ms_p99"])
    return (
        f"round {number}: p99 idle {idle['latency_ms_p99']:g} ms, while draining {draining['latency_ms_p99']:g} ms, "
        f"{slower:g} times; {draining['settlements_per_s']:g} settlements/s"
    )
