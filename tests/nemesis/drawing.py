"""What those outside ask for, drawn at random."""

import random
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.nemesis.books import SHANGHAI, Totals
from tests.nemesis.history import Asked, History
from tests.nemesis.town import AGENCY, FAMILIES, HOSPITAL, REGION, people


def drawn(history: History, chance: random.Random) -> Asked:
    """One request of any kind, that may speak of an earlier one."""
    mother, father, son, child = people(chance.randrange(FAMILIES))
    patient, amount_fen = chance.choice((son, child, child)), chance.randint(1, 3_000)
    kind = chance.choices(
        ("settle", "refund", "cancel", "cancel unknown", "lookup", "quote", "credit", "transfer", "reconcile"),
        (50, 12, 12, 2, 5, 5, 12, 9, 1),
    )[0]
    if original := _earlier(kind, history, chance):
        amount = {"amount_fen": chance.randint(1, 500)} if kind == "refund" and chance.random() < 0.7 else {}
        sender = original.body["institution_id"]
        return _new(history, kind, original_request_id=original.name, institution_id=sender, **amount)
    match kind:
        case "cancel unknown":
            # It comes before what it cancels, which may come later or never.
            late = _new(history, "settle", **drawn_bill(patient, amount_fen, chance))
            return _new(history, "cancel", original_request_id=late.name)
        case "credit":
            fund, holder = chance.choice(("current_year", "prior_years")), chance.choice((mother, father, son))
            return _new(history, "credit", person_id=holder, fund=fund, amount_fen=chance.randint(1, 5_000))
        case "transfer":
            gift = {"from_person_id": mother, "to_person_id": chance.choice((son, child)), "amount_fen": amount_fen}
            return _new(history, "transfer", to_insured_region=REGION, **gift)
        case "reconcile":
            today = datetime.now(SHANGHAI).date().isoformat()
            return _new(history, "reconcile", **Totals().asked_as(chance.choice((today, today, "2026-01-01"))))
        case "quote":
            return _new(history, "quote", **drawn_bill(patient, amount_fen, chance))
    return _new(history, "settle", **drawn_bill(patient, amount_fen, chance))


def drawn_many(history: History, chance: random.Random, many: int) -> list[Asked]:
    return [drawn(history, chance) for _ in range(many)]


def bulk(history: History, chance: random.Random, many: int) -> Asked:
    """A message of so many settlements."""
    bills = []
    for _ in range(many):
        _, _, son, child = people(chance.randrange(FAMILIES))
        bills.append(
            _new(history, "settle", **drawn_bill(chance.choice((son, child)), chance.randint(1, 3_000), chance))
        )
    return _new(history, "settle_bulk", settlements=[each.body for each in bills])


def carried_by(message: Asked, history: History) -> list[Asked]:
    """The settlements in a bulk message."""
    return [history.asked[each["request_id"]] for each in message.body.get("settlements", ())]


def first_credits(history: History, chance: random.Random) -> list[Asked]:
    """Something for everybody who has a personal account."""
    return [
        _new(history, "credit", person_id=person_id, fund="current_year", amount_fen=chance.randint(1, 5_000))
        for family in range(FAMILIES)
        for person_id in people(family)[:3]
    ]


def _new(history: History, operation: str, **fields: Any) -> Asked:
    sender = AGENCY if operation in ("credit", "transfer") else HOSPITAL
    return history.ask(operation, {**envelope(sender), **fields})


def _earlier(kind: str, history: History, chance: random.Random) -> Asked | None:
    """What this may speak of: of the last things that were asked, answered or not; None, if there is none."""
    can_be_undone = ("settle", "settle", "refund", "credit", "transfer")
    of = {"refund": ("settle",), "lookup": ("settle", "transfer"), "cancel": can_be_undone}.get(kind)
    return None if of is None else _one_of(history.decided(chance.choice(of))[-60:], chance)


def _one_of(found: Sequence[Asked], chance: random.Random) -> Asked | None:
    return chance.choice(found) if found else None


def envelope(institution_id: str) -> dict[str, Any]:
    return {
        "request_id": secrets.token_hex(8),
        "institution_id": institution_id,
        "insured_region": REGION,
        "occurred_at": datetime.now(UTC).isoformat(),
    }


def drawn_bill(person_id: str, amount_fen: int, chance: random.Random) -> dict[str, Any]:
    """Most are as plain as a bill can be."""
    odd: dict[str, Any] = chance.choices(
        (
            {},
            {"require_full": True},
            {"use_mutual_aid": False},
            {"use_own_account": False},
            {"expense_type": "fitness"},
            {"expense_type": "inpatient"},
            {"credential": {"type": "01", "person_id": "SOMEBODY-ELSE"}},
        ),
        (75, 9, 5, 5, 2, 2, 2),
    )[0]
    return bill(person_id, amount_fen, **odd)


def bill(person_id: str, amount_fen: int, **more: Any) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "credential": {"type": "01", "person_id": person_id},
        "expense_type": "outpatient",
        "amount_fen": amount_fen,
        "care_region": REGION,
        **more,
    }
