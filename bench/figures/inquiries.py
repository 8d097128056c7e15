"""Does a backlog of settlements slow a quote down? Quotes at a steady rate, in quiet and while the backlog drains."""

from bench.beside import Asked, compared, conditions_of, rounds_of
from bench.load import SINGLE
from bench.report import Result, result
from bench.rounds import Tell, conditions, settled_in
from bench.scale import Scale
from bench.stage import Stage, settings_of
from shared.messages.envelope import Operation

NAME = "inquiries"
COMPARED = compared()


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """A worker for each queue; each round a quiet phase, then one in which a backlog drains."""
    quotes = Asked(NAME, Operation.QUOTE, SINGLE, scale.backlog)
    await settled_in(stage, scale, NAME, tell)
    async with stage.worker("settlement-1") as settling, stage.worker("inquiry"):
        rounds = await rounds_of(stage, (settling,), quotes, scale, tell)
    workers = {name: settings_of(name) for name in ("settlement-1", "inquiry")}
    return result(NAME, conditions(scale.population, workers, **conditions_of(quotes, scale)), rounds, COMPARED)
