"""Does a gateway's backlog slow a till down? Settlements at a steady rate, in quiet and while bulk messages drain."""

from collections.abc import Callable

from bench.beside import DRAINING, IDLE, Asked, conditions, rounds_of
from bench.load import BULK
from bench.report import Compared, Result, at_most, result
from bench.scale import Scale
from bench.stage import Stage
from shared.messages.envelope import Operation

NAME = "tills"
COMPARED = (
    Compared("latency_ms_p50", DRAINING, IDLE),
    Compared("latency_ms_p99", DRAINING, IDLE, at_most(4)),
    Compared("latency_ms_max", DRAINING, IDLE),
)


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """A worker for each door; each round a quiet phase, then one in which the gateway's backlog drains."""
    settlements = Asked(NAME, Operation.SETTLE, BULK, scale.gateway_backlog)
    async with stage.worker("settlement-1"), stage.worker("bulk") as bulk:
        rounds = await rounds_of(stage, (bulk,), settlements, scale, tell)
    workers = {"settlement_workers": 1, "bulk_workers": 1}
    return result(NAME, {**workers, **conditions(settlements, scale)}, rounds, COMPARED)
