"""Bad messages: refused or put aside alone, their neighbours unharmed, nothing personal leaked."""

import asyncio
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from shared.messages.catalogue import BEGINNING_BYTES
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import DELIVERY_LIMIT, REQUESTS, RESULTS, SETTLEMENT
from tests.support.correspondence import dead_letters
from tests.support.direct import address
from tests.support.world import World, bill, until

MINE = "reply.results.of-h1"
UNREADABLE = {
    "not json": b"{",
    "empty": b"",
    "not utf-8": b'{"request_id":"\xff"}',
    "utf-16": '{"request_id":"r"}'.encode("utf-16"),
    "nested a thousand deep": b"[" * 1_000,
    "no institution": b'{"request_id":"r1"}',
    "no request id": b'{"institution_id":"H1"}',
    "ten mebibytes": b" " * (10 * 1024 * 1024),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_put_aside_and_answered(world: World, body: bytes) -> None:
    """It alone goes to the dead letters, of what is too long its beginning; a request behind it is settled."""
    world.start_worker()
    await world.family("MOTHER")

    answer, neighbour = await asyncio.gather(world.till.ask("settle", "130100", body), world.settle())

    assert (answer["outcome"], answer["reason"], answer["request_id"]) == ("rejected", "malformed", None)
    assert neighbour["outcome"] == "settled"
    kept = body if len(body) <= 64 * 1024 else body[:BEGINNING_BYTES]
    assert [letter.body for letter in await dead_letters(world, at_least=1)] == [kept]


async def test_a_readable_malformed_request_is_answered_by_name(world: World) -> None:
    """Its institution and id could be read, so it is answered, not put aside; the answer repeats no value."""
    world.start_worker()

    answer = await world.ask("settle", bill(amount_fen=-7, person_id="李四的身份证"))

    assert (answer["outcome"], answer["reason"]) == ("rejected", "malformed")
    assert answer["institution_id"] == "H1"
    assert "amount_fen" in answer["reason_text"]
    assert "李四" not in answer["reason_text"]
    assert await dead_letters(world) == []


async def test_a_dead_letter_carries_no_header_of_its_sender(world: World) -> None:
    """A sender's headers may be personal, or route the letter elsewhere: they stay behind."""
    world.start_worker()
    hostile = Outgoing(
        REQUESTS, "settle.130100", b"{", type="settle", headers={"CC": ["gongji.settlement"], "patient": "张三"}
    )

    await publish(world, hostile)
    (letter, *copies) = await dead_letters(world, at_least=1)

    assert copies == []
    # x-delivery-count is the broker's own.
    assert set(letter.header.properties.headers) - {"x-delivery-count"} == {
        "x-gongji-queue",
        "x-gongji-reason",
        "x-gongji-problems",
        "x-gongji-dead-at",
    }


async def test_without_reply_to_the_answer_goes_to_the_results(world: World) -> None:
    """gongji.results, by operation, outcome and institution; persistent."""
    world.start_worker()
    await world.family("MOTHER")
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=False)
    await channel.queue_declare(queue=MINE, exclusive=True)
    await channel.queue_bind(MINE, RESULTS, routing_key="settle.settled.H1")
    body = bill()

    await publish(world, Outgoing(REQUESTS, "settle.130100", orjson.dumps(body), type="settle", correlation_id="c-1"))
    await until(lambda: _has(channel, MINE))
    answer = await channel.basic_get(MINE)
    await connection.close()

    properties = answer.header.properties
    assert orjson.loads(answer.body)["request_id"] == body["request_id"]
    assert (properties.message_type, properties.correlation_id) == ("settle.result", "c-1")
    assert (properties.delivery_mode, properties.content_type) == (2, "application/json")


async def test_an_answer_that_no_queue_takes_does_not_undo_the_decision(world: World) -> None:
    """The reply queue is gone: the request is acknowledged, and a lookup tells the answer."""
    world.start_worker()
    await world.family("MOTHER")
    body = bill(amount_fen=700)

    await publish(
        world, Outgoing(REQUESTS, "settle.130100", orjson.dumps(body), type="settle", reply_to="reply.gone.for-ever")
    )
    question = {key: body[key] for key in ("institution_id", "insured_region", "occurred_at")}
    await until(lambda: _decided(world, body["request_id"]))
    found = await world.ask("lookup", {**question, "request_id": "q", "original_request_id": body["request_id"]})

    assert found["original"]["mutual_aid_fen"] == 700
    assert (await world.balances())["MOTHER"] == (99_300, 0, 0)


FORGED = {
    "a node that is none": address("reply@7"),
    "no address at all": "amq.rabbitmq.reply-to.g1h2gCXg5yZXBseUA0MDU0NDE4MwAAC6QAAAAAYXxU5w==.Zm9v",
}


