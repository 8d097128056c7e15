"""What was answered to those who only asked, while everything went on. Pure.

Source: contract.md, "lookup", "reconcile". Nothing of the project is used here. What an inquiry tells lies between what was certainly
so when it was sent and what may have become of it by the time its answer came.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.nemesis.books import Totals, day_of, decided, of_a_day
from tests.nemesis.history import INQUIRIES, Answer, Asked, Heard, History

PARTS = ("count", "account_fen", "mutual_aid_fen", "refunded_fen")


def answered_inquiries(history: History) -> Iterator[str]:
    """An inquiry that is well-formed is not refused: there is nothing about it that may have changed."""
    for each in history.asked.values():
        for heard in each.heard if each.operation in INQUIRIES else ():
            if heard.answer["outcome"] == "rejected":
                yield f"{each.operation} {each.name} was rejected: {heard.answer['reason']}"


def looked_up_in_time(history: History) -> Iterator[str]:
    """What was answered before a lookup was sent is found, and whatever is found is what is answered for good."""
    cancels = Cancels.of(history)
    for each in history.decided("lookup"):
        original = history.original_of(each)
        for heard in each.heard:
            if heard.answer["outcome"] == "rejected":
                continue
            yield from _found(each, original, heard.answer, heard.sent_s, history)
            told, name = heard.answer["cancelled"], original.name
            if told and not any(sent_s < heard.came_s for sent_s in cancels.begun[name]):
                yield f"lookup {each.name}: {name} is cancelled, and nobody had cancelled it"
            if not told and any(came_s < heard.sent_s for came_s in cancels.over[name]):
                yield f"lookup {each.name}: {name} is not cancelled, and had been"


def _found(each: Asked, original: Asked, answer: Answer, sent_s: float, history: History) -> Iterator[str]:
    known = history.looked_up.get(original.name, {}).get("original")
    if answer["outcome"] == "found" and answer["original"] != known:
        yield f"lookup {each.name}: found {answer['original']}, and in the end {known}"
    if answer["outcome"] != "found" and original.answered_s < sent_s:
        yield f"lookup {each.name}: {original.name} is {answer['outcome']}, and had been answered"


@dataclass(slots=True)
class Cancels:
    """When cancels of each request were first sent, those that were not declined in the end; and when they were answered."""

    begun: dict[str, list[float]]
    over: dict[str, list[float]]

    @classmethod
    def of(cls, history: History) -> "Cancels":
        begun: dict[str, list[float]] = {name: [] for name in history.asked}
        over: dict[str, list[float]] = {name: [] for name in history.asked}
        for each in history.decided("cancel"):
            said = [heard.answer["outcome"] for heard in each.heard]
            known = (history.looked_up.get(each.name) or {}).get("original") or {}
            if "declined" in said or known.get("outcome") == "declined":
                continue
            begun.setdefault(each.body["original_request_id"], []).append(each.sent_s)
            if "cancelled" in said:
                over.setdefault(each.body["original_request_id"], []).append(each.answered_s)
        return cls(begun, over)


@dataclass(slots=True)
class Bounds:
    """What a day may come to: at least what was answered before, at most what may have been decided by then."""

    least: Totals = field(default_factory=Totals)
    most: Totals = field(default_factory=Totals)

    def add(self, each: Totals, *, certain: bool) -> None:
        for part in PARTS:
            fen = getattr(each, part)
            for bound, counts in ((self.least, certain or fen < 0), (self.most, certain or fen > 0)):
                setattr(bound, part, getattr(bound, part) + (fen if counts else 0))

    def hold(self, ours: dict[str, int]) -> bool:
        return all(getattr(self.least, part) <= ours[part] <= getattr(self.most, part) for part in PARTS)


def reconciled_in_time(history: History) -> Iterator[str]:
    """A day that is asked for while it runs."""
    known = list(decided(history))
    for each in history.decided("reconcile"):
        for heard in each.heard:
            if heard.answer["outcome"] != "rejected":
                yield from _reconciled(each, heard, known, history)


def _reconciled(each: Asked, heard: Heard, known: Iterable[tuple[Asked, Answer]], history: History) -> Iterator[str]:
    ours, theirs = heard.answer["ours"], {part: each.body[part] for part in PARTS}
    if heard.answer["theirs"] != theirs:
        yield f"reconcile {each.name}: theirs were {theirs}, and are said to be {heard.answer['theirs']}"
    if (heard.answer["outcome"] == "balanced") != (ours == theirs):
        yield f"reconcile {each.name} is {heard.answer['outcome']}: ours {ours}, theirs {theirs}"
    bounds = Bounds()
    for other, answer in known:
        if other.body["institution_id"] != each.body["institution_id"] or day_of(answer) != each.body["date"]:
            continue
        if other.sent_s < heard.came_s:
            bounds.add(of_a_day(other, answer, history), certain=other.answered_s < heard.sent_s)
    if not bounds.hold(ours):
        yield f"reconcile {each.name}: {ours} is not between {bounds.least} and {bounds.most}"
