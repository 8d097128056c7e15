"""What the contract says of each request, one after the other: a book in plain dicts, and what becomes of it. Pure.

Source: contract.md. Nothing of the project is used here but the settlement rule's second writing, which uses nothing of it either.
A run is shorter than a year, so nothing ages.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from tests.nemesis.history import CLOCKS_APART_S, Answer, Asked, Bound, History
from tests.nemesis.town import POLICY, REGION
from tests.support import naive_rule

# This year's, earlier years', the wallet's, in fen.
Parts = tuple[int, int, int]
NOTHING: Parts = (0, 0, 0)
# What is known of an account (of a person) and what of it was used (of a binding); of a settlement what is left and by which binding it
# was paid; of a request whether it was decided, has moved something, is cancelled, is blocked; of a transfer the gift and whether it
# has arrived; what is coming to a person.
Book = dict[tuple[str, str], Any]
Writes = dict[tuple[str, str], Any]

POLICIES = {
    "13": {
        "scope": POLICY["scope"],
        "funds": "all",
        "keep_fen": 0,
        "shared_expense_types": ["outpatient", "pharmacy", "resident_premium"],
        "annual_limit_fen": None,
    }
}
SAID = ("own_account_fen", "wallet_fen", "mutual_aid_fen", "payer_id")


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be answered, as far as it is known, and what it writes into the book."""

    answer: Answer
    writes: Writes

    def differs_from(self, answer: Answer) -> dict[str, tuple[Any, Any]]:
        """What is said otherwise: as it should be, and as it is."""
        return {
            name: (value, answer.get(name)) for name, value in self.answer.items() if answer.get(name, value) != value
        }


def expected(each: Asked, answer: Answer, book: Book, history: History) -> Iterator[Expected]:
    """What may be answered now: more than one thing only where something was being changed over HTTP at that moment."""
    if book.get(("blocked", each.name)):
        return
    moment_s = history.moment_s(answer["decided_at"])
    decide: Callable[..., Iterator[Expected]] = {
        "settle": settled,
        "credit": credited,
        "transfer": given,
        "refund": refunded,
        "cancel": cancelled,
    }[each.operation]
    for found in decide(each, book, history, moment_s):
        yield Expected(found.answer, {**found.writes, ("decided", each.name): each})


def declined(reason: str, writes: Writes | None = None) -> Expected:
    nothing = dict.fromkeys(SAID[:3], 0) | {"payer_id": None}
    return Expected({"outcome": "declined", "reason": reason, **nothing}, writes or {})


# ---- settle ----


def settled(each: Asked, book: Book, history: History, moment_s: float) -> Iterator[Expected]:
    """By the naive rule, in every world that there may have been."""
    asked = {"use_own_account": True, "use_mutual_aid": True, "require_full": False, **each.body}
    for world in worlds(asked["person_id"], book, history, moment_s):
        yield billed(each, asked, world, book)


def billed(each: Asked, asked: dict[str, Any], world: dict[str, Any], book: Book) -> Expected:
    said = naive_rule.settle(asked, world)
    paid = said["own"] + said["wallet"] + said["mutual"]
    answer = {
        "outcome": said["outcome"],
        "reason": said["reason"],
        "own_account_fen": said["own"],
        "wallet_fen": said["wallet"],
        "mutual_aid_fen": said["mutual"],
        "cash_fen": asked["amount_fen"] - paid,
        "payer_id": said["payer"],
        "own_balance_fen": said["own_balance"],
    }
    writes: Writes = {}
    if said["paid"]:
        people = {**{each["id"]: each["id"] for each in world["payers"]}, "patient": asked["person_id"]}
        left = {people[who]: parts for who, parts in said["paid"].items()}
        writes = {
            ("account", person): minus(book.get(("account", person), NOTHING), parts) for person, parts in left.items()
        }
        writes[("left", each.name)] = left
        writes[("moved", each.name)] = left
        if said["payer"]:
            binding = next(payer["binding_id"] for payer in world["payers"] if payer["id"] == said["payer"])
            writes[("used", binding)] = book.get(("used", binding), 0) + said["mutual"]
            writes[("by", each.name)] = binding
    return Expected(answer, writes)


