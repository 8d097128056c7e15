"""Somebody who asks at a steady rate, in quiet and while a backlog drains: what the backlog costs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import load
from bench.draining import Load, checked, fill
from bench.load import Form
from bench.report import Measures, latency_ms, ratio
from bench.scale import WARM_UP_PART, Scale
from bench.stage import Running, Stage
from shared.messages.envelope import Operation

IDLE, DRAINING = "idle", "draining"
PER_S = 50.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked all the time, and what waits beside it; `series` is nobody else's."""

    series: str
    operation: Operation
    form: Form
    backlog: int


async def rounds_of(
    stage: Stage, drainers: Sequence[Running], asked: Asked, scale: Scale, tell: Callable[[str], None]
) -> list[dict[str, Measures]]:
    """The rounds of a figure, after one in small that is not counted."""
    small = replace(scale, idle_s=scale.idle_s / WARM_UP_PART, draining_s=scale.draining_s / WARM_UP_PART)
    warm_up = replace(asked, series=f"{asked.series}-warm-up", backlog=asked.backlog // WARM_UP_PART)
    await _round(stage, drainers, warm_up, small)
    rounds = []
    for number in range(1, scale.rounds + 1):
        rounds.append(await _round(stage, drainers, replace(asked, series=f"{asked.series}-{number}"), scale))
        tell(_line(number, rounds[-1]))
    return rounds


def conditions(asked: Asked, scale: Scale) -> dict[str, Any]:
    """What holds for every figure of this kind."""
    return {
        "accounts": scale.population.accounts,
        "people": scale.population.people,
        "bindings": scale.population.bindings,
        "seed": scale.population.seed,
        "backlog": asked.backlog,
        "settlements_a_message": asked.form.settlements_max,
        "asked_per_s": PER_S,
        "idle_s": scale.idle_s,
        "draining_s_min": scale.draining_s,
    }


async def _round(stage: Stage, drainers: Sequence[Running], asked: Asked, scale: Scale) -> dict[str, Measures]:
    """A quiet phase; then one backlog after the other, until they have drained for long enough to tell of."""
    whole = (stage.amqp_url, scale.population)
    asking = (asked.operation, PER_S)
    idle_s = await stage.load(load.ask_for, *whole, f"{asked.series}-idle", *asking, scale.idle_s)
    latencies_s: list[float] = []
    drained_s, backlogs = 0.0, 0
    while drained_s < scale.draining_s:
        backlogs += 1
        waiting = Load(scale.population, f"{asked.series}-backlog-{backlogs}", asked.backlog, form=asked.form)
        # Nobody asks while it is published: that would be measured as well.
        await fill(stage, drainers, waiting)
        beside = await stage.load(
            load.ask_until_drained, *whole, f"{asked.series}-draining-{backlogs}", *asking, waiting.messages
        )
        await checked(stage, waiting)
        latencies_s += beside.latencies_s
        drained_s += beside.drained_s
    return {
        IDLE: {**latency_ms(idle_s), "asked": len(idle_s)},
        DRAINING: {
            **latency_ms(latencies_s),
            "asked": len(latencies_s),
            "settlements_per_s": round(backlogs * asked.backlog / drained_s, 1),
            "backlogs": backlogs,
        },
    }


def _line(number: int, measured: dict[str, Measures]) -> str:
    idle, draining = measured[IDLE], measured[DRAINING]
    slower = ratio(draining["latency_ms_p99"], idle["latency_ms_p99"])
    return (
        f"round {number}: p99 idle {idle['latency_ms_p99']:g} ms, while draining {draining['latency_ms_p99']:g} ms, "
        f"{slower:g} times; {draining['settlements_per_s']:g} settlements/s"
    )
