"""Everything that was decided, decided again in one order: outcome, reason, payer and amounts must be the contract's. Pure.

The order is the ledger's: the places in which its seals name decisions and movements. It need not be believed. An order in which
every answer is what the contract says of the state that the answers before it made, and in which nothing comes before what had been
answered when it was sent, is what a service of one mind, deciding one request at a time, might have done; there is nothing
else to ask for, whoever has named the order (Herlihy and Wing: linearizable). If no such order is named, somebody was told something
untrue: for the true order is among those that the seals name. Whoever changes an account holds its row until the commit, and takes
the number of its page meanwhile, so of two that share an account the second has the later page, and pages are sealed in their order;
of two that share none either order explains them, but for a refund of what is not there yet, which locks nothing and is allowed
for (model.py). An id, or a `decided_at`, would not do: it is taken before the rows are
locked, and the earlier one may have waited for the later.

Two things the seals do not tell. A page names what moved nothing behind what moved, each in their order, so of what was decided
together (it has the same `decided_at`) such a decision may stand between any two of the others. And a change over HTTP has no place in them: a decision under whose eyes
it was made may have seen it or not, one that was decided before its call or after its answer may not choose.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, product
from typing import Any

from tests.nemesis.history import CLOCKS_APART_S, Answer, Asked, Heard, History, Placed
from tests.nemesis.model import NOTHING, Book, Parts, Writes, arrived, billed, expected, worlds

Step = tuple[str, Asked | str, str]


def explained(history: History) -> Iterator[str]:
    """No order explains it: what is told is where the one that came farthest ended. Nothing behind it is looked at."""
    replay = Replay(history)
    yield from replay.missing()
    for lot in replay.lots:
        if sentence := replay.play(lot):
            yield sentence
            return
    yield from replay.left_over()
    yield from replay.quoted()


@dataclass(slots=True)
class Lot:
    """What was decided together: what moved money and what did not, each in their order, and not that of both."""

    moving: list[Step] = field(default_factory=list)
    still: list[Step] = field(default_factory=list)

    @property
    def requests(self) -> list[Asked]:
        return [each for _, each, _ in (*self.moving, *self.still) if isinstance(each, Asked)]


@dataclass(slots=True)
class Past:
    """What something in the book was after a lot; when that lot was known outside, and before when it cannot have begun."""

    value: Any
    answered_s: float
    sent_s: float


@dataclass(slots=True)
class Replay:
    """A book that moves on with the ledger's order."""

    history: History
    book: Book = field(default_factory=dict)
    past: dict[tuple[str, str], list[Past]] = field(default_factory=lambda: defaultdict(list))
    lots: list[Lot] = field(init=False)
    latest_sent_s: float = -math.inf
    farthest: tuple[int, str] = (-1, "")

    def __post_init__(self) -> None:
        together = (list(group) for _, group in groupby(self.history.order, key=lambda each: each.at))
        self.lots = [lot for lot in map(self._lot, together) if lot.moving or lot.still]

    def _lot(self, placed: Sequence[Placed]) -> Lot:
        lot = Lot()
        returned = {each.name for each in placed if each.what == "returned"}
        for each in placed:
            if each.what == "arrived":
                lot.moving.append(("arrived", each.name, each.at))
            elif each.what == "returned":
                if cancel := self._cancel_of(each.name):
                    lot.moving.append(("decided", cancel, each.at))
            elif asked := self._decided(each.name):
                # A gift that was cancelled on its way has a place of its own: where it went back.
                if self._gift_of(asked) in returned:
                    continue
                (lot.moving if has_moved(self._answer(asked)) else lot.still).append(("decided", asked, each.at))
        return lot

    def _decided(self, name: str) -> Asked | None:
        asked = self.history.asked.get(name)
        return asked if asked and self._answer(asked) else None

    def _answer(self, asked: Asked) -> Answer:
        found = self.history.looked_up.get(asked.name)
        answer: Answer = found["original"] if found and found["original"] else {}
        return answer

    def _gift_of(self, asked: Asked) -> str | None:
        """The gift that a cancel has undone."""
        if asked.operation != "cancel" or self._answer(asked).get("effect") != "reversed":
            return None
        original = self.history.original_of(asked)
        return self._answer(original).get("transfer_id") if original.operation == "transfer" else None

    def _cancel_of(self, transfer_id: str) -> Asked | None:
        return next((each for each in self.history.decided("cancel") if self._gift_of(each) == transfer_id), None)

    # ---- what the order must not lack, and must not turn round ----

    def missing(self) -> Iterator[str]:
        """Whatever was decided has a place in the chain, one, and none that its answers contradict."""
        names = [each.name for lot in self.lots for each in lot.requests]
        placed = set(names)
        if len(placed) < len(names):
            yield "the chain names a decision twice"
        for name in self.history.looked_up:
            if (asked := self._decided(name)) and name not in placed:
                yield f"{asked.operation} {name} was decided and is not in the chain"

    def _turned_round(self, lot: Lot) -> str | None:
        self.latest_sent_s = max([self.latest_sent_s, *(each.sent_s for each in lot.requests)])
        for each in lot.requests:
            if each.answered_s < self.latest_sent_s:
                return f"{each.operation} {each.name} had been answered before something was sent that stands before it"
            decided_s = self.history.moment_s(self._answer(each)["decided_at"])
            if not each.sent_s - CLOCKS_APART_S <= decided_s <= each.answered_s + CLOCKS_APART_S:
                return f"{each.operation} {each.name} says that it was decided when it was not under way"
        return None

    # ---- the search for an order within a lot ----

    def play(self, lot: Lot) -> str | None:
        """Writes a lot into the book, in an order that explains it; a sentence, where there is none."""
        if sentence := self._turned_round(lot):
            return sentence
        written: Writes = {}
        self.farthest = (-1, "")
        if not self._search(lot, 0, 0, written, set()):
            return self.farthest[1]
        answered_s = min((each.answered_s for each in lot.requests), default=math.inf)
        sent_s = max((each.sent_s for each in lot.requests), default=-math.inf)
        purses = {("purse", key[1]) for key in written if key[0] in ("account", "coming")}
        for key in purses | {key for key in written if key[0] == "used"}:
            self.past[key].append(Past(self._now(*key), answered_s, sent_s))
        return None

    def _now(self, what: str, of: str) -> Any:
        if what == "purse":
            return self.book.get(("account", of), NOTHING), self.book.get(("coming", of), ())
        return self.book.get((what, of), 0)

    def _search(self, lot: Lot, moved: int, stood: int, written: Writes, in_vain: set[tuple[int, int]]) -> bool:
        """Depth first through the ways in which those that moved nothing may stand between those that did."""
        if (moved, stood) == (len(lot.moving), len(lot.still)):
            return True
        if (moved, stood) in in_vain:
            return False
        turns = []
        if stood < len(lot.still):
            turns.append((lot.still[stood], moved, stood + 1))
        if moved < len(lot.moving):
            turns.append((lot.moving[moved], moved + 1, stood))
        for step, moved_then, stood_then in turns:
            for writes in self._explaining(step, moved + stood):
                undo = {key: self.book.get(key) for key in writes}
                self.book |= writes
                if self._search(lot, moved_then, stood_then, written, in_vain):
                    written |= writes
                    return True
                self.book |= undo
        in_vain.add((moved, stood))
        return False

    def _explaining(self, step: Step, depth: int) -> Iterator[Writes]:
        """What a step would write here, in each way in which it is what was answered."""
        what, each, at = step
        if what == "arrived":
            assert isinstance(each, str)
            writes = arrived(each, self.book, self.history, self.history.moment_s(at))
            if writes is None:
                self._fails(depth, f"gift {each} arrived, and nobody had given it or said yes to it")
            else:
                yield writes
            return
        assert isinstance(each, Asked)
        answer, differences = self._answer(each), []
        for should_be in expected(each, answer, self.book, self.history):
            differences.append(should_be.differs_from(answer))
            if not differences[-1]:
                yield should_be.writes
        if all(differences):
            told = min(differences, key=len) if differences else "a name that was blocked"
            self._fails(depth, f"{each.operation} {each.name} cannot be explained: {told} (should be, is); {answer}")

    def _fails(self, depth: int, sentence: str) -> None:
        self.farthest = max(self.farthest, (depth, sentence))

    # ---- what is asked in the end ----

    def left_over(self) -> Iterator[str]:
        """What a lookup tells in the end of what was returned and cancelled."""
        for name, found in self.history.looked_up.items():
            over = bool(self.book.get(("cancelled", name)) or self.book.get(("blocked", name)))
            if found["cancelled"] != over:
                yield f"{name}: {'' if over else 'not '}cancelled, and looked up as {found['cancelled']}"
            if self.history.asked[name].operation == "settle" and found["original"]:
                paid, left = (self.book.get((what, name)) or {} for what in ("moved", "left"))
                back_fen = sum(map(sum, paid.values())) - sum(map(sum, left.values()))
                if found["refunded_fen"] != back_fen:
                    yield f"{name}: {back_fen} fen went back, and {found['refunded_fen']} are looked up"

    # ---- what was asked meanwhile ----

    def quoted(self) -> Iterator[str]:
        """A quote says what a settlement would have been answered at some moment while it was under way."""
        for each in self.history.decided("quote"):
            for heard in each.heard:
                if heard.answer["outcome"] == "rejected":
                    continue
                if not self._quotable(each, heard):
                    yield f"quote {each.name} is what no moment explains: {heard.answer}"

    def _quotable(self, each: Asked, heard: Heard) -> bool:
        """In some state of everybody's purse that it may have seen: each in one of its own, not all at the same place."""
        answer, person_id = heard.answer, each.body["person_id"]
        moment_s = self.history.moment_s(answer["decided_at"])
        # What had been answered when it began to be decided it has seen.
        heard = replace(heard, sent_s=max(heard.sent_s, moment_s - CLOCKS_APART_S))
        relatives = sorted(fact[1] for fact in self.history.facts if fact[0] == "binding" and fact[2] == person_id)
        bound = {who: self.history.possible(moment_s, "binding", who, person_id) for who in relatives}
        used = [("used", one.binding_id) for those in bound.values() for one in those if one and one.annual_limit_fen]
        payers = [who for who, those in bound.items() if any(those)]
        purses = [{whole(purse[0]) for purse in self._seen(("purse", who), heard)} for who in payers]
        keys = [("account", who) for who in (person_id, *payers)] + used
        asked = {"use_own_account": True, "use_mutual_aid": True, "require_full": False, **each.body}
        told_fen = answer["own_balance_fen"]
        own = {whole(purse) for purse in self._with_gifts(person_id, heard) if told_fen in (None, purse[0] + purse[1])}
        for values in product(own, *purses, *(self._seen(key, heard) for key in used)):
            book: Book = dict(zip(keys, values, strict=True))
            for world in worlds(person_id, book, self.history, moment_s):
                should_be = billed(each, asked, world, book).answer
                # A quote debits nothing, so the balance after it is the balance before.
                if should_be["own_balance_fen"] is not None:
                    should_be["own_balance_fen"] += should_be["own_account_fen"]
                if all(answer[name] == value for name, value in should_be.items()):
                    return True
        return False

    def _seen(self, key: tuple[str, str], heard: Heard) -> list[Any]:
        """What was last known of it before it was asked, and whatever may have been made of it meanwhile."""
        values: list[Any] = [(NOTHING, ()) if key[0] == "purse" else 0]
        for each in self.past.get(key, ()):
            if each.answered_s < heard.sent_s:
                values = [each.value]
            elif each.sent_s > heard.came_s:
                break
            else:
                values.append(each.value)
        return list(dict.fromkeys(values))

    def _with_gifts(self, person_id: str, heard: Heard) -> Iterator[Parts]:
        """A quote counts what has become the patient's and not been written into the wallet yet."""
        said_fen = heard.answer["wallet_fen"]
        for (current, prior, wallet), coming in self._seen(("purse", person_id), heard):
            least = most = wallet
            for transfer_id in coming:
                gift = self.book["gift", transfer_id]
                fen, yes = sum(gift.parts), self.history.possible(heard.came_s, "accepted", transfer_id)
                given = self.history.asked[gift.name].answered_s < heard.sent_s
                least += fen if given and (gift.auto_accept or self._accepted(transfer_id, heard.sent_s)) else 0
                most += fen if gift.auto_accept or True in yes else 0
            for fen in {least, most, min(max(said_fen, least), most)}:
                yield current, prior, fen

    def _accepted(self, transfer_id: str, moment_s: float) -> bool:
        return self.history.possible(moment_s, "accepted", transfer_id) == [True]


def whole(purse: Parts) -> Parts:
    """Of which year the money is does not show in a quote."""
    return purse[0] + purse[1], 0, purse[2]


def has_moved(answer: Answer) -> bool:
    return answer["outcome"] not in ("declined", "cancelled") or answer.get("effect") == "reversed"