def worlds(
    person_id: str, book: Mapping[Any, Any], history: History, moment_s: float, until_s: float | None = None
) -> Iterator[dict[str, Any]]:
    """The family as the naive rule wants it, in every way in which it may have been at a moment, or from it until another."""
    relatives = sorted({fact[1] for fact in history.facts if fact[0] == "binding" and fact[2] == person_id})
    people = [person_id, *relatives]
    facts = [(kind, who) for who in people for kind in ("insurance", "status", "frozen")]
    facts += [("binding", payer, person_id) for payer in relatives]  # type: ignore[misc]
    for values in product(*(history.possible(moment_s, *fact, until_s=until_s) for fact in facts)):
        known: dict[Any, Any] = dict(zip(facts, values, strict=True))
        bound = [known["binding", payer, person_id] for payer in relatives]
        patient = person(person_id, known, book)
        patient["wallet"] += due_fen(person_id, book, history, moment_s)
        yield {
            "patient": patient if known["insurance", person_id] else None,
            "payers": [payer(each, known, book) for each in bound if each],
            "policies": POLICIES,
            "kinship_linked": False,
        }


def person(person_id: str, known: Mapping[Any, Any], book: Mapping[Any, Any]) -> dict[str, Any]:
    current, prior, wallet = book.get(("account", person_id), NOTHING)
    return {
        "region": REGION,
        "insurance": known["insurance", person_id],
        "status": known["status", person_id],
        "frozen": bool(known["frozen", person_id]),
        "current": current,
        "prior": prior,
        "wallet": wallet,
    }


def payer(bound: Bound, known: Mapping[Any, Any], book: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        **person(bound.payer_id, known, book),
        "id": bound.payer_id,
        "binding": bound.place,
        "binding_id": bound.binding_id,
        "bound_on": bound.place,
        "limit": bound.annual_limit_fen,
        "used": book.get(("used", bound.binding_id), 0),
        "closed": None,
    }


def due_fen(person_id: str, book: Mapping[Any, Any], history: History, moment_s: float) -> int:
    """What should have arrived by now, and has not by the ledger's order."""
    coming = ((transfer_id, book["gift", transfer_id]) for transfer_id in book.get(("coming", person_id), ()))
    return sum(
        sum(gift.parts)
        for transfer_id, gift in coming
        if gift.auto_accept or history.possible(moment_s, "accepted", transfer_id) == [True]
    )


# ---- credit, transfer ----


def credited(each: Asked, book: Book, _: History, __: float) -> Iterator[Expected]:
    holder, fen = ("account", each.body["person_id"]), each.body["amount_fen"]
    parts = (fen, 0, 0) if each.body["fund"] == "current_year" else (0, fen, 0)
    after = plus(book.get(holder, NOTHING), parts)
    answer = {"outcome": "credited", "reason": None, "current_year_fen": after[0], "prior_years_fen": after[1]}
    yield Expected(answer, {holder: after, ("moved", each.name): {each.body["person_id"]: parts}})


@dataclass(frozen=True, slots=True)
class Gift:
    """Money on its way. `name`: of the request."""

    name: str
    giver_id: str
    receiver_id: str
    parts: Parts
    auto_accept: bool


def given(each: Asked, book: Book, history: History, moment_s: float) -> Iterator[Expected]:
    giver, receiver, fen = each.body["from_person_id"], each.body["to_person_id"], each.body["amount_fen"]
    facts = [(kind, who) for who in (giver, receiver) for kind in ("insurance", "status", "frozen")]
    facts.append(("binding", giver, receiver))  # type: ignore[arg-type]
    have = book.get(("account", giver), NOTHING)
    for values in product(*(history.possible(moment_s, *fact) for fact in facts)):
        known: dict[Any, Any] = dict(zip(facts, values, strict=True))
        bound = known["binding", giver, receiver]
        if known["status", receiver] != "active":
            yield Expected({"outcome": "declined", "reason": "person_not_insured"}, {})
        elif not bound or not bound.wallet:
            yield Expected({"outcome": "declined", "reason": "not_related"}, {})
        elif known["status", giver] != "active" or known["insurance", giver] != "employee":
            yield Expected({"outcome": "declined", "reason": "payer_not_eligible"}, {})
        elif known["frozen", giver] or known["frozen", receiver]:
            yield Expected({"outcome": "declined", "reason": "payer_account_frozen"}, {})
        elif have[0] + have[1] < fen:
            yield Expected({"outcome": "declined", "reason": "balance_insufficient"}, {})
        else:
            prior = min(have[1], fen)
            gift = Gift(each.name, giver, receiver, (fen - prior, prior, 0), bound.auto_accept)
            outcome = "transferred" if bound.auto_accept else "pending"
            transfer_id = history.looked_up[each.name]["original"]["transfer_id"]
            writes = {
                ("account", giver): minus(have, gift.parts),
                ("gift", transfer_id): gift,
                ("coming", receiver): (*book.get(("coming", receiver), ()), transfer_id),
                ("moved", each.name): transfer_id,
            }
            yield Expected({"outcome": outcome, "reason": None}, writes)


