"""What was sent and what came back, as those outside saw it."""

import math
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

Answer = dict[str, Any]
INQUIRIES = frozenset({"quote", "lookup", "reconcile"})
# Under whose names nothing is decided: a bulk message only carries others.
NOT_KEPT = INQUIRIES | {"settle_bulk"}


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

    @property
    def original_name(self) -> str | None:
        """What a refund, a cancel or a lookup speaks of."""
        return self.body.get("original_request_id")

    @property
    def answered_s(self) -> float:
        """When it was known outside what was decided."""
        return min((each.came_s for each in self.heard if each.answer["outcome"] != "rejected"), default=math.inf)


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which a payer was certainly not bound: from the answered end to the next call that may bind."""

    payer_id: str
    beneficiary_id: str
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding as the counter has made it. `place`: the how manyth it was."""

    payer_id: str
    beneficiary_id: str
    binding_id: str
    place: int
    annual_limit_fen: int | None = None
    wallet: bool = False
    auto_accept: bool = False


@dataclass(slots=True)
class Change:
    """Something that was made so over HTTP, at some moment between the first call and its answer.

    It `lingers` where a call was given up that may be carried out at any time from then on.
    """

    value: Any
    from_s: float
    until_s: float = math.inf
    lingers: bool = False


class Placed(NamedTuple):
    """One thing in the order in which the ledger says that everything was decided.

    `name`: of a request; or of a transfer that `arrived`, or `returned`. What has the same `at` was decided together.
    """

    name: str
    what: str
    at: str


# Of one machine's clocks, but read one after the other.
CLOCKS_APART_S = 0.05


@dataclass(slots=True)
class History:
    """Everything that is known outside. `unbound` and `accepted` (ids of transfers) are what the HTTP side was told."""

    asked: dict[str, Asked] = field(default_factory=dict)
    unbound: list[Period] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    # What a settlement is decided by and changes over HTTP: ("insurance" | "status" | "frozen", person), ("binding", payer,
    # beneficiary), ("accepted", transfer).
    facts: dict[tuple[str, ...], list[Change]] = field(default_factory=dict)
    # Once the faults were long over, whatever had not been answered was asked again.
    asked_again_s: float = math.inf
    # What was told when asked once the faults were over: of each request, each transfer (its state), each day, each person.
    looked_up: dict[str, Answer] = field(default_factory=dict)
    transfers: dict[str, str] = field(default_factory=dict)
    reconciled: dict[str, Answer] = field(default_factory=dict)
    balances: dict[str, tuple[int, int]] = field(default_factory=dict)
    order: list[Placed] = field(default_factory=list)
    dead_letters: int = 0
    personal: tuple[str, ...] = ()
    # What the clock on the wall adds to the monotonic one.
    wall_ahead_s: float = field(default_factory=lambda: time.time() - time.monotonic())

    def decided(self, operation: str) -> list[Asked]:
        return [each for each in self.asked.values() if each.operation == operation]

    def ask(self, operation: str, body: dict[str, Any]) -> Asked:
        """Something that is about to be sent."""
        asked = self.asked[body["request_id"]] = Asked(operation, body)
        return asked

    def hear(self, asked: Asked, sent_s: float, answer: Answer) -> None:
        """An answer has come; one to a bulk message answers everything that it carried."""
        came_s = time.monotonic()
        asked.heard.append(Heard(sent_s, came_s, answer))
        for each in answer.get("answers") or ():
            self.asked[each["request_id"]].heard.append(Heard(sent_s, came_s, each))

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

    def moment_s(self, at: str) -> float:
        """A time that an answer tells, by the clock of those outside."""
        return datetime.fromisoformat(at).timestamp() - self.wall_ahead_s

    def changing(self, *fact: str, to: Any) -> Change:
        """A call that is about to be made."""
        change = Change(to, time.monotonic())
        self.facts.setdefault(fact, []).append(change)
        return change

    def possible(self, moment_s: float, *fact: str, until_s: float | None = None) -> list[Any]:
        """What may have been so at a moment, or from it until another: what was last answered before, and whatever was under way."""
        until_s = moment_s if until_s is None else until_s
        values, lingering = [None], []
        for change in self.facts.get(fact, ()):
            if change.until_s < moment_s - CLOCKS_APART_S:
                values = [change.value]
            elif change.from_s < until_s + CLOCKS_APART_S:
                values.append(change.value)
            if change.lingers and change.from_s < until_s + CLOCKS_APART_S:
                lingering.append(change.value)
        return list(dict.fromkeys(values + lingering))
