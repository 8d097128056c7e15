"""What is the bulk door worth? Settlements in bulk messages and one by one, a worker for each.

The worker for bulk messages has two lanes, those for single ones have one: so one with two is measured as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from bench.draining import Load, drain
from bench.load import BULK, SINGLE, Form
from bench.report import SPEED, Compared, Measures, Result, at_least, result
from bench.rounds import Tell, conditions, each_round, in_turn, settled_in
from bench.scale import Scale
from bench.stage import Stage, settings_of, together
from deploy.devstack.stack import LANES

NAME = "bulk"


@dataclass(frozen=True, slots=True)
class Subject:
    """One worker, told `more` than usual, and in which messages settlements come to it."""

    name: str
    series: str
    worker: str
    form: Form
    more: Mapping[str, str] = field(default_factory=dict)


SINGLES = Subject("single", "single", "settlement-1", SINGLE)
IN_TWO_LANES = Subject("single, two lanes", "two-lanes", "settlement-1", SINGLE, {LANES: "2"})
IN_BULK = Subject("in bulk", "bulk", "bulk", BULK)
SUBJECTS = (SINGLES, IN_TWO_LANES, IN_BULK)
COMPARED = (
    Compared(SPEED, IN_BULK.name, SINGLES.name, at_least(3)),
    Compared(SPEED, IN_BULK.name, IN_TWO_LANES.name),
)


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """Each round all in turn, each with a worker of its own."""

    async def one(number: int) -> dict[str, Measures]:
        return await in_turn(number, {each.name: partial(_drained, stage, scale, each, number) for each in SUBJECTS})

    await settled_in(stage, scale, NAME, tell)
    rounds = await each_round(stage, scale, one, tell)
    workers = {each.name: settings_of(each.worker, each.more) for each in SUBJECTS}
    own = {"settlements_a_message": BULK.settlements_max, "backlog": scale.backlog}
    return result(NAME, conditions(scale.population, workers, **own), rounds, COMPARED)


async def _drained(stage: Stage, scale: Scale, subject: Subject, number: int) -> Measures:
    waiting = Load(scale.population, f"{NAME}-{number}-{subject.series}", scale.backlog, form=subject.form)
    drained = await drain(stage, lambda stage: together(stage.worker(subject.worker, subject.more)), waiting)
    return {**drained.measures, "messages": waiting.messages}
