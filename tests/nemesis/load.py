"""Those outside who ask and wait: tills that ask for everything one can ask for."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from shared.rabbit.client import Client, NoAnswer, NotRouted, NotTaken, client
from shared.rabbit.connection import BrokerError
from shared.rabbit.publisher import PublishFailed
from tests.nemesis.books import Totals, days
from tests.nemesis.checker import conserved
from tests.nemesis.drawing import bill, drawn, envelope, first_credits
from tests.nemesis.history import NOT_KEPT, Answer, Asked, History
from tests.nemesis.town import FAMILIES, HOSPITAL, PAUSE_S, REGION, people

Thing = TypeVar("Thing")

TILLS = 8
NOT_ANSWERED = (NoAnswer, NotRouted, NotTaken, PublishFailed, *BrokerError)
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
        self.history.hear(asked, sent_s, answer)
        return answer

    async def hang_up(self) -> None:
        self._client = None
        with suppress(*NOT_ANSWERED):
            await self._stack.aclose()
        self._stack = AsyncExitStack()


async def till(amqp_url: str, history: History, chance: random.Random, enough: asyncio.Event) -> None:
    """Asks for one thing after the other, drawn at random."""
    mine = Till(amqp_url, history)
    while not enough.is_set():
        asked = drawn(history, chance)
        await mine.ask(asked)
        if chance.random() < 0.1:
            # Whoever did not hear, or is not sure, asks again under the same name.
            await mine.ask(asked)
    await mine.hang_up()


async def open_accounts(amqp_url: str, history: History, chance: random.Random) -> None:
    """Everybody who will pay has an account before anybody asks: one that is not there yet cannot be locked."""
    await _on_tills(amqp_url, history, first_credits(history, chance), _answered)


# ---- once the faults are over ----


async def converge(amqp_url: str, history: History) -> None:
    """Asks everything that was not answered again, until it is."""
    await _on_tills(amqp_url, history, [each for each in history.asked.values() if not each.heard], _answered)


async def look_again(amqp_url: str, history: History) -> None:
    """Looks everything up."""

    async def look_up(mine: Till, asked: Asked) -> None:
        lookup = Asked("lookup", {**envelope(asked.body["institution_id"]), "original_request_id": asked.name})
        history.looked_up[asked.name] = await _answered(mine, lookup)

    kept = [each for each in history.asked.values() if each.operation not in NOT_KEPT]
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
        quoted = bill(person_id, 10**11, use_mutual_aid=False)
        said = await _answered(mine, Asked("quote", {**envelope(HOSPITAL), **quoted}))
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
