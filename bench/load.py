"""The load generator. It runs in a process of its own; what is called there takes and returns plain values."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Protocol

import uvloop
from aiormq.channel import Channel

from bench.bills import Patients, bills, bulks
from bench.peers.tasks import task_of
from bench.population import AREA, Population
from shared.messages.bulk import SETTLEMENTS_MAX
from shared.messages.envelope import Operation, Outcome, Request
from shared.rabbit import topology
from shared.rabbit.client import Client, client
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, hosts, open_channel
from shared.rabbit.publisher import Outgoing, Publisher

ANSWERS = "bench.answers"
PUBLISHED_TOGETHER = 1_000
LOOK_EVERY_S = 0.02
NO_ANSWER_S = 60.0


class LoadFailed(Exception):
    """What was sent was not taken or not answered as it must be."""


@dataclass(frozen=True, slots=True)
class Beside:
    """The latency of everything that was asked beside a backlog, and how long the backlog took."""

    latencies_s: list[float]
    drained_s: float


class Publish(Protocol):
    """Puts so many settlements of a series into a queue, in messages of one kind or another."""

    def __call__(
        self,
        amqp_url: str,
        population: Population,
        series: str,
        settlements: int,
        patients: Patients | None = None,
        /,
    ) -> None: ...


def publish(
    amqp_url: str, population: Population, series: str, settlements: int, patients: Patients | None = None
) -> None:
    """Puts settlements into the queue, each confirmed, their answers to be kept in a durable queue of the bench."""
    drawn = islice(bills(population, series, patients), settlements)
    uvloop.run(_publish(amqp_url, (_request(Operation.SETTLE, bill) for bill in drawn)))


def publish_tasks(
    amqp_url: str, population: Population, series: str, settlements: int, patients: Patients | None = None
) -> None:
    """The same settlements as Celery's tasks, into a queue that a Celery worker has declared."""
    drawn = islice(bills(population, series, patients), settlements)
    uvloop.run(_publish(amqp_url, (task_of(bill) for bill in drawn)))


def publish_bulk(
    amqp_url: str, population: Population, series: str, settlements: int, patients: Patients | None = None
) -> None:
    """The same settlements in bulk messages."""
    drawn = islice(bills(population, series, patients), settlements)
    uvloop.run(_publish(amqp_url, (_request(Operation.SETTLE_BULK, bulk) for bulk in bulks(drawn))))


@dataclass(frozen=True, slots=True)
class Form:
    """In which messages settlements come, and how many to a message."""

    publish: Publish
    settlements_max: int = 1

    def messages(self, settlements: int) -> int:
        """In how many messages so many settlements come, and are answered."""
        return math.ceil(settlements / self.settlements_max)


SINGLE, TASKS, BULK = Form(publish), Form(publish_tasks), Form(publish_bulk, SETTLEMENTS_MAX)


def drained_at_s(amqp_url: str, messages: int) -> float:
    """When there were so many answers, by the clock that all processes of the machine share: time.perf_counter."""

    async def run() -> float:
        async with channel_to(amqp_url, confirms=False) as channel:
            return await _drained(channel, messages)

    return uvloop.run(run())


async def answers_are_taken(amqp_url: str) -> None:
    """Returns once somebody consumes the answers. Raises TimeoutError."""
    async with asyncio.timeout(NO_ANSWER_S), channel_to(amqp_url, confirms=False) as channel:
        while not (await channel.queue_declare(queue=ANSWERS, passive=True)).consumer_count:  # noqa: ASYNC110 - the broker sets no event
            await asyncio.sleep(LOOK_EVERY_S)


def ask_for(
    amqp_url: str, population: Population, series: str, operation: Operation, rate_per_s: float, duration_s: float
) -> list[float]:
    """Requests at a steady rate for a while: the latency of each, in seconds."""

    async def run() -> list[float]:
        async with client(amqp_url, name="bench asking") as asking:
            requests = round(rate_per_s * duration_s)
            ask = _asking(asking, operation, population, series)
            return await open_loop(ask, rate_per_s, lambda number: number >= requests)

    return uvloop.run(run())


def ask_until_drained(
    amqp_url: str,
    population: Population,
    series: str,
    operation: Operation,
    rate_per_s: float,
    requests_max: int,
    messages: int,
    began_s: float,
) -> Beside:
    """Requests at a steady rate until so many messages of a backlog have been answered; not more than `requests_max`.

    `began_s` is when those who drain it went on, by the clock that all processes of the machine share: time.perf_counter.
    """

    async def run() -> Beside:
        async with client(amqp_url, name="bench asking") as asking, channel_to(amqp_url, confirms=False) as channel:
            draining = asyncio.create_task(_drained(channel, messages))
            ask = _asking(asking, operation, population, series)
            latencies_s = await open_loop(ask, rate_per_s, lambda number: draining.done() or number >= requests_max)
            return Beside(latencies_s, await draining - began_s)

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


def _asking(
    asking: Client, operation: Operation, population: Population, series: str
) -> Callable[[int], Awaitable[None]]:
    drawn = bills(population, series)

    async def ask(_: int) -> None:
        answer = await asking.ask(operation, AREA, next(drawn).model_dump_json().encode())
        if answer["outcome"] != Outcome.SETTLED:
            raise LoadFailed(f"a {operation} was {answer['outcome']}: {answer['reason']}")

    return ask


def _request(operation: Operation, request: Request) -> Outgoing:
    return Outgoing(
        topology.REQUESTS,
        f"{operation}.{request.insured_region}",
        request.model_dump_json().encode(),
        type=operation,
    )


async def _publish(amqp_url: str, messages: Iterator[Outgoing]) -> None:
    async with channel_to(amqp_url, confirms=True) as channel:
        await channel.queue_declare(queue=ANSWERS, durable=True, arguments={"x-queue-type": "quorum"})
        for operation in (Operation.SETTLE, Operation.SETTLE_BULK):
            await channel.queue_bind(queue=ANSWERS, exchange=topology.RESULTS, routing_key=f"{operation}.#")
        publisher = Publisher(channel)
        while together := list(islice(messages, PUBLISHED_TOGETHER)):
            receipts = await publisher.publish(together)
            if any(receipt is not Receipt.CONFIRMED for receipt in receipts):
                raise LoadFailed("the broker did not take every request")


async def _drained(channel: Channel, messages: int) -> float:
    """When the queue of answers held so many. Raises LoadFailed where no further answer comes."""
    answered, changed = 0, time.perf_counter()
    while True:
        declared = await channel.queue_declare(queue=ANSWERS, passive=True)
        now, found = time.perf_counter(), declared.message_count or 0
        if found >= messages:
            return now
        if found != answered:
            answered, changed = found, now
        if now - changed > NO_ANSWER_S:
            raise LoadFailed(f"{answered} of {messages} messages were answered, and no further")
        await asyncio.sleep(LOOK_EVERY_S)
