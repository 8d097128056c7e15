"""Those outside who send messages: tills that ask for everything one can ask for."""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from shared.rabbit.client import Client, NoAnswer, NotRouted, client
from shared.rabbit.connection import BrokerError
from shared.rabbit.publisher import PublishFailed
from tests.nemesis.books import Totals, days
from tests.nemesis.checker import conserved
from tests.nemesis.history import INQUIRIES, Answer, Asked, Heard, History
from tests.nemesis.town import AGENCY, FAMILIES, HOSPITAL, PAUSE_S, REGION, people

Thing = TypeVar("Thing")

TILLS = 8
NOT_ANSWERED = (NoAnswer, NotRouted, PublishFailed, *BrokerError)
ASK_TIMEOUT_S = 6.0
GIFTS_ARRIVE_WITHIN_S = 20.0


@dataclass(slots=True)
class Till:
    """Sends over a connection of its own, and makes another where that breaks."""

    amqp_url: str
    history: History
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _client: Client | None = None

    async def ask(self, asked: Asked) -> Answer | None:
        """The answer, or None where none came; then nobody outside knows what became of it."""
        sent_s = time.monotonic()
        try:
            if self._client is None:
                self._client = await self._stack.enter_async_context(client(self.amqp_url, name="nemesis"))
            answer = await self._client.ask(asked.operation, REGION, orjson.dumps(asked.body), timeout_s=ASK_TIMEOUT_S)
        except NOT_ANSWERED:
            await self.hang_up()
            await asyncio.sleep(PAUSE_S)
            return None
        asked.heard.append(Heard(sent_s, time.monotonic(), answer))
        return answer

    async def hang_up(self) -> None:
        self._client = None
        with suppress(*NOT_ANSWERED):
            await self._stack.aclose()
        self._stack = AsyncExitStack()

    def new(self, operation: str, **fields: Any) -> Asked:
        sender = AGENCY if operation in ("credit", "transfer") else HOSPITAL
        asked = Asked(operation, {**envelope(sender), **fields})
        self.history.asked[asked.name] = asked
        return asked


def envelope(institution_id: str) -> dict[str, Any]:
    return {
        "request_id": secrets.token_hex(8),
        "institution_id": institution_id,
        "insured_region": REGION,
        "occurred_at": datetime.now(UTC).isoformat(),
    }


async def till(amqp_url: str, history: History, chance: random.Random, enough: asyncio.Event) -> None:
    """Asks for one thing after the other, drawn at random."""
    mine = Till(amqp_url, history)
    while not enough.is_set():
        asked = _draw(mine, history, chance)
        await mine.ask(asked)
        if chance.random() < 0.1:
            # Whoever did not hear, or is not sure, asks again under the same name.
            await mine.ask(asked)
    await mine.hang_up()


def _draw(mine: Till, history: History, chance: random.Random) -> Asked:
    mother, father, son, child = people(chance.randrange(FAMILIES))
    patient, amount_fen = chance.choice((son, child, child)), chance.randint(1, 3_000)
    kind = chance.choices(
        ("settle", "refund", "cancel", "cancel unknown", "lookup", "quote", "credit", "transfer", "reconcile"),
        (50, 12, 12, 2, 5, 5, 12, 9, 1),
    )[0]
    if original := _earlier(kind, history, chance):
        amount = {"amount_fen": chance.randint(1, 500)} if kind == "refund" and chance.random() < 0.7 else {}
        sender = original.body["institution_id"]
        return mine.new(kind, original_request_id=original.name, institution_id=sender, **amount)
    match kind:
        case "cancel unknown":
            # It comes before what it cancels, which may come later or never.
            late = mine.new("settle", **_bill(patient, amount_fen))
            return mine.new("cancel", original_request_id=late.name)
        case "credit":
            fund, holder = chance.choice(("current_year", "prior_years")), chance.choice((mother, father, son))
            return mine.new("credit", person_id=holder, fund=fund, amount_fen=chance.randint(1, 5_000))
        case "transfer":
            gift = {"from_person_id": mother, "to_person_id": chance.choice((son, child)), "amount_fen": amount_fen}
            return mine.new("transfer", to_insured_region=REGION, **gift)
        case "reconcile":
            return mine.new("reconcile", **Totals().asked_as(chance.choice(("2026-01-01", "2025-12-31"))))
        case "quote":
            return mine.new("quote", **_bill(patient, amount_fen))
    return mine.new("settle", **_bill(patient, amount_fen))