@pytest.mark.parametrize("reply_to", FORGED.values(), ids=FORGED)
async def test_a_forged_direct_reply_harms_nobody_else(world: World, reply_to: str) -> None:
    """RabbitMQ 3.10 breaks the channel that publishes to it: its own answer goes to the results, no session is lost."""
    world.start_worker()
    await world.family("MOTHER")
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=False)
    await channel.queue_declare(queue=MINE, exclusive=True)
    await channel.queue_bind(MINE, RESULTS, routing_key="settle.settled.H1")
    sessions = REGISTRY.get_sample_value("gongji_broker_sessions_total")
    forged = Outgoing(REQUESTS, "settle.130100", orjson.dumps(bill()), type="settle", reply_to=reply_to)

    neighbours = [asyncio.create_task(world.settle(amount_fen=1)) for _ in range(20)]
    await publish(world, forged)
    neighbours += [asyncio.create_task(world.settle(amount_fen=1)) for _ in range(20)]
    answers = await asyncio.gather(*neighbours)
    await until(lambda: _decided(world, orjson.loads(forged.body)["request_id"]))
    await until(lambda: _has(channel, MINE))
    answer = await channel.basic_get(MINE)
    await connection.close()

    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert {answer["replayed"] for answer in answers} == {False}
    assert orjson.loads(answer.body)["request_id"] == orjson.loads(forged.body)["request_id"]
    assert REGISTRY.get_sample_value("gongji_broker_sessions_total") == sessions


async def test_senders_are_held_to_their_own_name_and_queue(world: World) -> None:
    """With authenticated senders: no user id, a foreign one and a foreign reply queue are refused."""
    world.start_worker(authenticate_senders=True)
    user = world.amqp_url.split("://")[1].split(":")[0]
    await world.institution("H1", amqp_user=user)
    await world.institution("H2", amqp_user="somebody-else")
    await world.person("CHILD", insurance="resident")

    anonymous = await world.ask("settle", bill())
    foreign = await world.ask("settle", bill(institution_id="H2"), user_id=user)
    own = await world.ask("settle", bill(), user_id=user)

    assert anonymous["reason"] == "sender_mismatch"
    assert foreign["reason"] == "sender_mismatch"
    assert own["reason"] == "no_binding"


async def test_a_foreign_reply_queue_is_refused_and_stays_empty(world: World) -> None:
    """With authenticated senders the refusal goes to the results instead."""
    world.start_worker(authenticate_senders=True)
    user = world.amqp_url.split("://")[1].split(":")[0]
    await world.institution("H1", amqp_user=user)
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=False)
    await channel.queue_declare(queue="reply.victim.1")
    await channel.queue_declare(queue=MINE, exclusive=True)
    await channel.queue_bind(MINE, RESULTS, routing_key="settle.rejected.H1")
    forged = Outgoing(
        REQUESTS, "settle.130100", orjson.dumps(bill()), type="settle", user_id=user, reply_to="reply.victim.1"
    )

    await publish(world, forged)
    await until(lambda: _has(channel, MINE))
    answer = await channel.basic_get(MINE)
    victim = await channel.queue_declare(queue="reply.victim.1", passive=True)
    await connection.close()

    assert orjson.loads(answer.body)["reason"] == "reply_queue_not_allowed"
    assert victim.message_count == 0


async def test_a_request_that_takes_its_worker_down_is_put_aside_in_the_end(world: World) -> None:
    """Delivered and never acknowledged as often as the limit allows: the broker dead-letters it, with its body."""
    body = orjson.dumps(bill())
    await publish(world, Outgoing(REQUESTS, "settle.130100", body, type="settle"))
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=False)

    for _ in range(DELIVERY_LIMIT + 1):
        await until(lambda: _has(channel, SETTLEMENT))
        message = await channel.basic_get(SETTLEMENT)
        assert message.delivery_tag is not None
        await channel.basic_nack(message.delivery_tag, requeue=True)
    (letter,) = await dead_letters(world, at_least=1)
    await connection.close()

    assert letter.body == body
    assert letter.header.properties.headers["x-first-death-reason"] == "delivery_limit"


async def publish(world: World, *messages: Outgoing) -> None:
    connection = await connect([world.amqp_url], name="tests")
    receipts = await Publisher(await open_channel(connection, confirms=True)).publish(messages)
    await connection.close()
    assert set(receipts) == {Receipt.CONFIRMED}


async def _has(channel: Any, queue: str, count: int = 1) -> bool:
    declared = await channel.queue_declare(queue=queue, passive=True)
    return bool(declared.message_count >= count)


async def _decided(world: World, request_id: str) -> bool:
    return bool(await world.db.fetchval("SELECT count(*) FROM ledger.decisions WHERE request_id = $1", request_id))
