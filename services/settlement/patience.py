"""How long an address may refuse answers before it counts as full. Pure.

A broker has one word for a queue that is full and for one that has lost its leader. The first is the sender's affair, the
second is over in a moment, and an answer must not be lost over it: so it waits for as long as a confirm may take.
"""

from dataclasses import dataclass, field

from shared.rabbit.confirms import Receipt
from shared.rabbit.publisher import CONFIRM_TIMEOUT_S, Outgoing

PATIENCE_S = CONFIRM_TIMEOUT_S

# Each is a queue that exists and refuses, so there are few; a sender that makes many makes us patient again, no more.
ADDRESSES_MAX = 10_000


@dataclass(slots=True)
class Patience:
    """With each address that refuses, by the time since it has; `now` is in seconds of a clock that only goes on."""

    _since: dict[tuple[str, str], float] = field(default_factory=dict)

    def is_asked_for(self, message: Outgoing, receipt: Receipt, now: float) -> bool:
        """Whether a message is refused that may yet be taken. Whatever else becomes of it ends what was held against its address."""
        address = message.exchange, message.routing_key
        if receipt is not Receipt.REFUSED:
            self._since.pop(address, None)
            return False
        if len(self._since) >= ADDRESSES_MAX:
            self._since.clear()
        return now - self._since.setdefault(address, now) < PATIENCE_S