def _earlier(kind: str, history: History, chance: random.Random) -> Asked | None:
    """What this may speak of: of the last things that were asked, answered or not; None, if there is none."""
    can_be_undone = ("settle", "settle", "refund", "credit", "transfer")
    of = {"refund": ("settle",), "lookup": ("settle", "transfer"), "cancel": can_be_undone}.get(kind)
    return None if of is None else _drawn(history.decided(chance.choice(of))[-60:], chance)


def _drawn(found: Sequence[Asked], chance: random.Random) -> Asked | None:
    return chance.choice(found) if found else None


def _bill(person_id: str, amount_fen: int, **more: Any) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "credential": {"type": "01", "person_id": person_id},
        "expense_type": "outpatient",
        "amount_fen": amount_fen,
        "care_region": REGION,
        **more,
    }


# ---- once the faults are over ----


async def converge(amqp_url: str, history: History) -> None:
    """Asks everything that was not answered again, until it is."""
    await _on_tills(amqp_url, history, [each for each in history.asked.values() if not each.heard], _answered)


async def look_again(amqp_url: str, history: History) -> None:
    """Looks everything up."""

    async def look_up(mine: Till, asked: Asked) -> None:
        lookup = Asked("lookup", {**envelope(asked.body["institution_id"]), "original_request_id": asked.name})
        history.looked_up[asked.name] = await _answered(mine, lookup)

    kept = [each for each in history.asked.values() if each.operation not in INQUIRIES]
    await _on_tills(amqp_url, history, kept, look_up)


async def reconcile(amqp_url: str, history: History) -> None:
    """The hospital sends its books of every day."""

    async def send(mine: Till, day: tuple[str, Totals]) -> None:
        date, totals = day
        history.reconciled[date] = await _answered(
            mine, Asked("reconcile", {**envelope(HOSPITAL), **totals.asked_as(date)})
        )

    await _on_tills(amqp_url, history, list(days(history, HOSPITAL).items()), send)


async def ask_for_balances(amqp_url: str, history: History) -> None:
    """Asks for everybody's balance, and again while gifts are still arriving."""

    async def ask(mine: Till, person_id: str) -> None:
        bill = _bill(person_id, 10**11, use_mutual_aid=False)
        said = await _answered(mine, Asked("quote", {**envelope(HOSPITAL), **bill}))
        history.balances[person_id] = said["own_account_fen"], said["wallet_fen"]

    everybody = [person_id for family in range(FAMILIES) for person_id in people(family)]
    until_s = time.monotonic() + GIFTS_ARRIVE_WITHIN_S
    while True:
        await _on_tills(amqp_url, history, everybody, ask)
        if time.monotonic() > until_s or not any(conserved(history)):
            return
        await asyncio.sleep(PAUSE_S)


async def _on_tills(
    amqp_url: str, history: History, things: Sequence[Thing], do: Callable[[Till, Thing], Awaitable[Any]]
) -> None:
    """Each of these once, on several tills at a time."""
    waiting = iter(things)

    async def work() -> None:
        mine = Till(amqp_url, history)
        for thing in waiting:
            await do(mine, thing)
        await mine.hang_up()

    await asyncio.gather(*(work() for _ in range(TILLS)))


async def _answered(mine: Till, asked: Asked) -> Answer:
    while (answer := await mine.ask(asked)) is None:
        pass
    return answer
