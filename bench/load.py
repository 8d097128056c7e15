"""The load generator. It runs in a process of its own; what is called there takes and returns plain values."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

import uvloop
from aiormq.channel import Channel

from bench.bills import Patients, bills
from bench.population import AREA, Population
from shared.messages.envelope import Operation, Outcome
from shared.messages.settle import SettleRequest
from shared.rabbit import topology
from shared.rabbit.client import client
from shared.rabbit.connection import close, connect, hosts, open_channel
from shared.rabbit.publisher import Outgoing, Publisher, Receipt

ANSWERS = "bench.answers"
PUBLISHED_TOGETHER = 1_000
LOOK_EVERY_S = 0.05
DRAINED_WITHIN_S = 600.0


class LoadFailed(Exception):
    """What was sent was not taken or not answered as it must be."""


@dataclass(frozen=True, slots=True)
class Inquiries:
    """The latency of every quote of a phase; `drained_s` is when the last settlement was answered, if any waited."""

    latencies_s: list[float] = field(default_factory=list)
    drained_s: float | None = None


def publish(
    amqp_url: str, population: Population, series: str, settlements: int, patients: Patients | None = None
) -> None:
    """Puts settlements into the queue, each confirmed, their answers to be kept in a durable queue of the bench."""
    uvloop.run(_publish(amqp_url, islice(bills(population, series, patients), settlements)))


def drained_at_s(amqp_url: str, settlements: int) -> float:
    """When so many settlements were answered, by the clock that all processes of the machine share: time.perf_counter."""

    async def run() -> float:
        async with channel_to(amqp_url, confirms=False) as channel:
            return await _drained(channel, settlements)

    return uvloop.run(run())


def quote_for(amqp_url: str, population: Population, series: str, rate_per_s: float, duration_s: float) -> Inquiries:
    """Quotes at a steady rate for a while."""

    async def run() -> Inquiries:
        async with client(amqp_url, name="bench quotes") as till:
            quotes = round(rate_per_s * duration_s)
            return Inquiries(await open_loop(_quoting(till, population, series), rate_per_s, lambda n: n >= quotes))

    return uvloop.run(run())


def quote_until_drained(
    amqp_url: str, population: Population, series: str, rate_per_s: float, settlements: int
) -> Inquiries:
    """Quotes at a steady rate until so many settlements have been answered, from the first quote on."""

    async def run() -> Inquiries:
        async with client(amqp_url, name="bench quotes") as till, channel_to(amqp_url, confirms=False) as channel:
            began = time.perf_counter()
            draining = asyncio.create_task(_drained(channel, settlements))
            latencies_s = await open_loop(_quoting(till, population, series), rate_per_s, lambda _: draining.done())
            return Inquiries(latencies_s, await draining - began)

    return uvloop.run(run())


@asynccontextmanager
async def channel_to(amqp_url: str, *, confirms: bool) -> AsyncIterator[Channel]:
    """A channel on a connection of its own."""
    connection = await connect(hosts(amqp_url), name="bench")
    try:
        yield await open_channel(connection, confirms=confirms)
    finally:
        await close(connection)


async def open_loop(
    send: Callable[[int], Awaitable[None]],
    rate_per_s: float,
    over: Callable[[int], bool],
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
) -> list[float]:
    """Seconds from when each sending was due to its end, until `over` says so of the next number.

    Whether earlier ones are answered changes nothing about when the next is due, and a late start counts as latency: a
    stall is seen by everybody who would have come in its course.
    """
    latencies_s: list[float] = []

    async def timed(number: int, due: float) -> None:
        await send(number)
        latencies_s.append(clock() - due)

    began = clock()
    async with asyncio.TaskGroup() as sent:
        for number in count():
            due = began + number / rate_per_s
            await sleep(max(0.0, due - clock()))
            if over(number):
                break
            sent.create_task(timed(number, due))
    return latencies_s


def _quoting(till: Any, population: Population, series: str) -> Callable[[int], Awaitable[None]]:
    drawn = bills(population, series)

    async def quote(_: int) -> None:
        answer = await till.ask(Operation.QUOTE, AREA, next(drawn).model_dump_json().encode())
        if answer["outcome"] == Outcome.REJECTED:
            raise LoadFailed(f"a quote was rejected: {answer['reason']}")

    return quote


async def _publish(amqp_url: str, settlements: Iterator[SettleRequest]) -> None:
    async with channel_to(amqp_url, confirms=True) as channel:
        await channel.queue_declare(queue=ANSWERS, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind(queue=ANSWERS, exchange=topology.RESULTS, routing_key=f"{Operation.SETTLE}.#")
        publisher = Publisher(channel)
        while together := [_outgoing(bill) for bill in islice(settlements, PUBLISHED_TOGETHER)]:
            receipts = await publisher.publish(together)
            if any(receipt is not Receipt.CONFIRMED for receipt in receipts):
                raise LoadFailed("the broker did not take every request")


def _outgoing(bill: SettleRequest) -> Outgoing:
    return Outgoing(
        topology.REQUESTS,
        f"{Operation.SETTLE}.{bill.insured_region}",
        bill.model_dump_json().encode(),
        type=Operation.SETTLE,
    )


async def _drained(channel: Channel, settlements: int) -> float:
    """When the queue of answers held so many."""
    async with asyncio.timeout(DRAINED_WITHIN_S):
        while True:
            declared = await channel.queue_declare(queue=ANSWERS, passive=True)
            if (declared.message_count or 0) >= settlements:
                return time.perf_counter()
            await asyncio.sleep(LOOK_EVERY_S)
