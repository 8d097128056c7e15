"""settle_bulk: many settle requests in one message, for whoever has many and nobody waiting; answered by one message, in order.

Each is still its own decision under its own name: one refusal harms no other.
"""

from typing import Annotated

from pydantic import Field

from shared.messages.envelope import Answer, Operation, Request
from shared.messages.settle import SettleAnswer, SettleRequest

SETTLEMENTS_MAX = 500
BULK_BYTES_MAX = 512 * 1024


class BulkRequest(Request):
    """`request_id` names this message to its sender only: nothing is kept under it."""

    operation = Operation.SETTLE_BULK

    settlements: Annotated[list[SettleRequest], Field(min_length=1, max_length=SETTLEMENTS_MAX)]


class BulkAnswer(Answer):
    """The answer of each settlement, in the order of the request; null in a rejected answer."""

    answers: list[SettleAnswer] | None = None
