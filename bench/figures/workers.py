"""What more workers settle, and whether they do so without deadlock and without leaving anybody's request behind.

Families by Zipf's law: as in life, some come again and again, so workers meet at the same accounts.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from bench import draining
from bench.bills import Zipf
from bench.draining import Drained, Load, counted, drain
from bench.report import SPEED, Compared, Judged, Measures, Result, at_least, at_most, result
from bench.rounds import Tell, conditions, each_round, in_turn, settled_in
from bench.scale import Scale
from bench.stage import Stage, settings_of

NAME, ALL = "workers", "all"
# More workers settle no less than fewer do, but for what two runs of the same differ by.
NOT_LESS = 0.9
# The most belated answer of all, as a part of the time that its queue took to drain.
BEHIND, BEHIND_MAX = "behind_its_turn_part_max", 0.25


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """Each round the same load for one worker, then for more of them; answers are taken, and dated, while they drain it."""
    patients = Zipf(scale.population)

    async def drained(number: int, workers: int) -> Drained:
        waiting = Load(scale.population, f"{NAME}-{number}-{workers}", scale.backlog, patients)
        return await drain(stage, partial(draining.workers, processes=workers), waiting, taken=True)

    async def one(number: int) -> dict[str, Measures]:
        found = await in_turn(number, {subject(each): partial(drained, number, each) for each in scale.workers})
        measured = {subject(each): {"workers": each, **_measures(found[subject(each)])} for each in scale.workers}
        return {**measured, ALL: counted(found.values())}

    await settled_in(stage, scale, NAME, tell)
    rounds = await each_round(stage, scale, one, tell)
    told = {subject(each): settings_of("settlement-1", of=each) for each in scale.workers}
    own = {"families_come_by": "Zipf's law, exponent 1", "backlog": scale.backlog}
    return result(NAME, conditions(scale.population, told, **own), rounds, compared(scale.workers))


def subject(workers: int) -> str:
    return f"{workers} workers" if workers > 1 else "1 worker"


def compared(numbers: Sequence[int]) -> list[Compared]:
    """Each number of workers with the one before; what must not happen with all of them."""
    return [
        *(Compared(SPEED, subject(more), subject(fewer), at_least(NOT_LESS)) for fewer, more in pairwise(numbers)),
        Compared("deadlocks", ALL, None, at_most(0), Judged.BY_THE_WORST),
        *(Compared(BEHIND, subject(each), None, at_most(BEHIND_MAX), Judged.BY_THE_WORST) for each in numbers),
    ]


def behind_max_s(answered_s: Sequence[float], drained_s: float) -> float:
    """How long after its turn the answer to the most belated request was there; its turn is its place in the queue.

    `answered_s` are the seconds from when the workers went on, in the order of the queue. The last of a full queue always waits
    for the whole of it: what would show that somebody starves is being answered long after those who stood around them.
    """
    turns_s = (drained_s * place / len(answered_s) for place in range(1, len(answered_s) + 1))
    return max(0.0, *(answered - turn for answered, turn in zip(answered_s, turns_s, strict=True)))


def _measures(drained: Drained) -> Measures:
    behind_s = behind_max_s(drained.answered_s, drained.drained_s)
    return {
        **drained.measures,
        "drained_s": round(drained.drained_s, 2),
        "waited_s_max": round(max(drained.answered_s), 2),
        "behind_its_turn_s_max": round(behind_s, 2),
        BEHIND: round(behind_s / drained.drained_s, 3),
    }
