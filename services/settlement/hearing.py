"""Whether a lane still hears of its queue. A subscription may fall silent while the heart of its connection beats."""

from collections.abc import Sequence
from dataclasses import dataclass

# The broker serves in turn those who wait: between two messages to one, every other has had one.
A_TURN = 2
SILENT_LOOKS_MIN = 4
# So far back it is remembered what was heard: a minute, by a look every five seconds.
LOOKS_MAX = 12


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
    """Queues with a lane that has not heard what there was to hear, by the last looks at all lanes, the newest last."""
    return _of_what_waits(looks[-2:]) | _of_what_others_get(looks)


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
    """Another lane was served out of turn between the second look at a silence and the last but one.

    What the other was sent before this one waited may have come after the first look, and what this one was sent until the last.
    """
    found = set()
    for place, now in enumerate(looks[-1]):
        silence = [look for look in looks if look[place].heard_nothing_until(now)]
        if len(silence) >= SILENT_LOOKS_MIN:
            served = zip(silence[1], silence[-2], strict=True)
            if any(end.queue == now.queue and end.delivered - start.delivered >= A_TURN for start, end in served):
                found.add(now.queue)
    return found