def arrived(transfer_id: str, book: Book, history: History, moment_s: float) -> Writes | None:
    """What is written where a gift arrives; None where it may not."""
    gift = book.get(("gift", transfer_id))
    if gift is None or transfer_id not in book["coming", gift.receiver_id]:
        return None
    if not gift.auto_accept and True not in history.possible(moment_s, "accepted", transfer_id):
        return None
    wallet = ("account", gift.receiver_id)
    came = {wallet: plus(book.get(wallet, NOTHING), (0, 0, sum(gift.parts))), ("arrived", transfer_id): True}
    return {**came, **no_more_coming(transfer_id, gift, book)}


def no_more_coming(transfer_id: str, gift: Gift, book: Book) -> Writes:
    coming = ("coming", gift.receiver_id)
    return {coming: tuple(each for each in book[coming] if each != transfer_id)}


# ---- refund, cancel ----


def refunded(each: Asked, book: Book, history: History, moment_s: float) -> Iterator[Expected]:
    name = each.body["original_request_id"]
    original = book.get(("decided", name))
    if original is None or original.operation != "settle":
        yield declined("original_not_found")
        return
    if original.answered_s > moment_s - CLOCKS_APART_S:
        # Whoever finds nothing locks nothing, and may have looked before what stands before it was there.
        yield declined("original_not_found")
    left = book.get(("left", name), {})
    left_fen = sum(map(sum, left.values()))
    fen = each.body.get("amount_fen", left_fen)
    if left_fen == 0 or book.get(("cancelled", name)):
        yield declined("nothing_left_to_refund")
    elif fen > left_fen:
        yield declined("refund_exceeds_remaining")
    else:
        back, answer, writes = given_back(original, left, fen, book)
        yield Expected({"outcome": "refunded", "reason": None, **answer}, {**writes, ("moved", each.name): back})


def given_back(
    original: Asked, left: dict[str, Parts], fen: int, book: Book
) -> tuple[dict[str, Parts], Answer, Writes]:
    """Last in first out: mutual aid, wallet, own; within an account the part that was taken last."""
    patient, back = original.body["person_id"], dict[str, Parts]()
    answer: Answer = {**dict.fromkeys(SAID[:3], 0), "payer_id": None, "amount_fen": fen}
    for person_id in sorted(left, key=lambda each: each == patient):
        # A relative paid with earlier years' money first; the patient with this year's, then earlier years', then the wallet.
        parts = [0, 0, 0]
        for part in (2, 1, 0) if person_id == patient else (0, 1):
            parts[part] = min(left[person_id][part], fen)
            fen -= parts[part]
        if not any(parts):
            continue
        back[person_id] = tuple(parts)  # type: ignore[assignment]
        if person_id == patient:
            answer |= {"own_account_fen": parts[0] + parts[1], "wallet_fen": parts[2]}
        else:
            answer |= {"mutual_aid_fen": parts[0] + parts[1], "payer_id": person_id}
    return back, answer, moving_back(original, left, back, 1, book)


