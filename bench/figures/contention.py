"""What does it cost that everybody wants the same row? One family's bills all at once, against as many of many families."""

from collections.abc import Callable

from bench import filling
from bench.bills import Relatives
from bench.draining import Drained, Load, counted, drain
from bench.population import Population
from bench.report import Measures, Result, ratio, result
from bench.scale import Scale
from bench.stage import Stage
from shared.messages.envelope import Outcome

NAME = "contention"
WORKERS = 2
# The Hebei procedure lets a payer share with eight relatives. What each payer has lasts for every bill there is.
RELATIVES = 8
FAMILIES = 1_000
BALANCE_FEN = 10**12


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
        for subject, families in (("spread", people.families), ("one_family", 1)):
            name = f"contention-{number}-{subject}"
            drained[subject] = await drain(
                stage, WORKERS, Load(people, name, scale.backlog, Relatives(people, families))
            )
        rounds.append(
            {subject: _measures(each) for subject, each in drained.items()} | {"both": counted(drained.values())}
        )
        tell(_line(number, rounds[-1]))
    conditions = {
        "settlement_workers": WORKERS,
        "relatives_of_the_family": RELATIVES,
        "families_of_the_spread": people.families,
        "seed": people.seed,
        "backlog": scale.backlog,
    }
    return result(NAME, conditions, rounds, compared=("one_family", "spread"))


def _measures(drained: Drained) -> Measures:
    return {
        "settlements_per_s": drained.settlements_per_s,
        "settled_part": drained.answered.part_of(Outcome.SETTLED),
    }


def _line(number: int, measured: dict[str, Measures]) -> str:
    one, spread = measured["one_family"], measured["spread"]
    return (
        f"round {number}: one family {one['settlements_per_s']:g} settlements/s, spread {spread['settlements_per_s']:g}, "
        f"{ratio(one['settlements_per_s'], spread['settlements_per_s']):g} times; {measured['both']['deadlocks']:g} deadlocks"
    )
