"""What more workers settle, and whether they do so without deadlock and without leaving anybody's request behind.

Families by Zipf's law: as in life, some come again and again, so workers meet at the same accounts.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from bench import draining
from bench.bills import Zipf
from bench.draining import Drained, Load, counted, drain
from bench.report import Compared, Measures, Result, at_least, at_most, result
from bench.scale import Scale
from bench.stage import Stage

NAME, ALL = "workers", "all"
# What more workers are held against.
BASE = 2
NOT_WORSE = 0.9
BEHIND_MAX = 0.25


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round the same load for one worker, then for more of them."""
    patients = Zipf(scale.population)
    rounds = []
    for number in range(1, scale.rounds + 1):
        drained = {
            workers: await drain(
                stage,
                partial(draining.workers, processes=workers),
                Load(scale.population, f"{NAME}-{number}-{workers}", scale.backlog, patients),
            )
            for workers in scale.workers
        }
        measured = {subject(workers): _measures(workers, each) for workers, each in drained.items()}
        rounds.append({**measured, ALL: {**counted(drained.values()), **_fairness(drained.values())}})
        tell(_line(number, rounds[-1]))
    conditions = {
        "settlement_workers": list(scale.workers),
        "families": scale.population.families,
        "families_come_by": "Zipf's law, exponent 1",
        "seed": scale.population.seed,
        "backlog": scale.backlog,
    }
    return result(NAME, conditions, rounds, compared(scale.workers))


def subject(workers: int) -> str:
    return f"{workers} workers" if workers > 1 else "1 worker"


def compared(numbers: Sequence[int]) -> list[Compared]:
    """More than two workers with two; what must not happen with all of them."""
    return [
        *(
            Compared("settlements_per_s", subject(number), subject(BASE), at_least(NOT_WORSE))
            for number in numbers
            if number > BASE
        ),
        Compared("deadlocks", ALL, None, at_most(0), in_every_round=True),
        Compared("behind_its_turn_part_max", ALL, None, at_most(BEHIND_MAX)),
    ]


def behind_max_s(decided_s: Sequence[float], drained_s: float) -> float:
    """How long after its turn the most belated request was decided; its turn is its place in the queue.

    `decided_s` are the seconds from when the workers went on, in the order of the queue. The last of a full queue always waits
    for the whole of it: what would show that somebody starves is being decided long after those who stood around them.
    """
    turns_s = (drained_s * place / len(decided_s) for place in range(1, len(decided_s) + 1))
    return max(0.0, *(decided - turn for decided, turn in zip(decided_s, turns_s, strict=True)))


def _measures(workers: int, drained: Drained) -> Measures:
    return {
        "workers": workers,
        "settlements_per_s": drained.settlements_per_s,
        "drained_s": round(drained.drained_s, 2),
        "waited_s_max": round(max(drained.decided_s), 2),
    }


def _fairness(drained: Iterable[Drained]) -> Measures:
    """The most belated request of all; also as a part of the time that its queue took to drain."""
    behind_s = [(behind_max_s(each.decided_s, each.drained_s), each.drained_s) for each in drained]
    return {
        "behind_its_turn_s_max": round(max(late_s for late_s, _ in behind_s), 2),
        "behind_its_turn_part_max": round(max(late_s / drained_s for late_s, drained_s in behind_s), 3),
    }


def _line(number: int, measured: dict[str, Measures]) -> str:
    speeds = ", ".join(
        f"{each['workers']:g}: {each['settlements_per_s']:g}/s" for each in measured.values() if "workers" in each
    )
    everywhere = measured[ALL]
    return (
        f"round {number}: workers {speeds}; {everywhere['deadlocks']:g} deadlocks, "
        f"at most {everywhere['behind_its_turn_s_max']:g} s behind its turn"
    )
