"""Does a backlog of settlements slow a quote down? Quotes at a steady rate, in quiet and while the backlog drains."""

from collections.abc import Callable
from dataclasses import replace

from bench import answers, load
from bench.report import Compared, Measures, Result, latency_ms, ratio, result
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Running, Stage, held_still

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
    idle = await stage.load(load.quote_for, *whole, f"{name}-idle", QUOTES_PER_S, scale.idle_s)
    with held_still(worker):
        await stage.load(load.publish, *whole, f"{name}-backlog", scale.backlog)
    draining = await stage.load(load.quote_until_drained, *whole, f"{name}-draining", QUOTES_PER_S, scale.backlog)
    await stage.load(answers.check, *whole, f"{name}-backlog", scale.backlog)
    assert draining.drained_s
    return {
        "idle": latency_ms(idle.latencies_s),
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
