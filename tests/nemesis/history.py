"""What was sent and what came back, as those outside saw it."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
INQUIRIES = frozenset({"quote", "lookup", "reconcile"})


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, when it came, and when the request that it answers was sent."""

    sent_s: float
    came_s: float
    answer: Answer


@dataclass(slots=True)
class Asked:
    """A request under its name, however often it was sent. Seconds are of one monotonic clock.

    `confirmed`: by the broker, to a sender that does not ask again.
    """

    operation: str
    body: dict[str, Any]
    sent_s: float = field(default_factory=time.monotonic)
    heard: list[Heard] = field(default_factory=list)
    confirmed: bool = False

    @property
    def name(self) -> str:
        name: str = self.body["request_id"]
        return name


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which a payer was certainly not bound: from the answered end to the next call that may bind."""

    payer_id: str
    beneficiary_id: str
    from_s: float
    until_s: float


@dataclass(slots=True)
class History:
    """Everything that is known outside. `unbound` and `accepted` (ids of transfers) are what the HTTP side was told."""

    asked: dict[str, Asked] = field(default_factory=dict)
    unbound: list[Period] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    # Once the faults were long over, whatever had not been answered was asked again.
    asked_again_s: float = math.inf
    # What was told when asked once the faults were over: of each request, each transfer (its state), each day, each person.
    looked_up: dict[str, Answer] = field(default_factory=dict)
    transfers: dict[str, str] = field(default_factory=dict)
    reconciled: dict[str, Answer] = field(default_factory=dict)
    balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    personal: tuple[str, ...] = ()

    def decided(self, operation: str) -> list[Asked]:
        return [each for each in self.asked.values() if each.operation == operation]

    def ask(self, operation: str, body: dict[str, Any]) -> Asked:
        """Something that is about to be sent."""
        asked = self.asked[body["request_id"]] = Asked(operation, body)
        return asked

    def left_open(self) -> list[Asked]:
        """What was confirmed and not answered before it was asked again."""
        return [
            each
            for each in self.asked.values()
            if each.confirmed and all(heard.came_s >= self.asked_again_s for heard in each.heard)
        ]

    def original_of(self, each: Asked) -> Asked:
        """What a refund or a cancel speaks of."""
        return self.asked[each.body["original_request_id"]]
