"""What does it cost that everybody wants the same row? One family's bills all at once, against as many of many families."""

from collections.abc import Callable
from functools import partial

from bench import filling
from bench.bills import Relatives
from bench.draining import Drained, Load, counted, drain, workers
from bench.population import Population
from bench.report import Compared, Measures, Result, at_least, at_most, ratio, result
from bench.scale import Scale
from bench.stage import Stage
from shared.messages.envelope import Outcome

NAME = "contention"
WORKERS = 2
# The Hebei procedure lets a payer share with eight relatives. What each payer has lasts for every bill there is.
RELATIVES = 8
FAMILIES = 1_000
BALANCE_FEN = 10**12
SPREAD, ONE_FAMILY, BOTH = "spread", "one family", "both"
COMPARED = (
    Compared("settlements_per_s", ONE_FAMILY, SPREAD, at_least(0.8)),
    Compared("deadlocks", BOTH, None, at_most(0), in_every_round=True),
)


def large_families(seed: int) -> Population:
    """One payer each, with as many relatives as may be, none of whom has money of their own."""
    return Population(
        FAMILIES,
        seed,
        payers=1,
        relatives=(RELATIVES,),
        credit_min_fen=BALANCE_FEN,
        credit_max_fen=BALANCE_FEN,
        name="large",
    )


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """The same two workers' load, each round once of one family and once of them all."""
    people = large_families(scale.population.seed)
    await filling.add(stage.database_url, people)
    rounds = []
    for number in range(1, scale.rounds + 1):
        drained = {}
        for subject, families in ((SPREAD, people.families), (ONE_FAMILY, 1)):
            series = f"{NAME}-{number}-{families}"
            waiting = Load(people, series, scale.backlog, Relatives(people, families))
            drained[subject] = await drain(stage, partial(workers, processes=WORKERS), waiting)
        rounds.append(
            {subject: _measures(each) for subject, each in drained.items()} | {BOTH: counted(drained.values())}
        )
        tell(_line(number, rounds[-1]))
    conditions = {
        "settlement_workers": WORKERS,
        "relatives_of_the_family": RELATIVES,
        "families_of_the_spread": people.families,
        "seed": people.seed,
        "backlog": scale.backlog,
    }
    return result(NAME, conditions, rounds, COMPARED)


def _measures(drained: Drained) -> Measures:
    return {
        "settlements_per_s": drained.settlements_per_s,
        "settled_part": drained.answered.part_of(Outcome.SETTLED),
    }


def _line(number: int, measured: dict[str, Measures]) -> str:
    one, spread = measured[ONE_FAMILY], measured[SPREAD]
    return (
        f"round {number}: one family {one['settlements_per_s']:g} settlements/s, spread {spread['settlements_per_s']:g}, "
        f"{ratio(one['settlements_per_s'], spread['settlements_per_s']):g} times; {measured[BOTH]['deadlocks']:g} deadlocks"
    )
