"""Whether a lane still hears of its queue. A subscription may fall silent while the heart of its connection beats."""

from collections.abc import Sequence
from dataclasses import dataclass

# The broker serves in turn those who wait: between two messages to one, every other has had one.
A_TURN = 2


@dataclass(frozen=True, slots=True)
class Look:
    """At one lane: how many messages its queue has, and how many have come to it so far.

    `idle_as` is the subscription under which it waits for a message and has none in hand; None where that is not so.
    """

    queue: str
    waiting: int
    delivered: int
    idle_as: str | None

    def heard_nothing_until(self, later: "Look") -> bool:
        """Whether nothing has come to the lane until that look, though it waited."""
        return self.idle_as is not None and (self.idle_as, self.delivered) == (later.idle_as, later.delivered)


def deaf(looks: Sequence[Sequence[Look]]) -> set[str]:
    """Queues with a lane that has not heard what there was to hear, by the last three looks at all lanes, the newest last."""
    return _of_what_waits(looks[-2:]) | _of_what_others_get(looks[-3:])


def _of_what_waits(looks: Sequence[Sequence[Look]]) -> set[str]:
    """Messages were in the queue at both of two looks."""
    if len(looks) < 2:
        return set()
    return {
        now.queue
        for before, now in zip(*looks, strict=True)
        if before.heard_nothing_until(now) and before.waiting and now.waiting
    }


def _of_what_others_get(looks: Sequence[Sequence[Look]]) -> set[str]:
    """Another lane was served out of turn between the first two of three looks; what was on its way had until the third to arrive."""
    if len(looks) < 3:
        return set()
    lanes = list(zip(*looks, strict=True))
    served = {first.queue for first, before, _ in lanes if before.delivered - first.delivered >= A_TURN}
    return {now.queue for first, _, now in lanes if first.heard_nothing_until(now) and now.queue in served}
