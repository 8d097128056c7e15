"""How an echo takes batches: what has arrived, never too much, in order, the next one out while one is awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from bench.peers.echoing import BATCH_MAX, PREFETCH, UNDER_WAY, Lane, run_lanes


class Broker:
    """Confirms a batch when it is told to, and keeps what was published and acknowledged."""

    def __init__(self) -> None:
        self.published: list[Sequence[int]] = []
        self.acknowledged: list[int] = []
        self.confirms: list[asyncio.Event] = []

    async def publish(self, batch: Sequence[int]) -> None:
        self.published.append(batch)
        self.confirms.append(asyncio.Event())
        await self.confirms[-1].wait()

    async def acknowledge_up_to(self, last: int) -> None:
        self.acknowledged.append(last)


@asynccontextmanager
async def at_work(broker: Broker, batch_max: int = 3) -> AsyncIterator[Callable[[range], None]]:
    """A lane, and how messages come to it."""
    lane = Lane(broker.publish, broker.acknowledge_up_to, batch_max)
    stop = asyncio.Event()

    def arrive(messages: range) -> None:
        for message in messages:
            lane.arrive(message)

    running = asyncio.create_task(run_lanes([lane], stop))
    yield arrive
    stop.set()
    await running


async def settle_down() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_next_batch_goes_out_while_one_is_awaited_and_no_third() -> None:
    broker = Broker()
    async with at_work(broker) as arrive:
        arrive(range(9))
        await settle_down()

    assert broker.published == [[0, 1, 2], [3, 4, 5]]
    assert broker.acknowledged == []


async def test_batches_are_acknowledged_in_order_whichever_is_confirmed_first() -> None:
    broker = Broker()
    async with at_work(broker) as arrive:
        arrive(range(6))
        await settle_down()
        broker.confirms[1].set()
        await settle_down()
        before = list(broker.acknowledged)
        broker.confirms[0].set()
        await settle_down()

    assert before == []
    assert broker.acknowledged == [2, 5]


async def test_a_confirmed_batch_makes_room_for_another() -> None:
    broker = Broker()
    async with at_work(broker) as arrive:
        arrive(range(7))
        await settle_down()
        broker.confirms[0].set()
        await settle_down()

    assert broker.published == [[0, 1, 2], [3, 4, 5], [6]]


async def test_what_arrives_alone_is_a_batch_of_its_own() -> None:
    broker = Broker()
    async with at_work(broker) as arrive:
        await settle_down()
        arrive(range(1))
        await settle_down()

    assert broker.published == [[0]]


async def test_an_echo_that_is_not_taken_ends_the_peer() -> None:
    async def refuse(_: Sequence[int]) -> None:
        raise AssertionError("an echo was not taken")

    lane = Lane(refuse, Broker().acknowledge_up_to)
    lane.arrive(1)

    with pytest.raises(ExceptionGroup):
        await run_lanes([lane], asyncio.Event())


def test_an_echo_has_enough_in_hand_for_its_batches_to_be_full() -> None:
    """While two of them are under way the next has arrived."""
    assert PREFETCH >= (UNDER_WAY + 1) * BATCH_MAX
