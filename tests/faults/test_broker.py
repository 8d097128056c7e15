"""The broker under a worker: killed, blocked, silent, forgetful; nothing is acknowledged that was not answered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from random import Random

import pytest
from prometheus_client import REGISTRY

from shared.rabbit import publisher, wire
from shared.rabbit.management import vhost_of
from shared.rabbit.topology import DELIVERY_LIMIT, SETTLEMENT
from tests.support.correspondence import Correspondence, bills, waiting
from tests.support.processes import GROWTH_MIB_MAX, IN_HAND_MAX, LANES, MEMORY_MIB_MAX, Worker
from tests.support.proxy import Link, Passage, Proxy, Towards, frame_end, losing
from tests.support.servers import Servers
from tests.support.world import World, until


@pytest.fixture
async def proxy(town: World, dice: Random) -> AsyncIterator[Proxy]:
    """Between whoever uses it and the broker."""
    async with Proxy.before(town.amqp_url, dice) as before:
        yield before


# ---- killed ----


async def test_a_worker_survives_the_death_of_the_broker(
    town: World, sender: Correspondence, worker: Worker, run_servers: Servers
) -> None:
    """RabbitMQ is killed and comes back: new channels, new consumers, every request answered once more or at last."""
    await until(partial(run_servers.has_written_down, town.amqp_url, SETTLEMENT, sender.reply_to))
    sending = asyncio.create_task(sender.send(bills(1_000)))
    await until(partial(town.has, "ledger.decisions", 100))

    run_servers.process("rabbitmq").kill()
    await sending
    await until(worker.is_ready, timeout_s=90)
    await sender.converge()

    assert len(sender.told) == 1_000
    assert worker.has_logged("broker_session_lost")


# ---- confirms and acknowledgements that are lost ----


@pytest.mark.long
async def test_an_answer_that_is_never_confirmed_is_published_again(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack
) -> None:
    """After a time-out, on a fresh channel; the reply queue has it twice, the request was delivered once."""
    lost: list[Link] = []
    proxy.passage = losing(wire.BASIC_ACK, Towards.CLIENT, 1, lost.append)
    await sender.send(bills(1))

    worker = Worker(town, GONGJI_AMQP_URL=proxy.url)
    stack.callback(worker.kill)
    await sender.converge(answers=2)

    assert len(lost) == 1
    assert not sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 1


@pytest.mark.long
async def test_a_result_that_is_never_confirmed_is_published_by_another_session(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack
) -> None:
    """What goes to an exchange goes on the session's own channel, which ends with it; the request comes again."""
    lost: list[Link] = []
    proxy.passage = losing(wire.BASIC_ACK, Towards.CLIENT, 1, lost.append)
    await sender.send(bills(1), reply_to=None)

    worker = Worker(town, GONGJI_AMQP_URL=proxy.url)
    stack.callback(worker.kill)
    await sender.converge(answers=2)

    assert len(lost) == 1
    assert sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 2


@pytest.mark.long
async def test_an_answer_that_is_not_confirmed_twice_is_not_given_up(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack
) -> None:
    """It is not its address that is to blame, but the broker: the session ends, and the request comes again."""
    lost: list[Link] = []
    proxy.passage = losing(wire.BASIC_ACK, Towards.CLIENT, 2, lost.append)
    await sender.send(bills(1))

    worker = Worker(town, GONGJI_AMQP_URL=proxy.url)
    stack.callback(worker.kill)
    await sender.converge(answers=3)

    assert len(lost) == 2
    assert sender.replayed()
    assert not worker.has_logged("answer_undelivered")
    assert await worker.metric("gongji_broker_sessions_total") == 2


@pytest.mark.long
async def test_a_broker_that_confirms_nothing_is_left_for_the_next(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack, run_servers: Servers
) -> None:
    """It takes connections and delivers, as one does that is cut off from its cluster: hosts are taken in turn."""
    proxy.passage = losing(wire.BASIC_ACK, Towards.CLIENT, 1_000_000)
    await sender.send(bills(5), reply_to=None)

    worker = Worker(town, GONGJI_AMQP_URL=f"{proxy.url},{town.amqp_url}")
    stack.callback(worker.kill)
    # The results arrive, and only their confirms do not; and how much a queue of this moment holds, the broker says later.
    await until(partial(worker.has_logged, "broker_session_begun", 2), timeout_s=60)
    await until(partial(_holds, run_servers, town, 0), timeout_s=60)
    await sender.converge()

    assert await worker.metric("gongji_broker_sessions_total") == 2


async def test_an_acknowledgement_that_is_lost_brings_the_request_again(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack
) -> None:
    """Its connection is cut with it; what was acknowledged comes again and gets the same answer."""
    proxy.passage = losing(wire.BASIC_ACK, Towards.SERVER, 1, Link.cut)
    await sender.send(bills(1))

    worker = Worker(town, GONGJI_AMQP_URL=proxy.url)
    stack.callback(worker.kill)
    await sender.converge(answers=2)

    assert sender.replayed()
    assert worker.is_alive()
    assert worker.has_logged("broker_session_lost")


