"""Answers that their queue refuses, because it is full or has no leader: it is waited for, and nobody else is held up."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
import pytest
from aiormq.channel import Channel

from services.settlement import patience
from services.settlement.lane import WAITING_PART
from services.settlement.settings import SettlementSettings
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import REQUESTS, RESULTS
from tests.support.correspondence import dead_letters, waiting
from tests.support.world import World, bill, until

FULL, MINE = "reply.full.answers", "results.mine"


@pytest.fixture
async def channel(world: World) -> AsyncIterator[Channel]:
    """A reply queue with room for one message, which is there, and one for all results; a family, and a worker."""
    world.start_worker()
    await world.family("MOTHER")
    connection = await connect([world.amqp_url], name="tests")
    opened = await open_channel(connection, confirms=False)
    await opened.queue_declare(FULL, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await opened.queue_declare(MINE)
    await opened.queue_bind(MINE, RESULTS, routing_key="#")
    await publish(world, Outgoing("", FULL, b"{}"))
    yield opened
    await close(connection)


async def test_an_answer_waits_for_a_queue_that_refuses_it(world: World, channel: Channel) -> None:
    """What becomes of a queue without a leader in a moment: it takes the answer, and nothing was given up."""
    body = bill()
    await ask(world, orjson.dumps(body))
    await until(partial(_has_decided, world, body["request_id"]))

    await channel.queue_purge(FULL)
    await until(partial(_holds, world, FULL, 1))
    answer = await channel.basic_get(FULL)

    assert orjson.loads(answer.body)["request_id"] == body["request_id"]
    assert await waiting(world, MINE) == 0


async def test_a_full_reply_queue_holds_up_nobody(
    world: World, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are answered while its answer waits, which goes to the results when patience is over."""
    monkeypatch.setattr(patience, "PATIENCE_S", 3.0)
    body = bill()
    await ask(world, orjson.dumps(body))

    neighbours = [await world.settle(amount_fen=1) for _ in range(3)]
    meanwhile = await waiting(world, MINE)
    await until(partial(_holds, world, MINE, 1))
    answer = await channel.basic_get(MINE)

    assert {neighbour["outcome"] for neighbour in neighbours} == {"settled"}
    assert meanwhile == 0
    assert orjson.loads(answer.body)["request_id"] == body["request_id"]


@pytest.mark.usefixtures("channel")
async def test_nor_do_more_answers_than_a_worker_may_have_in_hand(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever never fetches asks for so much; some of it waits, and leaves room for others."""
    monkeypatch.setattr(patience, "PATIENCE_S", 3_600.0)
    prefetch = SettlementSettings.model_fields["prefetch"].default
    await ask(world, *[orjson.dumps(bill(amount_fen=1)) for _ in range(2 * prefetch)])

    neighbour = await world.settle(amount_fen=1)
    await until(partial(_holds, world, MINE, 2 * prefetch - prefetch // WAITING_PART))

    assert neighbour["outcome"] == "settled"


async def test_what_cannot_be_read_is_put_aside_once_however_often_its_answer_is_refused(
    world: World, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender that fetches nothing does not multiply its own dead letters."""
    monkeypatch.setattr(patience, "PATIENCE_S", 3.0)
    await ask(world, b'{"institution_id":"H1"}')

    await until(partial(_holds, world, MINE, 1))
    letters = await dead_letters(world, at_least=1)

    assert len(letters) == 1


async def ask(world: World, *bodies: bytes) -> None:
    await publish(world, *[Outgoing(REQUESTS, "settle.130100", body, type="settle", reply_to=FULL) for body in bodies])


async def publish(world: World, *messages: Outgoing) -> None:
    connection = await connect([world.amqp_url], name="tests")
    await Publisher(await open_channel(connection, confirms=True)).publish(messages)
    await close(connection)


async def _holds(world: World, queue: str, messages: int) -> bool:
    return await waiting(world, queue) == messages


async def _has_decided(world: World, request_id: str) -> Any:
    return await world.db.fetchval("SELECT true FROM ledger.decisions WHERE request_id = $1", request_id)
