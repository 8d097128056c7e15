"""What is the bulk door worth? The same settlements in bulk messages and one by one, a worker for each."""

from collections.abc import Callable
from functools import partial

from bench.draining import Load, Start, drain, workers
from bench.load import BULK, SINGLE, Form
from bench.report import Compared, Measures, Result, at_least, ratio, result
from bench.scale import Scale
from bench.stage import Stage, together

NAME, SPEED = "bulk", "settlements_per_s"
IN_BULK, ALONE = "in bulk", "single"
SUBJECTS: dict[str, tuple[Start, Form]] = {
    ALONE: (partial(workers, processes=1), SINGLE),
    IN_BULK: (lambda stage: together(stage.worker("bulk")), BULK),
}
COMPARED = (Compared(SPEED, IN_BULK, ALONE, at_least(3)),)


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """Each round both in turn, each with a worker of its own."""
    rounds = []
    for number in range(1, scale.rounds + 1):
        measured: dict[str, Measures] = {}
        for name, (start, form) in SUBJECTS.items():
            waiting = Load(scale.population, f"{NAME}-{number}-{form.settlements_max}", scale.backlog, form=form)
            drained = await drain(stage, start, waiting)
            measured[name] = {SPEED: drained.settlements_per_s, "messages": waiting.messages}
        rounds.append(measured)
        alone, bulk = (measured[name][SPEED] for name in (ALONE, IN_BULK))
        tell(f"round {number}: {alone:,.0f} settlements/s alone, {bulk:,.0f} in bulk, {ratio(bulk, alone):g} times")
    conditions = {
        "workers": 1,
        "settlements_a_message": BULK.settlements_max,
        "accounts": scale.population.accounts,
        "people": scale.population.people,
        "bindings": scale.population.bindings,
        "seed": scale.population.seed,
        "backlog": scale.backlog,
    }
    return result(NAME, conditions, rounds, COMPARED)
