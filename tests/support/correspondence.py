"""A sender that keeps what it asked and every copy of what it was told, and knows what must have come of it.

It stands outside the service: its model knows the requests, the money there was, and the contract.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from cli.audit import prove
from shared.rabbit.access import QUEUE_ARGUMENTS
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import BrokerError, Brokers, close, connect, hosts, open_channel
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing, PublishFailed
from shared.rabbit.topology import DEAD, REQUESTS, RESULTS
from tests.support.world import Answer, World, bill, until

ITS_OWN = "its own"
# Between two tries.
PAUSE_S = 0.2


@dataclass
class Correspondence:
    """Settlements for one patient, answered to a queue like those made for institutions, which takes the results as well."""

    world: World
    brokers: Brokers
    publisher: LastingPublisher
    reply_to: str
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: dict[str, list[Answer]] = field(default_factory=dict)
    before: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def of(cls, world: World) -> AsyncIterator["Correspondence"]:
        brokers = Brokers(hosts(world.amqp_url))
        publisher = LastingPublisher(brokers, name="tests sending")
        reply_to = f"replies-{secrets.token_hex(4)}"
        connection = await brokers.connect(name="tests")
        channel = await open_channel(connection, confirms=False)
        await channel.queue_declare(reply_to, durable=True, arguments=QUEUE_ARGUMENTS)
        await channel.queue_bind(reply_to, RESULTS, routing_key="settle.#")
        await close(connection)
        yield cls(world, brokers, publisher, reply_to, before=await world.balances())
        await publisher.close()

    async def send(self, bodies: Sequence[dict[str, Any]], *, reply_to: str | None = ITS_OWN) -> None:
        """Settlements, whose answers are waited for from now on."""
        await self.publish([self.message(body, reply_to=reply_to) for body in bodies])

    def message(self, body: dict[str, Any], *, reply_to: str | None = ITS_OWN) -> Outgoing:
        """One settlement as it is sent; its answer is waited for from now on."""
        self.asked[body["request_id"]] = body
        return Outgoing(
            REQUESTS,
            f"settle.{body['insured_region']}",
            orjson.dumps(body),
            type="settle",
            correlation_id=body["request_id"],
            reply_to=self.reply_to if reply_to == ITS_OWN else reply_to,
        )

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """As a sender does: until the broker has confirmed every one, in this order."""
        left = list(messages)
        while left:
            try:
                receipts = await self.publisher.publish(left)
            except PublishFailed:
                await asyncio.sleep(PAUSE_S)
                continue
            left = [each for each, receipt in zip(left, receipts, strict=True) if receipt is not Receipt.CONFIRMED]
            if left:
                # A channel of RabbitMQ 3.10 that was refused for want of a leader is refused for ever.
                await self.publisher.close()

    async def collect(self) -> None:
        """Takes whatever answers have come."""
        connection = await self.brokers.connect(name="tests collecting")
        try:
            channel = await open_channel(connection, confirms=False)
            while (message := await channel.basic_get(self.reply_to)).delivery_tag is not None:
                answer = orjson.loads(message.body)
                self.told.setdefault(answer["request_id"], []).append(answer)
                await channel.basic_ack(message.delivery_tag)
        finally:
            await close(connection)

    async def is_complete(self, answers: int = 0) -> bool:
        """Whether every request has been answered, and so many answers have come in all; not while the broker is away."""
        try:
            await self.collect()
        except BrokerError:
            return False
        return self.told.keys() >= self.asked.keys() and sum(map(len, self.told.values())) >= answers

    async def converge(self, *, answers: int = 0, timeout_s: float = 60.0) -> None:
        """Once the faults are over: waits until every request is answered, then holds everything against each other."""
        await until(partial(self.is_complete, answers), timeout_s=timeout_s)
        self._answers_say_one_thing()
        await self._money_is_where_the_answers_say()
        found = await prove(self.world.database_url)
        assert found["holds"], {name: rows for name, rows in found["broken"].items() if rows}
        assert await waiting(self.world, DEAD) == 0

    def replayed(self) -> list[str]:
        """The requests that were answered from a stored decision at last."""
        return [request_id for request_id, copies in self.told.items() if copies[-1]["replayed"]]

    def _answers_say_one_thing(self) -> None:
        """Every copy of an answer is the same but for `replayed`, and says what the contract wants of such a bill."""
        for request_id, body in self.asked.items():
            first, *others = [{**copy, "replayed": None} for copy in self.told[request_id]]
            assert all(copy == first for copy in others), (first, others)
            paid = first["outcome"], first["payer_id"] in self.before, first["mutual_aid_fen"], first["cash_fen"]
            assert paid == ("settled", True, body["amount_fen"], 0), first

    async def _money_is_where_the_answers_say(self) -> None:
        """One decision a request; each payer has what it had, less what the answers say that it paid."""
        decided = "SELECT count(*) FROM ledger.decisions WHERE operation = 'settle' AND request_id = ANY($1)"
        assert await self.world.db.fetchval(decided, list(self.asked)) == len(self.asked)
        left = {payer: sum(funds) for payer, funds in self.before.items()}
        for request_id, body in self.asked.items():
            left[self.told[request_id][0]["payer_id"]] -= body["amount_fen"]
        now = {person: sum(funds) for person, funds in (await self.world.balances()).items()}
        assert {payer: now[payer] for payer in left} == left


async def dead_letters(world: World, at_least: int = 0) -> list[Any]:
    """Takes every dead letter out of its queue, once so many have come."""
    await until(partial(_has_come, world, DEAD, at_least))
    return await taken(world, DEAD)


async def taken(world: World, queue: str) -> list[Any]:
    """Takes everything out of a queue."""
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=False)
    found = []
    while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
        found.append(message)
    await close(connection)
    return found


async def _has_come(world: World, queue: str, at_least: int) -> bool:
    return await waiting(world, queue) >= at_least


async def waiting(world: World, queue: str) -> int:
    """Messages in a queue that nobody holds."""
    connection = await connect(hosts(world.amqp_url), name="tests")
    declared = await (await open_channel(connection, confirms=False)).queue_declare(queue=queue, passive=True)
    await close(connection)
    return declared.message_count or 0


def bills(requests: int) -> list[dict[str, Any]]:
    """Small ones for CHILD, not all of one amount."""
    return [bill(amount_fen=1 + number % 7) for number in range(requests)]
