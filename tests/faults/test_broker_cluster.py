"""Three brokers under a worker: whoever leads is killed, or cut off; confirms come late, and none is false."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random

import httpx
import pytest

from shared.rabbit.connection import Brokers
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import PublishFailed
from shared.rabbit.topology import SETTLEMENT
from tests.support.cluster import Cluster, Node
from tests.support.correspondence import Correspondence, bills
from tests.support.network import CLIENTS, CLUSTER
from tests.support.processes import Worker
from tests.support.world import World, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks"),
]

LOAD = 1_000
# So many are sent together, and never again once they are confirmed: a false confirm is a request without an answer.
FEW = 20

# A node holds another for gone after ten seconds (tests/support/cluster.py), a worker its broker after three heartbeats.
MOVED_WITHIN_S = 45.0


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Three nodes. Whoever comes first makes the queues, on the first node, which leads them."""
    async with Cluster.of(tmp_path / "cluster", "north", "east", "south") as formed:
        yield formed


@pytest.fixture
def amqp_url(cluster: Cluster) -> str:
    """The cluster takes the place of the run's own broker."""
    return cluster.amqp_url


async def test_leaders_may_be_killed_one_after_the_other(
    town: World, sender: Correspondence, worker: Worker, cluster: Cluster, dice: Random
) -> None:
    """The two that are left go on. Whoever comes back catches up: after the second kill it takes the first to go on."""
    killed: list[Node] = []
    for _ in range(2):
        leader = await cluster.leader(SETTLEMENT)
        sending = await _under_load(town, sender, dice)
        await leader.kill()
        await sending
        await sender.converge()

        killed.append(leader)
        await leader.start()
        await cluster.heals()
    await sender.converge()

    assert len(sender.told) == 2 * LOAD
    assert killed[0] is not killed[1]
    assert worker.is_alive()


async def test_answers_wait_for_their_queue_to_find_a_leader(
    town: World, sender: Correspondence, cluster: Cluster, stack: AsyncExitStack
) -> None:
    """A queue without one refuses as a full one does. Nothing is given up for it, and the session goes on."""
    north, east, south = cluster.nodes
    await sender.send(bills(5))
    worker = Worker(town, GONGJI_AMQP_URL=east.amqp_url, GONGJI_FAILPOINT="after_commit:stop")
    stack.callback(worker.kill)
    await until(worker.is_stopped)

    # One voice alone elects nobody.
    south.stand_still()
    await north.kill()
    worker.resume()
    await until(partial(worker.has_logged, "answers_refused"))
    south.go_on()
    await sender.converge()

    assert not worker.has_logged("answer_undelivered")
    assert await worker.metric("gongji_broker_sessions_total") == 1


@pytest.mark.parametrize("cables", [(CLUSTER,), (CLUSTER, CLIENTS)], ids=["from the others", "from everybody"])
async def test_a_minority_that_is_cut_off_confirms_nothing(
    town: World, sender: Correspondence, worker: Worker, cluster: Cluster, dice: Random, cables: tuple[str, ...]
) -> None:
    """It led, and the worker was there: it pauses, the worker goes over to the majority, and all is answered meanwhile."""
    north = cluster.nodes[0]
    led = await cluster.leader(SETTLEMENT)
    sending = await _under_load(town, sender, dice)

    cluster.network.unplug(north.machine, *cables)
    moved = asyncio.create_task(until(partial(worker.has_logged, "broker_session_begun", 2), timeout_s=MOVED_WITHIN_S))
    unconfirmed = [sender.message(body) for body in bills(5)]
    with pytest.raises(PublishFailed):
        await LastingPublisher(Brokers([north.amqp_url]), name="tests").publish(unconfirmed)
    await moved
    await sending
    await sender.publish(unconfirmed)
    await sender.converge()
    with pytest.raises(httpx.HTTPError):
        await north.asked("overview")

    cluster.network.plug(north.machine, *cables)
    await cluster.takes_back(north)
    await sender.send(bills(100))
    await sender.converge()

    assert led is north
    assert len(sender.told) == LOAD + 105
    assert worker.is_alive()


async def _under_load(town: World, sender: Correspondence, dice: Random) -> asyncio.Task[None]:
    """Requests are being sent, and some of them are decided already: how many, chance draws."""

    async def send() -> None:
        for _ in range(LOAD // FEW):
            await sender.send(bills(FEW))

    decided = await town.count("ledger.decisions")
    sending = asyncio.create_task(send())
    await until(partial(town.has, "ledger.decisions", decided + dice.randrange(20, LOAD // 2)))
    return sending
