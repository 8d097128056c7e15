"""Answers that their queue refuses, because it is full or has no leader: it is waited for, and nobody else is held up."""

from collections.abc import AsyncIterator
from functools import partial

import orjson
import pytest
from aiormq.channel import Channel
from prometheus_client import REGISTRY

from services.settlement import consumer, later, patience
from services.settlement.answering import WAITING_PART
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import LATER, REQUESTS, RESULTS, SETTLEMENT
from tests.support.correspondence import dead_letters, waiting
from tests.support.processes import IN_HAND_MAX
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
    refused_before = _refused()
    await ask(world, orjson.dumps(body))
    await until(lambda: _refused() > refused_before)

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
    asked = 2 * IN_HAND_MAX
    await ask(world, *[orjson.dumps(bill(amount_fen=1)) for _ in range(asked)])

    neighbour = await world.settle(amount_fen=1)
    await until(partial(_holds, world, MINE, asked - IN_HAND_MAX // WAITING_PART))

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


ROOM = 5


@pytest.fixture
async def results(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Channel]:
    """Two hospitals with a queue of results each, which is full; a family, and a worker that looks often."""
    monkeypatch.setattr(consumer, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(later, "AGAIN_AFTER_S", 1.0)
    world.start_worker()
    await world.family("MOTHER")
    connection = await connect([world.amqp_url], name="tests")
    opened = await open_channel(connection, confirms=False)
    for institution in ("H1", "H2"):
        queue = f"results.{institution}"
        await opened.queue_declare(queue, arguments={"x-max-length": ROOM, "x-overflow": "reject-publish"})
        await opened.queue_bind(queue, RESULTS, routing_key=f"*.*.{institution}")
        await publish(world, *[Outgoing("", queue, b"{}")] * ROOM)
    yield opened
    await close(connection)


async def test_a_result_that_is_refused_for_long_is_told_in_the_end(
    world: World, results: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is full for longer than anybody is waited for; it is kept meanwhile, and nobody's place in a lane."""
    monkeypatch.setattr(patience, "PATIENCE_S", 0.5)
    bodies = [bill(amount_fen=1) for _ in range(ROOM)]
    await publish(world, *[Outgoing(REQUESTS, "settle.130100", orjson.dumps(body), type="settle") for body in bodies])

    await until(partial(_is_kept, world, ROOM))
    neighbour = await world.settle(amount_fen=1)
    await results.queue_purge("results.H1")
    await until(partial(_holds, world, "results.H1", ROOM))
    answers = [await results.basic_get("results.H1", no_ack=True) for _ in range(ROOM)]
    await until(partial(_holds, world, LATER, 0))

    assert neighbour["outcome"] == "settled"
    assert {orjson.loads(answer.body)["request_id"] for answer in answers} == {body["request_id"] for body in bodies}
    assert {answer.header.properties.message_type for answer in answers} == {"settle.result"}
    assert {answer.routing_key for answer in answers} == {"settle.settled.H1"}


async def test_a_result_that_is_told_late_names_its_request_as_it_was_named(
    world: World, results: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, though it was no text; read as text and written again it would be longer than AMQP takes, and end the worker."""
    monkeypatch.setattr(patience, "PATIENCE_S", 0.5)
    name = "\udcff" * 255
    asked = Outgoing(REQUESTS, "settle.130100", orjson.dumps(bill(amount_fen=1)), type="settle", correlation_id=name)
    await publish(world, asked)
    await until(partial(_is_kept, world, 1))

    await results.queue_purge("results.H1")
    await until(partial(_holds, world, "results.H1", 1))
    answer = await results.basic_get("results.H1", no_ack=True)

    assert answer.header.properties.correlation_id == name


async def test_a_queue_that_stays_full_keeps_no_other_result_from_its_turn(world: World, results: Channel) -> None:
    """However many of its own stand before it; what nobody wants any more is given up."""
    stuck = [Outgoing(LATER, "settle.settled.H2", b"{}")] * 150
    await publish(world, *stuck, Outgoing(LATER, "settle.settled.nobody", b"{}"))
    await publish(world, *[Outgoing(LATER, "settle.settled.H1", b'{"late": true}')] * ROOM)

    await results.queue_purge("results.H1")
    await until(partial(_holds, world, "results.H1", ROOM))
    await until(partial(_is_kept, world, len(stuck)))

    assert (await results.basic_get("results.H1", no_ack=True)).body == b'{"late": true}'
    assert await waiting(world, "results.H2") == ROOM


async def test_a_result_is_not_tried_again_at_once(
    world: World, results: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another queue that is bound to it, and takes it, does not get it with every look of every worker."""
    monkeypatch.setattr(later, "AGAIN_AFTER_S", 3_600.0)
    await results.queue_declare(MINE)
    await results.queue_bind(MINE, RESULTS, routing_key="#")
    body = bill(amount_fen=1)
    await publish(world, Outgoing(REQUESTS, "settle.130100", orjson.dumps(body), type="settle"))
    await until(partial(_is_kept, world, 1))
    rounds = _count_rounds(monkeypatch)
    await until(lambda: len(rounds) >= 3)

    assert rounds[-1] == 1
    assert await waiting(world, MINE) == 1


def _count_rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many results stood in line at each round that has ended."""
    ended: list[int] = []
    original = later.Later.publish_again

    async def counted(self: later.Later, waiting: int) -> None:
        await original(self, waiting)
        ended.append(waiting)

    monkeypatch.setattr(later.Later, "publish_again", counted)
    return ended


async def _is_kept(world: World, results: int) -> bool:
    """Whether so many results stand in line and no request is in anybody's hands; a round has them in its own for a moment."""
    return await waiting(world, LATER) == results


async def ask(world: World, *bodies: bytes) -> None:
    await publish(world, *[Outgoing(REQUESTS, "settle.130100", body, type="settle", reply_to=FULL) for body in bodies])


async def publish(world: World, *messages: Outgoing) -> None:
    connection = await connect([world.amqp_url], name="tests")
    await Publisher(await open_channel(connection, confirms=True)).publish(messages)
    await close(connection)


async def _holds(world: World, queue: str, messages: int) -> bool:
    return await waiting(world, queue) == messages


def _refused() -> float:
    """How often an answer was refused that waits for its queue."""
    return REGISTRY.get_sample_value("gongji_requests_put_aside_total", {"queue": SETTLEMENT}) or 0.0