def moving_back(original: Asked, left: dict[str, Parts], back: dict[str, Parts], sign: int, book: Book) -> Writes:
    """So much of a settlement is returned, or, with the sign turned, taken again."""
    writes: Writes = {}
    turned = {who: tuple(sign * part for part in parts) for who, parts in back.items()}
    for person_id, parts in turned.items():
        writes["account", person_id] = plus(book.get(("account", person_id), NOTHING), parts)  # type: ignore[arg-type]
        if person_id != original.body["person_id"] and (binding := book.get(("by", original.name))):
            writes["used", binding] = book[("used", binding)] - sum(parts)
    writes["left", original.name] = {
        who: minus(parts, turned[who]) if who in turned else parts  # type: ignore[arg-type]
        for who, parts in left.items()
    }
    return writes


def cancelled(each: Asked, book: Book, history: History, _: float) -> Iterator[Expected]:
    name = each.body["original_request_id"]
    original, moved = book.get(("decided", name)), book.get(("moved", name))
    if original is None:
        yield no_effect("blocked", {("blocked", name): True})
    elif not moved or book.get(("cancelled", name)):
        yield no_effect("nothing_to_reverse", {("cancelled", name): True})
    else:
        found = undone(original, moved, book, history)
        over = {("cancelled", name): True} if found.answer["outcome"] == "cancelled" else {}
        yield Expected(found.answer, {**found.writes, **over})


def no_effect(effect: str, writes: Writes) -> Expected:
    nothing = dict.fromkeys((*SAID[:3], "amount_fen"), 0) | {"payer_id": None}
    return Expected({"outcome": "cancelled", "effect": effect, "reason": None, **nothing}, writes)


def undone(original: Asked, moved: Any, book: Book, history: History) -> Expected:
    """What is left of it goes back to where it came from, or nothing where it is not there any more."""
    match original.operation:
        case "settle":
            left = book[("left", original.name)]
            fen = sum(map(sum, left.values()))
            if fen == 0:
                return no_effect("nothing_to_reverse", {})
            _, answer, writes = given_back(original, left, fen, book)
            return reversed_with(answer, writes)
        case "refund":
            bill = history.original_of(original)
            if book.get(("cancelled", bill.name)):
                return no_effect("nothing_to_reverse", {})
            writes = moving_back(bill, book[("left", bill.name)], moved, -1, book)
            return taken_again(moved, bill.body["person_id"], writes)
        case "credit":
            holder = original.body["person_id"]
            after = minus(book.get(("account", holder), NOTHING), moved[holder])
            return taken_again(moved, holder, {("account", holder): after})
    return not_given(moved, book)


def taken_again(moved: dict[str, Parts], patient: str, writes: Writes) -> Expected:
    if any(min(writes["account", person_id]) < 0 for person_id in moved):
        return declined("balance_insufficient")
    own = moved.get(patient, NOTHING)
    payer_id = next((person_id for person_id in moved if person_id != patient), None)
    answer = {
        "own_account_fen": own[0] + own[1],
        "wallet_fen": own[2],
        "mutual_aid_fen": sum(moved[payer_id]) if payer_id else 0,
        "payer_id": payer_id,
    }
    return reversed_with(answer, writes)


def not_given(transfer_id: str, book: Book) -> Expected:
    """A gift on its way goes back; one that has arrived is taken from the wallet, if it is still there."""
    gift: Gift = book[("gift", transfer_id)]
    giver, receiver, fen = ("account", gift.giver_id), ("account", gift.receiver_id), sum(gift.parts)
    writes: Writes = {giver: plus(book[giver], gift.parts), **no_more_coming(transfer_id, gift, book)}
    if book.get(("arrived", transfer_id)):
        if book[receiver][2] < fen:
            return declined("balance_insufficient")
        writes[receiver] = minus(book[receiver], (0, 0, fen))
    return reversed_with({"own_account_fen": fen, "wallet_fen": 0, "mutual_aid_fen": 0, "payer_id": None}, writes)


def reversed_with(answer: Answer, writes: Writes) -> Expected:
    amount_fen = answer["own_account_fen"] + answer["wallet_fen"] + answer["mutual_aid_fen"]
    said = {**answer, "amount_fen": amount_fen}
    return Expected({"outcome": "cancelled", "effect": "reversed", "reason": None, **said}, writes)


def plus(one: Parts, other: Parts) -> Parts:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def minus(one: Parts, other: Parts) -> Parts:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]
