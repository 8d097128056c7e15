"""What is declared at a real broker: limits that tell a sender, and what becomes of queues that an earlier release has made."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from subprocess import CompletedProcess, run
from typing import Any

import httpx
import pytest
from aiormq.channel import Channel

from deploy.devstack.state import StackState
from shared.rabbit import topology
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.management import vhost_of
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import (
    BULK,
    DEAD,
    DEAD_BYTES_MAX,
    INQUIRY,
    KEPT,
    LOOKS_MAX,
    REQUESTS,
    REQUESTS_BYTES_MAX,
    SETTLEMENT,
    Differs,
    declare,
)
from tests.support.world import until

ALL = (SETTLEMENT, BULK, INQUIRY, DEAD)
QUORUM = {"x-queue-type": "quorum"}
REQUEST = Outgoing(REQUESTS, "settle.130100", b"x" * 1_000)


@pytest.fixture
async def channel(amqp_url: str) -> AsyncIterator[Channel]:
    """On which somebody declares; it says nothing where it is published on."""
    connection = await connect([amqp_url], name="tests")
    yield await open_channel(connection, confirms=False)
    await close(connection)


@pytest.fixture
async def publisher(amqp_url: str) -> AsyncIterator[Publisher]:
    connection = await connect([amqp_url], name="tests")
    yield Publisher(await open_channel(connection, confirms=True))
    await close(connection)


@dataclass(frozen=True)
class Asked:
    """The broker's management, about one vhost."""

    http: httpx.Client
    vhost: str

    def arguments(self, queue: str) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"/api/queues/{self.vhost}/{queue}").raise_for_status().json()
        return dict(found["arguments"])

    def limit(self, pattern: str, definition: dict[str, Any]) -> None:
        said = {"pattern": pattern, "definition": definition, "apply-to": "queues"}
        self.http.put(f"/api/policies/{self.vhost}/limits", json=said).raise_for_status()


@pytest.fixture
def management(servers: StackState, amqp_url: str) -> Iterator[Asked]:
    assert servers.urls.rabbitmq_management
    with httpx.Client(base_url=servers.urls.rabbitmq_management, timeout=30) as http:
        yield Asked(http, vhost_of(amqp_url))


async def test_every_queue_has_a_limit(channel: Channel, management: Asked) -> None:
    """And refuses beyond it, rather than drop what it has."""
    unlimited = await declare(channel)

    told = {queue: management.arguments(queue) for queue in ALL}
    assert unlimited == []
    assert {queue: said["x-max-length-bytes"] for queue, said in told.items()} == {
        SETTLEMENT: REQUESTS_BYTES_MAX,
        BULK: REQUESTS_BYTES_MAX,
        INQUIRY: REQUESTS_BYTES_MAX,
        DEAD: DEAD_BYTES_MAX,
    }
    assert {said["x-overflow"] for said in told.values()} == {"reject-publish"}


async def test_it_may_be_declared_again_and_again(channel: Channel) -> None:
    """Each session of each worker does."""
    assert [await declare(channel) for _ in range(3)] == [[]] * 3


async def test_a_sender_is_told_that_a_full_queue_has_not_taken_it(
    channel: Channel, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nack, and what was confirmed stays; once there is room the next is taken."""
    monkeypatch.setattr(topology, "REQUESTS_LIMIT", {"x-max-length-bytes": 20_000})
    await declare(channel)

    taken = await _published_until_refused(publisher)
    waits = await _waiting(channel, SETTLEMENT)
    await channel.queue_purge(SETTLEMENT)

    assert taken >= 20
    assert waits == taken
    await until(lambda: _is_taken(publisher))


async def test_a_queue_of_an_earlier_release_is_used_and_told(
    channel: Channel, publisher: Publisher, management: Asked
) -> None:
    """Payments do not stop for the want of a limit, which an operator sets by a policy, in place."""
    for queue in (SETTLEMENT, BULK, INQUIRY):
        await channel.queue_declare(queue, durable=True, arguments={**QUORUM, **KEPT})
    await channel.queue_declare(DEAD, durable=True, arguments={**QUORUM, "x-delivery-limit": LOOKS_MAX})

    unlimited = await declare(channel)
    (receipt,) = await publisher.publish([REQUEST])
    management.limit(r"^gongji\.(settlement|bulk|inquiry)$", {"max-length-bytes": 20_000})

    assert sorted(unlimited) == sorted(ALL)
    assert receipt is Receipt.CONFIRMED
    await until(lambda: _is_refused(publisher))


async def test_a_queue_without_the_guarantees_is_refused(channel: Channel, amqp_url: str) -> None:
    """Whoever declares it, or runs the command, is told which, and how it differs."""
    await channel.queue_declare(INQUIRY, durable=True)

    done = await asyncio.to_thread(_declare, amqp_url)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"for queue '{INQUIRY}'" in done.stderr
    with pytest.raises(Differs, match=f"must be made anew: .*for queue '{INQUIRY}'"):
        await declare(channel)


async def test_the_command_says_which_queues_have_no_limit(channel: Channel, amqp_url: str) -> None:
    """Nothing where all have one."""
    await channel.queue_declare(SETTLEMENT, durable=True, arguments={**QUORUM, **KEPT})

    one = await asyncio.to_thread(_declare, amqp_url)

    assert one.returncode == 0
    assert f"without a limit of its own: {SETTLEMENT}. Set a policy" in one.stdout


def _declare(amqp_url: str) -> CompletedProcess[str]:
    return run(
        [sys.executable, "-m", "shared.rabbit", "declare"],
        env={"GONGJI_AMQP_URL": amqp_url, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def _published_until_refused(publisher: Publisher) -> int:
    """How many were taken."""
    for taken in range(200):
        if await publisher.publish([REQUEST]) == [Receipt.REFUSED]:
            return taken
    raise AssertionError("none was refused")


async def _is_taken(publisher: Publisher) -> bool:
    return await publisher.publish([REQUEST]) == [Receipt.CONFIRMED]


async def _is_refused(publisher: Publisher) -> bool:
    return await publisher.publish([REQUEST]) == [Receipt.REFUSED]


async def _waiting(channel: Channel, queue: str) -> int:
    return (await channel.queue_declare(queue, passive=True)).message_count or 0
