"""How long an address may refuse answers before it counts as full. Pure.

A broker has one word for a queue that is full and for one that has lost its leader. The first is the sender's affair, the
second is over in a moment, and an answer must not be lost over it: so it waits for as long as a confirm may take. A queue that
takes one answer and refuses the next, because its owner fetches slowly, is full all the same.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from shared.rabbit.confirms import Receipt
from shared.rabbit.publisher import CONFIRM_TIMEOUT_S, Outgoing

PATIENCE_S = CONFIRM_TIMEOUT_S

# Each is a queue that exists and refuses, so there are few; a sender that makes many makes us patient again, no more.
ADDRESSES_MAX = 10_000


class Refusals(NamedTuple):
    """When an address refused first and last, without having been silent for PATIENCE_S in between."""

    first: float
    last: float


@dataclass(slots=True)
class Patience:
    """With each address that refuses, by the time since it has; `now` is in seconds of a clock that only goes on."""

    _refusals: dict[tuple[str, str], Refusals] = field(default_factory=dict)

    def is_asked_for(self, message: Outgoing, receipt: Receipt, now: float) -> bool:
        """Whether a message is refused that may yet be taken."""
        if receipt is not Receipt.REFUSED:
            return False
        address = message.exchange, message.routing_key
        earlier = self._refusals.get(address)
        first = earlier.first if earlier and now - earlier.last < PATIENCE_S else now
        if len(self._refusals) >= ADDRESSES_MAX:
            self._refusals.clear()
        self._refusals[address] = Refusals(first, now)
        return now - first < PATIENCE_S
