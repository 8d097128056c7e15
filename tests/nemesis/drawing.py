"""What those outside ask for, drawn at random."""

import random
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.nemesis.books import Totals
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
            late = _new(history, "settle", **bill(patient, amount_fen))
            return _new(history, "cancel", original_request_id=late.name)
        case "credit":
            fund, holder = chance.choice(("current_year", "prior_years")), chance.choice((mother, father, son))
            return _new(history, "credit", person_id=holder, fund=fund, amount_fen=chance.randint(1, 5_000))
        case "transfer":
            gift = {"from_person_id": mother, "to_person_id": chance.choice((son, child)), "amount_fen": amount_fen}
            return _new(history, "transfer", to_insured_region=REGION, **gift)
        case "reconcile":
            return _new(history, "reconcile", **Totals().asked_as(chance.choice(("2026-01-01", "2025-12-31"))))
        case "quote":
            return _new(history, "quote", **bill(patient, amount_fen))
    return _new(history, "settle", **bill(patient, amount_fen))


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


def bill(person_id: str, amount_fen: int, **more: Any) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "credential": {"type": "01", "person_id": person_id},
        "expense_type": "outpatient",
        "amount_fen": amount_fen,
        "care_region": REGION,
        **more,
    }
