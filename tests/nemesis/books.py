"""What the answers say of the money: whom each moved how much, and what an institution's own books say of a day. Pure.

Source: contract.md, the answers of each operation and "reconcile". Nothing of the project is used here.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.nemesis.history import Answer, Asked, History

SHANGHAI = ZoneInfo("Asia/Shanghai")
ON_ITS_WAY = ("transferred", "pending")


@dataclass(slots=True)
class Totals:
    """A day of an institution, in the words of `reconcile`."""

    count: int = 0
    account_fen: int = 0
    mutual_aid_fen: int = 0
    refunded_fen: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*(getattr(self, part) + getattr(other, part) for part in asdict(self)))

    def asked_as(self, date: str) -> dict[str, Any]:
        return {"date": date, **asdict(self)}


def decided(history: History) -> Iterator[tuple[Asked, Answer]]:
    """Every request that was decided, and its answer."""
    for name, found in history.looked_up.items():
        if found["original"]:
            yield history.asked[name], found["original"]


def balances(history: History) -> dict[str, tuple[int, int]]:
    """What everybody should have, (personal, wallet) fen: what was paid in, less what was taken, plus what came back."""
    expected: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for each, answer in decided(history):
        for person_id, personal_fen, wallet_fen in moved(each, answer, history):
            expected[person_id][0] += personal_fen
            expected[person_id][1] += wallet_fen
    return {person_id: (personal_fen, wallet_fen) for person_id, (personal_fen, wallet_fen) in expected.items()}


def moved(each: Asked, answer: Answer, history: History) -> Iterator[tuple[str, int, int]]:
    """Whom an answer says to have paid or got how much, in the personal account and in the wallet."""
    match each.operation, answer["outcome"]:
        case "credit", "credited":
            yield each.body["person_id"], each.body["amount_fen"], 0
        # One that was cancelled has moved nothing in the end, whichever way it had come.
        case "transfer", ("transferred" | "pending") if not history.looked_up[each.name]["cancelled"]:
            yield each.body["from_person_id"], -each.body["amount_fen"], 0
            if history.transfers.get(answer["transfer_id"]) == "accepted":
                yield each.body["to_person_id"], 0, each.body["amount_fen"]
        case "settle", ("settled" | "partial"):
            yield from _of_a_bill(each, answer, -1)
        case "refund", "refunded":
            yield from _of_a_bill(history.original_of(each), answer, 1)
        case "cancel", "cancelled" if answer["effect"] == "reversed":
            yield from _undone(history.original_of(each), answer, history)


def _undone(original: Asked, answer: Answer, history: History) -> Iterator[tuple[str, int, int]]:
    match original.operation:
        case "settle":
            yield from _of_a_bill(original, answer, 1)
        case "refund":
            yield from _of_a_bill(history.original_of(original), answer, -1)
        case "credit":
            yield original.body["person_id"], -answer["own_account_fen"], 0


def _of_a_bill(bill: Asked, answer: Answer, sign: int) -> Iterator[tuple[str, int, int]]:
    yield bill.body["person_id"], sign * answer["own_account_fen"], sign * answer["wallet_fen"]
    if answer["payer_id"]:
        yield answer["payer_id"], sign * answer["mutual_aid_fen"], 0


def days(history: History, institution_id: str) -> dict[str, Totals]:
    """An institution's books, by Shanghai date."""
    found: dict[str, Totals] = defaultdict(Totals)
    for each, answer in decided(history):
        if each.body["institution_id"] == institution_id:
            found[day_of(answer)] += of_a_day(each, answer, history)
    return dict(found)


def day_of(answer: Answer) -> str:
    """The Shanghai date of a decision."""
    return datetime.fromisoformat(answer["decided_at"]).astimezone(SHANGHAI).date().isoformat()


def of_a_day(each: Asked, answer: Answer, history: History) -> Totals:
    """What one decision adds to its institution's day."""
    match each.operation, answer["outcome"]:
        case "settle", ("settled" | "partial"):
            paid_fen = answer["own_account_fen"] + answer["wallet_fen"] + answer["mutual_aid_fen"]
            return Totals(int(paid_fen > 0), paid_fen, answer["mutual_aid_fen"], 0)
        case "refund", "refunded":
            return Totals(refunded_fen=answer["amount_fen"])
        case "cancel", "cancelled" if answer["effect"] == "reversed":
            # A refund that is taken again was not returned.
            sign = {"settle": 1, "refund": -1}.get(history.original_of(each).operation, 0)
            return Totals(refunded_fen=sign * answer["amount_fen"])
    return Totals()
