"""What is the bulk door worth? Settlements in bulk messages and one by one, a worker for each."""

from dataclasses import dataclass
from functools import partial

from bench.draining import Load, drain
from bench.load import BULK, SINGLE, Form
from bench.report import SPEED, Compared, Measures, Result, at_least, result
from bench.rounds import Tell, conditions, each_round, in_turn, settled_in
from bench.scale import Scale
from bench.stage import Stage, settings_of, together

NAME = "bulk"


@dataclass(frozen=True, slots=True)
class Subject:
    """One worker, and in which messages settlements come to it."""

    name: str
    series: str
    worker: str
    form: Form


SINGLES = Subject("single", "single", "settlement-1", SINGLE)
IN_BULK = Subject("in bulk", "bulk", "bulk", BULK)
SUBJECTS = (SINGLES, IN_BULK)
COMPARED = (Compared(SPEED, IN_BULK.name, SINGLES.name, at_least(3)),)


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """Each round all in turn, each with a worker of its own."""

    async def one(number: int) -> dict[str, Measures]:
        return await in_turn(number, {each.name: partial(_drained, stage, scale, each, number) for each in SUBJECTS})

    await settled_in(stage, scale, NAME, tell)
    rounds = await each_round(stage, scale, one, tell)
    workers = {each.name: settings_of(each.worker) for each in SUBJECTS}
    own = {"settlements_a_message": BULK.settlements_max, "backlog": scale.backlog}
    return result(NAME, conditions(scale.population, workers, **own), rounds, COMPARED)


async def _drained(stage: Stage, scale: Scale, subject: Subject, number: int) -> Measures:
    waiting = Load(scale.population, f"{NAME}-{number}-{subject.series}", scale.backlog, form=subject.form)
    drained = await drain(stage, lambda stage: together(stage.worker(subject.worker)), waiting)
    return {**drained.measures, "messages": waiting.messages}