async def test_an_acknowledgement_on_a_dead_channel_brings_the_request_again(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack
) -> None:
    """The worker acknowledges before it has heard that its connections are gone: it says so and goes on."""
    await sender.send(bills(1))
    worker = Worker(town, GONGJI_AMQP_URL=proxy.url, GONGJI_FAILPOINT="after_confirm:stop")
    stack.callback(worker.kill)
    await until(worker.is_stopped)

    proxy.cut()
    worker.resume()
    await sender.converge(answers=2)

    assert sender.replayed()
    assert worker.is_alive()
    assert worker.has_logged("broker_session_lost")


# ---- sessions that come to nothing ----


@pytest.mark.long
async def test_no_session_costs_a_delivery_while_the_database_is_away(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack, dice: Random
) -> None:
    """The broker's connections are cut more often than a message may be delivered: nobody subscribes before the database is there."""
    database = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    database.go_away()
    await sender.send(bills(5))

    worker = Worker(town, GONGJI_AMQP_URL=proxy.url, GONGJI_DATABASE_URL=database.url, GONGJI_CONSUMES="settlement")
    stack.callback(worker.kill)
    for times in range(1, DELIVERY_LIMIT + 3):
        await until(partial(worker.has_logged, "database_away", LANES * times))
        proxy.cut()
    await until(partial(_says, worker, "PostgreSQL cannot be used"))
    database.come_back()
    await sender.converge()

    assert not sender.replayed()


async def test_a_session_in_which_nothing_is_delivered_is_ended(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack
) -> None:
    """The queue has messages, and the worker hears of none: it begins anew."""
    proxy.passage = losing_what_is_delivered_at_first(lambda link, _: link)
    await sender.send(bills(20))

    worker = Worker(town, GONGJI_AMQP_URL=proxy.url, GONGJI_PREFETCH="5", GONGJI_CONSUMES="settlement")
    stack.callback(worker.kill)
    await sender.converge()

    assert "SessionLost" in worker.logged("broker_session_lost")[0]["causes"]
    assert await worker.metric("gongji_broker_sessions_total") == 2


@pytest.mark.long
async def test_a_session_in_which_one_lane_is_given_nothing_is_ended(
    town: World, sender: Correspondence, proxy: Proxy, stack: AsyncExitStack
) -> None:
    """The other lane is given all that comes, so that nothing stays in the queue: what the silent one should have is not forgotten."""
    proxy.passage = losing_what_is_delivered_at_first(lambda link, channel: (link, channel))
    worker = Worker(town, GONGJI_AMQP_URL=proxy.url, GONGJI_LANES="2", GONGJI_CONSUMES="settlement")
    stack.callback(worker.kill)
    await until(worker.is_ready)

    async with asyncio.timeout(60):
        while not worker.has_logged("broker_session_lost"):
            await sender.send(bills(2))
    await sender.converge()

    assert "SessionLost" in worker.logged("broker_session_lost")[0]["causes"]
    assert await worker.metric("gongji_broker_sessions_total") == 2


def losing_what_is_delivered_at_first(place: Callable[[Link, int], object]) -> Passage:
    """Where something is delivered first, by link or by channel, every delivery is lost from then on, head and body."""
    deaf: list[object] = []
    unfinished: dict[Link, bytes] = {}

    def passage(link: Link, towards: Towards, data: bytes) -> bytes:
        if towards is Towards.SERVER:
            return data
        arrived, kept = unfinished.pop(link, b"") + data, bytearray()
        while (end := frame_end(arrived)) is not None:
            frame, arrived = arrived[:end], arrived[end:]
            delivers = frame[wire.FRAME_HEAD.size :].startswith(wire.BASIC_DELIVER)
            here = place(link, wire.FRAME_HEAD.unpack_from(frame)[1])
            if delivers and not deaf:
                deaf.append(here)
            if here not in deaf or not (delivers or frame[0] in (wire.HEADER, wire.BODY)):
                kept += frame
        unfinished[link] = arrived
        return bytes(kept)

    return passage


# ---- the broker's own measures ----


