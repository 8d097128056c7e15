"""Does a gateway's backlog slow a till down? Settlements at a steady rate, in quiet and while bulk messages drain."""

from bench.beside import Asked, compared, conditions_of, rounds_of
from bench.load import BULK
from bench.report import Result, at_most, result
from bench.rounds import Tell, conditions, settled_in
from bench.scale import Scale
from bench.stage import Stage, settings_of
from shared.messages.envelope import Operation

NAME = "tills"
COMPARED = compared(p99=at_most(4))


async def measure(stage: Stage, scale: Scale, tell: Tell) -> Result:
    """A worker for each door; each round a quiet phase, then one in which the gateway's backlog drains."""
    settlements = Asked(NAME, Operation.SETTLE, BULK, scale.gateway_backlog)
    await settled_in(stage, scale, NAME, tell)
    async with stage.worker("settlement-1"), stage.worker("bulk") as bulk:
        rounds = await rounds_of(stage, (bulk,), settlements, scale, tell)
    workers = {name: settings_of(name) for name in ("settlement-1", "bulk")}
    return result(NAME, conditions(scale.population, workers, **conditions_of(settlements, scale)), rounds, COMPARED)
