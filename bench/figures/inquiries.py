"""Does a backlog of settlements slow a quote down? Quotes at a steady rate, in quiet and while the backlog drains."""

from collections.abc import Callable

from bench.beside import DRAINING, IDLE, Asked, conditions, rounds_of
from bench.load import SINGLE
from bench.report import Compared, Result, result
from bench.scale import Scale
from bench.stage import Stage
from shared.messages.envelope import Operation

NAME = "inquiries"
COMPARED = tuple(Compared(f"latency_ms_{part}", DRAINING, IDLE) for part in ("p50", "p99", "max"))


async def measure(stage: Stage, scale: Scale, tell: Callable[[str], None]) -> Result:
    """A worker for each queue; each round a quiet phase, then one in which a backlog drains."""
    quotes = Asked(NAME, Operation.QUOTE, SINGLE, scale.backlog)
    async with stage.worker("settlement-1") as settling, stage.worker("inquiry"):
        rounds = await rounds_of(stage, (settling,), quotes, scale, tell)
    workers = {"settlement_workers": 1, "inquiry_workers": 1}
    return result(NAME, {**workers, **conditions(quotes, scale)}, rounds, COMPARED)
