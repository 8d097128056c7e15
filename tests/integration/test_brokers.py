"""Brokers in turn, and a publisher that outlives its connection."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from shared.rabbit import connection as connections
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import Brokers, close, open_channel
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing, Publisher, PublishFailed
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
