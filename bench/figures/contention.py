"""What does it cost that everybody wants the same row? One family's bills all at once, against as many of as many families."""

from dataclasses import replace
from functools import partial

from bench import filling
from bench.bills import Relatives
from bench.draining import Drained, Load, counted, drain, workers
from bench.population import Population
from bench.report import SPEED, Compared, Judged, Measures, Result, at_least, at_most, result
from bench.rounds import Tell, conditions, each_round, in_turn, settled_in
from bench.scale import Scale
from bench.stage import Stage, settings_of

NAME = "contention"
WORKERS = 2
# The Hebei procedure lets a payer share with eight relatives.
RELATIVES = 8
SPREAD, ONE_FAMILY, BOTH = "spread", "one family", "both"
COMPARED = (
    Compared(SPEED, ONE_FAMILY, SPREAD, at_least(0.8)),
    Compared("deadlocks", BOTH, None, at_most(0), Judged.BY_THE_WORST),
)


def large_families(seed: int, families: int) -> Population:
    """One payer each, with as many relatives as may be, none of whom has money of their own."""
    return Population(families, seed, payers=1, relatives=(RELATIVES,), name="large")


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """The same two workers' load, each round once of one family and once of a family a bill, where nobody waits for anybody."""
    people = large_families(scale.population.seed, families=scale.backlog)
    tell(f"filling in {people.people:,} people of {people.families:,} large families")
    await filling.add(stage.database_url, people)
    await settled_in(stage, replace(scale, population=people), NAME, tell)

    async def drained(number: int, families: int) -> Drained:
        waiting = Load(people, f"{NAME}-{number}-{families}", scale.backlog, Relatives(people, families))
        return await drain(stage, partial(workers, processes=WORKERS), waiting)

    async def one(number: int) -> dict[str, Measures]:
        subjects = {SPREAD: people.families, ONE_FAMILY: 1}
        found = await in_turn(number, {name: partial(drained, number, many) for name, many in subjects.items()})
        return {subject: each.measures for subject, each in found.items()} | {BOTH: counted(found.values())}

    rounds = await each_round(stage, scale, one, tell)
    told = {f"settlement × {WORKERS}": settings_of("settlement-1", of=WORKERS)}
    own = {"relatives_of_a_family": RELATIVES, "families_of_the_spread": people.families, "backlog": scale.backlog}
    return result(NAME, conditions(people, told, **own), rounds, COMPARED)
