"""Brokers in turn, and a publisher that outlives its connection."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from functools import partial
from random import Random

import pytest
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from services.settlement import consumer
from services.settlement.consumer import Consumer
from services.settlement.handler import Handler
from shared.domain.times import system_clock
from shared.postgres.pool import create_pool
from shared.rabbit import connection as connections
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import Brokers, close, open_channel
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing, Publisher, PublishFailed
from shared.rabbit.topology import INQUIRY
from tests.conftest import Database
from tests.support.proxy import Proxy
from tests.support.world import until

TO_NOBODY = Outgoing("", "nobody", b"{}")


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    """Another way to the broker, with an address of its own."""
    async with Proxy.before(amqp_url, Random(1)) as before:  # noqa: S311 nothing is drawn here
        yield before


async def test_a_broker_that_failed_is_tried_after_the_others(amqp_url: str, proxy: Proxy) -> None:
    """It took the connection, and was of no use."""
    brokers = Brokers([proxy.url, amqp_url])

    first = await brokers.connect(name="tests")
    brokers.failed(first)
    second = await brokers.connect(name="tests")
    await close(first)
    await close(second)

    assert (first.broker, second.broker) == (proxy.url, amqp_url)


async def test_a_broker_that_takes_no_connection_is_asked_once(amqp_url: str, proxy: Proxy) -> None:
    """Whoever connects next need not wait for it again."""
    brokers = Brokers([proxy.url, amqp_url])
    proxy.go_away()

    for _ in range(2):
        await close(await brokers.connect(name="tests"))

    assert proxy.asked == 1


async def test_whoever_opens_it_at_the_same_time_shares_a_connection(proxy: Proxy) -> None:
    """The bookkeeper's duties and its probe do; none is left open that nobody knows."""
    publisher = LastingPublisher(Brokers([proxy.url]), name="tests")

    opened = await asyncio.gather(publisher.open(), publisher.open())
    await publisher.close()

    assert opened[0] is opened[1]
    assert proxy.asked == 1


async def test_a_connection_that_died_meanwhile_costs_no_message(proxy: Proxy) -> None:
    """Nobody was publishing: the next message goes over another."""
    publisher = LastingPublisher(Brokers([proxy.url]), name="tests")
    opened = await publisher.open()
    proxy.cut()
    await until(lambda: opened.is_closed)

    receipts = await publisher.publish([TO_NOBODY])
    await publisher.close()

    assert receipts == [Receipt.UNROUTABLE]


async def test_whoever_learns_late_that_the_last_connection_failed_leaves_this_one(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two duties share a publisher: what one has put right the other does not break again."""
    publisher = LastingPublisher(Brokers([proxy.url]), name="tests")
    told = asyncio.Event()

    async def fail_late(_: Sequence[Outgoing]) -> list[Receipt]:
        await told.wait()
        raise PublishFailed("the connection of a while ago")

    monkeypatch.setattr(await publisher.open(), "publish", fail_late)
    late = asyncio.create_task(publisher.publish([TO_NOBODY]))
    await asyncio.sleep(0)
    await publisher.close()
    opened = await publisher.open()
    told.set()
    with pytest.raises(PublishFailed):
        await late

    assert await publisher.open() is opened
    assert not opened.is_closed
    await publisher.close()


@pytest.mark.parametrize(("good_session_s", "pauses"), [(0.0, 0), (math.inf, 3)], ids=["good", "too short"])
async def test_after_a_good_session_the_next_begins_without_a_pause(
    proxy: Proxy, database: Database, monkeypatch: pytest.MonkeyPatch, good_session_s: float, pauses: int
) -> None:
    """Pauses grow only where a broker is of no use again and again."""
    monkeypatch.setattr(consumer, "GOOD_SESSION_S", good_session_s)
    paused: list[RetryDetails] = []

    def pause(details: RetryDetails) -> None:
        paused.append(details)

    set_on_retry_hooks([pause])
    pool = await create_pool(database.url, role="gongji_settlement", name="tests", size_max=2)
    working = Consumer(
        Brokers([proxy.url]), [INQUIRY], Handler(pool, system_clock), system_clock, batch_max=1, prefetch=1, lanes=1
    )
    stop = asyncio.Event()
    running = asyncio.create_task(working.run(stop))

    async def works_in_session(number: int) -> bool:
        return proxy.asked == number and await working.trouble() is None

    for session in range(1, 4):
        await until(partial(works_in_session, session))
        proxy.cut()
    await until(partial(works_in_session, 4))
    stop.set()
    await running
    await pool.close()
    set_on_retry_hooks(None)

    assert len(paused) == pauses


async def test_what_nobody_reads_keeps_no_connection_open(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that stands still, or one that an alarm has stopped, with megabytes to be sent: the connection is left."""
    monkeypatch.setattr(connections, "CLOSE_TIMEOUT_S", 0.2)
    connection = await Brokers([proxy.url]).connect(name="tests")
    publisher = Publisher(await open_channel(connection, confirms=True))
    proxy.delay_s_max = 3_600.0
    publishing = asyncio.create_task(publisher.publish([Outgoing("", "nobody", bytes(1024 * 1024))] * 25))
    await until(lambda: connection.tap.bytes_unsent > 0)

    async with asyncio.timeout(10):
        await close(connection)

    assert connection.is_closed
    with pytest.raises(PublishFailed):
        await publishing
