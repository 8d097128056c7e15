"""Somebody who asks at a steady rate, in quiet and while a backlog drains: what the backlog costs them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench import load
from bench.draining import Load, checked, fill
from bench.load import Form
from bench.report import SPEED, Compared, Goal, Judged, Measures, Rounds, latency_ms
from bench.rounds import Tell, each_round
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


def compared(p99: Goal | None = None) -> list[Compared]:
    """What the backlog costs whoever asks, each round by itself."""
    return [
        Compared(f"latency_ms_{part}", DRAINING, IDLE, goal, Judged.BY_ROUNDS)
        # Not the longest waits: the longest of a few hundred is shorter than that of two thousand, whoever is asked.
        for part, goal in (("p50", None), ("p99", p99))
    ]


async def rounds_of(stage: Stage, drainers: Sequence[Running], asked: Asked, scale: Scale, tell: Tell) -> Rounds:
    """The rounds of a figure, after one in small that is not counted."""
    small = replace(scale, idle_s=scale.idle_s / WARM_UP_PART, draining_s=scale.draining_s / WARM_UP_PART)
    warm_up = replace(asked, series=f"{asked.series}-warm-up", backlog=asked.backlog // WARM_UP_PART)
    await _round(stage, drainers, warm_up, small)

    async def one(number: int) -> dict[str, Measures]:
        return await _round(stage, drainers, replace(asked, series=f"{asked.series}-{number}"), scale)

    return await each_round(stage, scale, one, tell)


def conditions_of(asked: Asked, scale: Scale) -> dict[str, Any]:
    """What is asked and what waits in every figure of this kind."""
    return {
        "backlog": asked.backlog,
        "settlements_a_message": asked.form.settlements_max,
        "asked_per_s": PER_S,
        "idle_s": scale.idle_s,
        "draining_s_min": scale.draining_s,
    }


async def _round(stage: Stage, drainers: Sequence[Running], asked: Asked, scale: Scale) -> dict[str, Measures]:
    """A quiet phase; then one backlog after the other, until they have drained for long enough to tell of.

    The quiet comes first in every round: a backlog leaves something to tidy up behind. Beside the backlogs no more is asked than
    in quiet, or the higher percentile would rest on fewer there.
    """
    whole = (stage.amqp_url, scale.population)
    asking = (asked.operation, PER_S)
    idle_s = await stage.load(load.ask_for, *whole, f"{asked.series}-idle", *asking, scale.idle_s)
    latencies_s: list[float] = []
    drained_s, backlogs = 0.0, 0
    while drained_s < scale.draining_s:
        backlogs += 1
        waiting = Load(scale.population, f"{asked.series}-backlog-{backlogs}", asked.backlog, form=asked.form)
        # Nobody asks while it is published: that would be measured as well.
        began_s = await fill(stage, drainers, waiting)
        beside = await stage.load(
            load.ask_until_drained,
            *whole,
            f"{asked.series}-draining-{backlogs}",
            *asking,
            len(idle_s) - len(latencies_s),
            waiting.messages,
            began_s,
        )
        await checked(stage, waiting)
        latencies_s += beside.latencies_s
        drained_s += beside.drained_s
    return {
        IDLE: {**latency_ms(idle_s), "asked": len(idle_s)},
        DRAINING: {
            **latency_ms(latencies_s),
            "asked": len(latencies_s),
            SPEED: round(backlogs * asked.backlog / drained_s, 1),
            "backlogs": backlogs,
        },
    }
