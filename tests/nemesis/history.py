"""What was sent and what came back, as those outside saw it."""

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
    """A request under its name, however often it was sent. Seconds are of one monotonic clock."""

    operation: str
    body: dict[str, Any]
    sent_s: float = field(default_factory=time.monotonic)
    heard: list[Heard] = field(default_factory=list)

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
    # What was told when asked once the faults were over: of each request, each transfer (its state), each day, each person.
    looked_up: dict[str, Answer] = field(default_factory=dict)
    transfers: dict[str, str] = field(default_factory=dict)
    reconciled: dict[str, Answer] = field(default_factory=dict)
    balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    personal: tuple[str, ...] = ()

    def decided(self, operation: str) -> list[Asked]:
        return [each for each in self.asked.values() if each.operation == operation]

    def original_of(self, each: Asked) -> Asked:
        """What a refund or a cancel speaks of."""
        return self.asked[each.body["original_request_id"]]
