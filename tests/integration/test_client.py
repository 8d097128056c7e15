"""A sender's side: what it is told of a request that is refused, or that the broker does not confirm."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from random import Random

import pytest
from aiormq.channel import Channel

from shared.rabbit import publisher, wire
from shared.rabbit.client import NoAnswer, NotRouted, NotTaken, client
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.publisher import PublishFailed
from shared.rabbit.topology import REQUESTS, SETTLEMENT, declare
from tests.support.proxy import Proxy, Towards, losing
from tests.support.world import until

FULL = "full"


@pytest.fixture
async def proxy(amqp_url: str) -> AsyncIterator[Proxy]:
    """Between the sender and a broker that has its queues, and nobody who works."""
    opened = await connect([amqp_url], name="tests")
    await declare(await open_channel(opened, confirms=False))
    await close(opened)
    async with Proxy.before(amqp_url, Random(1)) as before:  # noqa: S311 nothing is drawn here
        yield before


@pytest.fixture
async def channel(proxy: Proxy) -> AsyncIterator[Channel]:
    """To look at the broker from outside."""
    opened = await connect([str(proxy.target)], name="tests")
    yield await open_channel(opened, confirms=False)
    await close(opened)


async def test_a_request_that_its_queue_refuses_is_told_at_once(proxy: Proxy, channel: Channel) -> None:
    """It was not taken: nothing is waited for."""
    await channel.queue_declare(FULL, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await channel.queue_bind(FULL, REQUESTS, routing_key="settle.*")

    async with client(proxy.url, name="tests") as till:
        with pytest.raises(NoAnswer):
            await till.ask("settle", "130100", b"{}", timeout_s=0.1)
        with pytest.raises(NotTaken, match=r"settle\.130100"):
            async with asyncio.timeout(5):
                await till.ask("settle", "130100", b"{}", timeout_s=60)


async def test_a_request_that_no_queue_takes_is_told_at_once(proxy: Proxy) -> None:
    """No answer would ever come."""
    async with client(proxy.url, name="tests") as till:
        with pytest.raises(NotRouted, match=r"wish\.130100"):
            await till.ask("wish", "130100", b"{}", timeout_s=60)


async def test_a_request_that_is_never_confirmed_may_be_decided(
    proxy: Proxy, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker has it and does not say so: its sender is told neither that it was taken nor that it was not."""
    monkeypatch.setattr(publisher, "CONFIRM_TIMEOUT_S", 0.5)
    proxy.passage = losing(wire.BASIC_ACK, Towards.CLIENT, 1)

    async with client(proxy.url, name="tests") as till:
        with pytest.raises(PublishFailed, match="not confirmed"):
            await till.ask("settle", "130100", b"{}", timeout_s=5)

    await until(partial(_has_one, channel))


async def _has_one(channel: Channel) -> bool:
    return (await channel.queue_declare(SETTLEMENT, passive=True)).message_count == 1
