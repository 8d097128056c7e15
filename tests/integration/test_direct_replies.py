"""Answers over direct reply-to, beside addresses that somebody has made up, at a real broker."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import orjson
import pytest
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from deploy.devstack.state import StackState
from shared.domain.enrolment import InstitutionKind
from shared.rabbit.access import Access
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import Brokers, Connection, close, connect, open_channel
from shared.rabbit.direct import DIRECT_REPLY, Nodes, node_of
from shared.rabbit.management import Management, vhost_of
from shared.rabbit.publisher import Outgoing
from shared.rabbit.replies import Replies
from shared.rabbit.topology import REQUESTS, SETTLEMENT
from tests.support.correspondence import waiting
from tests.support.direct import address
from tests.support.processes import LANES
from tests.support.world import World, bill, until

MANY = 100
REPLYING = "gongji-settlement replying"


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each kind of connection is made."""
    made: Counter[str] = Counter()
    real = Brokers.connect

    async def counted(self: Brokers, *, name: str) -> Connection:
        made[name] += 1
        return await real(self, name=name)

    monkeypatch.setattr(Brokers, "connect", counted)
    return made


@pytest.fixture
async def channel(amqp_url: str) -> AsyncIterator[Channel]:
    connection = await connect([amqp_url], name="tests")
    yield await open_channel(connection, confirms=False)
    await close(connection)


async def waiter(channel: Channel) -> tuple[str, list[bytes]]:
    """An address that the broker makes for this channel, and what comes there."""
    came: list[bytes] = []

    async def on_answer(message: DeliveredMessage) -> None:
        came.append(message.body)

    await channel.basic_consume(DIRECT_REPLY, on_answer, no_ack=True)
    await channel.queue_declare("asked", exclusive=True)
    await channel.basic_publish(b"", routing_key="asked", properties=Basic.Properties(reply_to=DIRECT_REPLY))
    found: list[str] = []

    async def there() -> bool:
        asked = await channel.basic_get("asked", no_ack=True)
        if asked.header.properties.reply_to:
            found.append(asked.header.properties.reply_to)
        return bool(found)

    await until(there)
    return found[0], came


async def test_an_address_is_what_this_broker_makes(channel: Channel) -> None:
    """Nothing else is believed: were it another, nobody would be answered directly."""
    made, _ = await waiter(channel)

    assert node_of(made)


async def test_what_is_made_up_costs_a_connection_and_nobodys_answer(
    amqp_url: str, channel: Channel, connections: Counter[str]
) -> None:
    """A hundred nodes that are none, of one user, between answers that reach somebody: one breaks the channel, the others are not tried."""
    real, came = await waiter(channel)
    good = [Outgoing("", real, b"%d" % number, on_behalf_of="clinic") for number in range(MANY)]
    bad = [Outgoing("", address(f"reply@{number}"), b"", on_behalf_of="villain") for number in range(MANY)]
    mixed = [each for pair in zip(bad, good, strict=True) for each in pair]
    replies = Replies(Brokers([amqp_url]), Nodes(), name=REPLYING)

    receipts = [*await replies.publish(mixed), *await replies.publish(mixed)]
    await until(lambda: len(came) >= 2 * MANY)
    await replies.close()

    assert receipts == [Receipt.BROKEN, Receipt.CONFIRMED] * (2 * MANY)
    assert Counter(came) == {b"%d" % number: 2 for number in range(MANY)}
    assert connections[REPLYING] == 2


async def test_a_broker_that_has_left_is_found_among_those_that_have_not(amqp_url: str, channel: Channel) -> None:
    """It was reached before. What is for the others is published again, and may come twice."""
    real, came = await waiter(channel)
    nodes, gone = Nodes(), "reply@7"
    for node in (gone, node_of(real)):
        assert node
        nodes.reached(node)
    replies = Replies(Brokers([amqp_url]), nodes, name=REPLYING)
    await channel.queue_declare("reply.clinic.answers")

    receipts = await replies.publish(
        [
            Outgoing("", to, b"answer", on_behalf_of="clinic")
            for to in (real, address(gone), "reply.clinic.answers", real)
        ]
    )
    await until(lambda: len(came) >= 2)
    await replies.close()

    assert receipts == [Receipt.CONFIRMED, Receipt.BROKEN, Receipt.CONFIRMED, Receipt.CONFIRMED]
    assert not nodes.is_reached(gone)


async def test_a_hundred_that_are_made_up_among_a_hundred_that_are_not(
    world: World, servers: StackState, connections: Counter[str]
) -> None:
    """All waiting when the worker comes: a hospital that makes up addresses reads its answers among its results, the others have
    theirs once, and the worker connects no more often than that.
    """
    assert servers.urls.rabbitmq_management
    await world.person("CHILD", insurance="resident")
    async with AsyncExitStack() as stack:
        management = stack.enter_context(Management(servers.urls.rabbitmq_management, vhost_of(world.amqp_url)))
        people = {}
        for institution_id in ("H1", "H2"):
            access = Access(f"{institution_id}-{vhost_of(world.amqp_url)}", institution_id, InstitutionKind.HOSPITAL)
            management.put_user(access.user, "password")
            stack.callback(management.shut_out, access.user)
            management.grant(access)
            await world.institution(institution_id, amqp_user=access.user)
            parts = world.amqp_url.partition("@")
            connection = await connect([f"amqp://{access.user}:password@{parts[2]}"], name="tests")
            stack.push_async_callback(close, connection)
            people[institution_id] = access, await open_channel(connection, confirms=True)
        (villain, his), (clinic, its) = people["H1"], people["H2"]
        came: list[Any] = []

        async def on_answer(message: DeliveredMessage) -> None:
            came.append(orjson.loads(message.body)["request_id"])

        await its.basic_consume(DIRECT_REPLY, on_answer, no_ack=True)
        asked = [f"good-{number}" for number in range(MANY)]
        for number, request_id in enumerate(asked):
            await publish(his, villain, bill(request_id=f"bad-{number}"), address(f"reply@{number}"))
            await publish(its, clinic, bill(institution_id="H2", request_id=request_id), DIRECT_REPLY)
        await until(partial(_has, world, SETTLEMENT, 2 * MANY))

        world.start_worker(authenticate_senders=True)
        await until(partial(_has, world, villain.results_queue, MANY))
        await until(lambda: len(came) >= MANY)
        await world.stop_workers()

        assert Counter(came) == Counter(asked)
        assert await waiting(world, villain.results_queue) == MANY
        assert await waiting(world, clinic.results_queue) == 0
        assert connections[REPLYING] <= 2 * LANES


async def publish(channel: Channel, access: Access, body: dict[str, Any], reply_to: str) -> None:
    properties = Basic.Properties(message_type="settle", user_id=access.user, reply_to=reply_to, delivery_mode=2)
    await channel.basic_publish(
        orjson.dumps(body), exchange=REQUESTS, routing_key="settle.130100", properties=properties
    )


async def _has(world: World, queue: str, messages: int) -> bool:
    return await waiting(world, queue) >= messages
