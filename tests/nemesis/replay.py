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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tests.nemesis.chronicle import Chronicle, Key
from tests.nemesis.history import CLOCKS_APART_S, Answer, Asked, Heard, History, Placed
from tests.nemesis.model import NOTHING, Book, Gift, Parts, Writes, arrived, billed, expected, worlds

Step = tuple[str, Asked | str, str]
# So long at the most a worker holds a connection on which nothing comes; a batch begins anew on the next one.
LENT_S = 30.0


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
class Replay:
    """A book that moves on with the ledger's order."""

    history: History
    book: Book = field(default_factory=dict)
    chronicle: Chronicle = field(default_factory=lambda: Chronicle(first))
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
        coming = {key: gifts for key, gifts in self.book.items() if key[0] == "coming"}
        self.farthest = (-1, "")
        if not self._search(lot, 0, 0, written, set()):
            return self.farthest[1]
        answered_s = min((each.answered_s for each in lot.requests), default=math.inf)
        sent_s = max((each.sent_s for each in lot.requests), default=-math.inf)
        seen: dict[Key, Any] = {key: self.book[key] for key in written if key[0] in ("account", "used")}
        for _, receiver in (key for key in written if key[0] == "coming"):
            before, now = (set(book.get(("coming", receiver), ())) for book in (coming, self.book))
            seen |= {("on its way", gift): gift in now for gift in before ^ now}
        self.chronicle.write(seen, answered_s, sent_s)
        return None

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
        """By one look at the ledger, after it began to be decided, before it was answered and before its connection was given up."""
        moment_s = self.history.moment_s(heard.answer["decided_at"])
        last_s = max(moment_s, min(heard.came_s, moment_s + LENT_S))
        # Most are explained by what was so just as it began: what changed meanwhile makes many worlds.
        return any(self._quotable_until(each, heard, moment_s, until_s) for until_s in (moment_s, last_s))

    def _quotable_until(self, each: Asked, heard: Heard, moment_s: float, until_s: float) -> bool:
        answer, person_id = heard.answer, each.body["person_id"]
        relatives = sorted(fact[1] for fact in self.history.facts if fact[0] == "binding" and fact[2] == person_id)
        bound = {who: self.history.possible(moment_s, "binding", who, person_id, until_s=until_s) for who in relatives}
        own = ("account", person_id)
        keys = [own, *(("account", who) for who, those in bound.items() if any(those))]
        keys += [("used", one.binding_id) for those in bound.values() for one in those if one and one.annual_limit_fen]
        keys += [("on its way", gift) for gift in self._gifts_to(person_id)]
        asked = {"use_own_account": True, "use_mutual_aid": True, "require_full": False, **each.body}
        told_fen = answer["own_balance_fen"]
        # What had been answered when it began to be decided it has seen.
        since_s = max(heard.sent_s, moment_s - CLOCKS_APART_S)
        looks = self.chronicle.looks(
            keys,
            since_s,
            until_s + CLOCKS_APART_S,
            lambda key, value: key != own or told_fen in (None, value[0] + value[1]),
        )
        in_vain: set[frozenset[Any]] = set()
        for book in (book for look in looks for book in self._with_gifts(person_id, look, moment_s, until_s)):
            if (tried := frozenset(book.items())) in in_vain:
                continue
            in_vain.add(tried)
            for world in worlds(person_id, book, self.history, moment_s, until_s):
                should_be = billed(each, asked, world, book).answer
                # A quote debits nothing, so the balance after it is the balance before.
                if should_be["own_balance_fen"] is not None:
                    should_be["own_balance_fen"] += should_be["own_account_fen"]
                if all(answer[name] == value for name, value in should_be.items()):
                    return True
        return False

    def _gifts_to(self, person_id: str) -> list[str]:
        return [key[1] for key, gift in self.book.items() if key[0] == "gift" and gift.receiver_id == person_id]

    def _with_gifts(self, person_id: str, look: Book, moment_s: float, until_s: float) -> Iterator[Book]:
        """A quote counts what has become the patient's and not been written into the wallet yet."""
        current, prior, wallet = look["account", person_id]
        sums_fen = {0}
        for _, transfer_id in (key for key, value in look.items() if key[0] == "on its way" and value):
            gift: Gift = self.book["gift", transfer_id]
            yes = self.history.possible(moment_s, "accepted", transfer_id, until_s=until_s)
            ways_fen = [sum(gift.parts) if gift.auto_accept or accepted else 0 for accepted in yes]
            sums_fen = {so_far + fen for so_far in sums_fen for fen in ways_fen}
        funds = {key: whole(value) if key[0] == "account" else value for key, value in look.items()}
        for coming_fen in sums_fen:
            yield {**funds, ("account", person_id): whole((current, prior, wallet + coming_fen))}


def first(key: Key) -> Any:
    """What it is before anything was decided."""
    return {"account": NOTHING, "used": 0, "on its way": False}[key[0]]


def whole(purse: Parts) -> Parts:
    """Of which year the money is does not show in a quote."""
    return purse[0] + purse[1], 0, purse[2]


def has_moved(answer: Answer) -> bool:
    return answer["outcome"] not in ("declined", "cancelled") or answer.get("effect") == "reversed"
