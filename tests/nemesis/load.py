"""Those outside: tills that ask for everything one can ask for, and a clerk who ends bindings and makes them again."""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import orjson

from shared.domain.roles import Role
from shared.rabbit.client import Client, NoAnswer, NotRouted, client
from shared.rabbit.connection import BrokerError
from shared.rabbit.publisher import PublishFailed
from shared.runtime.tokens import sign_token
from tests.nemesis.history import INQUIRIES, Answer, Asked, Heard, History, Period

Thing = TypeVar("Thing")

TILLS = 8
HOSPITAL, AGENCY, REGION = "H1", "A1", "130100"
FAMILIES = 10
NOT_ANSWERED = (NoAnswer, NotRouted, PublishFailed, *BrokerError)
ASK_TIMEOUT_S = 6.0
PAUSE_S = 0.2
POLICY = {
    "effective_from": "2020-01-01",
    "scope": "province",
    "unbind_after_days": 0,
    "wallet": {"per_day": 100_000, "closed_from": "00:00", "closed_until": "00:00"},
}


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
        asked = Asked(operation, {**envelope(AGENCY if operation in ("credit", "transfer") else HOSPITAL), **fields})
        self.history.asked[asked.name] = asked
        return asked


def envelope(institution_id: str) -> dict[str, Any]:
    return {
        "request_id": secrets.token_hex(8),
        "institution_id": institution_id,
        "insured_region": REGION,
        "occurred_at": datetime.now(UTC).isoformat(),
    }


def people(family: int) -> tuple[str, str, str, str]:
    """A mother and a father who pay, a son with an account of his own, a child without."""
    return tuple(f"F{family}-{who}" for who in ("MOTHER", "FATHER", "SON", "CHILD"))  # type: ignore[return-value]


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
    bills = history.decided("settle")[-60:]
    kind = chance.choices(
        ("settle", "refund", "cancel", "cancel unknown", "lookup", "quote", "credit", "transfer"),
        (50, 12, 7, 2, 5, 5, 12, 7),
    )[0]
    if kind in ("refund", "cancel", "lookup") and bills:
        amount = {"amount_fen": chance.randint(1, 500)} if kind == "refund" and chance.random() < 0.7 else {}
        return mine.new(kind, original_request_id=chance.choice(bills).name, **amount)
    if kind == "cancel unknown":
        # It comes before what it cancels, which may come later or never.
        late = mine.new("settle", **_bill(patient, amount_fen))
        return mine.new("cancel", original_request_id=late.name)
    if kind == "credit":
        fund = chance.choice(("current_year", "prior_years"))
        return mine.new(
            "credit", person_id=chance.choice((mother, father, son)), fund=fund, amount_fen=chance.randint(1, 5_000)
        )
    if kind == "transfer":
        return mine.new(
            "transfer", from_person_id=mother, to_person_id=child, to_insured_region=REGION, amount_fen=amount_fen
        )
    return mine.new("quote" if kind == "quote" else "settle", **_bill(patient, amount_fen))


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
    """Looks everything up, and asks for everybody's balance."""

    async def look_up(mine: Till, asked: Asked) -> None:
        lookup = Asked("lookup", {**envelope(asked.body["institution_id"]), "original_request_id": asked.name})
        history.looked_up[asked.name] = await _answered(mine, lookup)

    async def ask_for_balance(mine: Till, person_id: str) -> None:
        bill = _bill(person_id, 10**11, use_mutual_aid=False)
        said = await _answered(mine, Asked("quote", {**envelope(HOSPITAL), **bill}))
        history.balances[person_id] = said["own_account_fen"], said["wallet_fen"]

    kept = [each for each in history.asked.values() if each.operation not in INQUIRIES]
    await _on_tills(amqp_url, history, kept, look_up)
    everybody = [person_id for family in range(FAMILIES) for person_id in people(family)]
    await _on_tills(amqp_url, history, everybody, ask_for_balance)


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


# ---- over HTTP ----


@dataclass(slots=True)
class Clerk:
    """Speaks to the binding service; a call that is not answered is made again under the same Idempotency-Key."""

    http: httpx.AsyncClient
    private_key: bytes
    history: History

    async def call(self, role: Role, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {sign_token(self.private_key, role, life_s=3_600)}"}
        if method == "POST":
            headers["Idempotency-Key"] = secrets.token_hex(16)
        while True:
            try:
                response = await self.http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_S)
                continue
            if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                await asyncio.sleep(PAUSE_S)
                continue
            return response

    async def prepare(self) -> dict[tuple[str, str], str]:
        """Institutions, people and bindings; the bindings by payer and beneficiary."""
        await self.call(Role.OPERATOR, "PUT", "/v1/regions/13/policy", POLICY)
        for institution_id, kind in ((HOSPITAL, "hospital"), (AGENCY, "agency")):
            said = {"name": institution_id, "kind": kind, "region_code": REGION}
            (await self.call(Role.OPERATOR, "PUT", f"/v1/institutions/{institution_id}", said)).raise_for_status()
        bound: dict[tuple[str, str], str] = {}
        for family in range(FAMILIES):
            mother, father, son, child = people(family)
            for number, person_id in enumerate((mother, father, son, child)):
                id_number = f"1301021990{family:04d}{number:04d}"
                self.history.personal += (id_number,)
                said = {
                    "name": "诸葛孔明",
                    "id_number": id_number,
                    "region_code": REGION,
                    "insurance": "resident" if person_id == child else "employee",
                }
                (await self.call(Role.FEED, "PUT", f"/v1/persons/{person_id}", said)).raise_for_status()
            bound[mother, child] = await self.bind(mother, child, wallet=True, auto_accept=True)
            bound[father, child] = await self.bind(father, child)
            bound[mother, son] = await self.bind(mother, son)
        return bound

    async def bind(self, payer_id: str, beneficiary_id: str, **more: Any) -> str:
        said = {"payer_id": payer_id, "beneficiary_id": beneficiary_id, "relation": "son", **more}
        response = await self.call(Role.CLERK, "POST", "/v1/bindings", said)
        response.raise_for_status()
        binding_id: str = response.json()["binding_id"]
        return binding_id

    async def work(self, bound: dict[tuple[str, str], str], chance: random.Random, enough: asyncio.Event) -> None:
        """Ends fathers' bindings and makes them again; while one is ended for certain, its payer must not pay."""
        while not enough.is_set():
            _, father, _, child = people(chance.randrange(FAMILIES))
            binding_id = bound[father, child]
            (await self.call(Role.CLERK, "POST", f"/v1/bindings/{binding_id}/end", {})).raise_for_status()
            from_s = time.monotonic()
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            self.history.unbound.append(Period(father, child, from_s, time.monotonic()))
            bound[father, child] = await self.bind(father, child)