async def test_a_cancelled_consumer_subscribes_again(
    town: World, sender: Correspondence, worker: Worker, run_servers: Servers
) -> None:
    """Its queue was deleted; the next session makes what is missing, and whoever sends meanwhile sends again."""
    await sender.send(bills(5))
    await until(sender.is_complete)

    await run_servers.rabbitmqctl("delete_queue", "--vhost", vhost_of(town.amqp_url), SETTLEMENT)
    await sender.send(bills(5))
    await sender.converge()

    assert await worker.metric("gongji_broker_sessions_total") == 2
    assert "ConsumerLost" in worker.logged("broker_session_lost")[0]["causes"]


ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "absolute", "1000"), ("set_vm_memory_high_watermark", "0.6")),
    "disk": (("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "50MB")),
}


@pytest.fixture
async def alarms(run_servers: Servers) -> AsyncIterator[Servers]:
    """Whatever alarm a test has raised is over when it ends."""
    yield run_servers
    for _, over in ALARMS.values():
        await run_servers.rabbitmqctl(*over)


@pytest.mark.parametrize("alarm", [pytest.param("memory", marks=pytest.mark.long), "disk"])
async def test_acknowledgements_flow_during_an_alarm(
    town: World, sender: Correspondence, alarms: Servers, stack: AsyncExitStack, alarm: str
) -> None:
    """It blocks the connection that publishes, not the one that acknowledges; answers wait and nothing comes again."""
    raised, over = ALARMS[alarm]
    await sender.send(bills(1))
    worker = Worker(town, GONGJI_FAILPOINT="after_confirm:stop")
    stack.callback(worker.kill)
    await until(worker.is_stopped)
    await sender.send(bills(5))

    await alarms.rabbitmqctl(*raised)
    worker.resume()
    # The first is acknowledged; the others are decided, and wait to be answered.
    await until(partial(_holds, alarms, town, 5))
    await until(partial(town.has, "ledger.decisions", 7))
    await sender.collect()
    answered = len(sender.told)
    await alarms.rabbitmqctl(*over)
    await sender.converge()

    assert answered == 1
    assert not sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def _are_in_hand(broker: Servers, world: World, at_least: int) -> bool:
    return await broker.held(world.amqp_url, SETTLEMENT) >= at_least


async def _says(worker: Worker, why: str) -> bool:
    """Whether it is not ready, and why."""
    return await worker.is_not_ready() and why in await worker.page("/readyz")


async def _holds(broker: Servers, world: World, messages: int) -> bool:
    """Whether the queue has so many messages, delivered or not."""
    listed = await broker.rabbitmqctl("list_queues", "--vhost", vhost_of(world.amqp_url), "name", "messages")
    return f"{SETTLEMENT}\t{messages}\n" in listed


@pytest.mark.long
async def test_what_waits_for_the_end_of_an_alarm_waits_in_the_queue(
    town: World, sender: Correspondence, alarms: Servers, stack: AsyncExitStack
) -> None:
    """Thousands of requests, of which the worker holds and decides no more than it may; it says why nothing is answered, and goes on."""
    await sender.send(bills(4_000))
    before = await town.count("ledger.decisions")
    raised, over = ALARMS["memory"]
    await alarms.rabbitmqctl(*raised)

    worker = Worker(town)
    stack.callback(worker.kill)
    await until(partial(_says, worker, "RabbitMQ takes no answers: it has raised an alarm"))
    memory_mib = worker.memory_mib()
    await until(partial(_are_in_hand, alarms, town, IN_HAND_MAX))
    held = await alarms.held(town.amqp_url, SETTLEMENT)
    decided, grown_mib = await town.count("ledger.decisions") - before, worker.memory_mib() - memory_mib
    await alarms.rabbitmqctl(*over)
    await sender.converge(timeout_s=100)

    assert held == IN_HAND_MAX
    assert 0 < decided <= IN_HAND_MAX
    assert grown_mib <= GROWTH_MIB_MAX
    assert worker.most_memory_mib() <= MEMORY_MIB_MAX
    assert await worker.is_ready()
    assert not sender.replayed()


async def test_answers_wait_for_the_end_of_an_alarm(
    town: World, alarms: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a confirm may take: the same session goes on, and every request was delivered once."""
    monkeypatch.setattr(publisher, "CONFIRM_TIMEOUT_S", 1.0)
    asked = _count_questions(monkeypatch)
    raised, over = ALARMS["memory"]
    asking = [asyncio.create_task(town.settle(amount_fen=1, timeout_s=60)) for _ in range(5)]
    await until(partial(_waiting, town, 5))
    await alarms.rabbitmqctl(*raised)
    sessions = REGISTRY.get_sample_value("gongji_broker_sessions_total") or 0

    town.start_worker()
    await until(lambda: asked)
    await alarms.rabbitmqctl(*over)
    answers = await asyncio.gather(*asking)

    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert {answer["replayed"] for answer in answers} == {False}
    assert REGISTRY.get_sample_value("gongji_broker_sessions_total") == sessions + 1


async def _waiting(world: World, count: int) -> bool:
    return await waiting(world, SETTLEMENT) == count


def _count_questions(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What publishers found when a confirm was late."""
    found: list[bool] = []
    original = publisher.Publisher.blocked

    async def asked(self: publisher.Publisher) -> bool:
        blocked = await original(self)
        found.append(blocked)
        return blocked

    monkeypatch.setattr(publisher.Publisher, "blocked", asked)
    return found
