"""After everything that was measured, the ledger is proven."""

from collections.abc import Callable
from typing import Any

from cli import audit
from cli.speech import speech


class Broken(Exception):
    """The ledger does not hold after what was measured."""


async def prove(url: str, tell: Callable[[str], None]) -> None:
    """Raises Broken, and shows the rows, where the ledger does not hold."""
    proof: dict[str, Any] = await audit.prove(url)
    if not proof["holds"]:
        audit.show(proof, speech("en"))
        raise Broken("the ledger does not hold")
    tell(f"the ledger holds: {proof['totals']['decisions']:,} decisions, {proof['totals']['entries']:,} entries")
