"""Every answer of a round, consumed and held against the ledger. Runs in the load generator's process."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import uvloop
from pydantic_core import from_json, to_json

from bench.bills import request_ids
from bench.load import ANSWERS, LoadFailed, channel_to
from bench.population import PROVINCE
from bench.sessions import session
from shared.messages.envelope import Operation, Outcome
from shared.postgres.queries import load_queries
from shared.rabbit.connection import consume
from shared.rabbit.wire import Message

SQL = load_queries("bench", "answers.sql")
PREFETCH = 2_000
QUIET_S = 30.0
LOOKED_UP_TOGETHER = 10_000


def check(amqp_url: str, database_url: str | None, series: str, settlements: int) -> list[float]:
    """Empties the queue of answers: when each was there, by `time.perf_counter`, in the order in which they were asked for.

    All processes of the machine share that clock. Raises LoadFailed unless each settlement has exactly one answer, and that
    is what the ledger has decided; without a database they are an echo's, behind which there is none.
    """
    asked = request_ids(series, settlements)
    arrived = uvloop.run(_consume(amqp_url, asked))
    hold(database_url, asked, [answer for _, answer in arrived])
    if copies := len(arrived) - settlements:
        # A sender may get an answer twice. But the queue was taken for drained when it held as many as there are requests.
        raise LoadFailed(f"{copies} answers came twice: it was not drained when it seemed to be")
    return arrivals(asked, arrived)


def hold(database_url: str | None, asked: Collection[str], answers: Sequence[dict[str, Any]]) -> None:
    """Raises LoadFailed unless the answers to these requests are as `check` says."""
    kept = uvloop.run(decided(database_url, answers)) if database_url else None
    if problems := differences(asked, answers, kept):
        raise LoadFailed("; ".join(problems))


def arrivals(asked: Collection[str], arrived: Sequence[tuple[float, dict[str, Any]]]) -> list[float]:
    """When the answer to each of these requests came; of several copies the first is the one that was waited for."""
    by_name = {answer["request_id"]: at_s for at_s, answer in reversed(arrived)}
    return [by_name[name] for name in asked]


def differences(
    asked: Collection[str], answers: Iterable[dict[str, Any]], kept: Mapping[str, bytes] | None
) -> list[str]:
    """What is wrong with the answers to these requests, in words; copies may differ in `replayed` alone.

    There is money for every bill, so all are settled: whoever declines does less than what is measured. `kept` are the ledger's
    answers by their requests; an echo has none.
    """
    said: dict[str, set[bytes]] = defaultdict(set)
    not_settled, not_kept = set(), set()
    for answer in answers:
        request_id, words = answer["request_id"], as_decided(answer)
        said[request_id].add(words)
        if kept is None:
            continue
        if answer.get("outcome") != Outcome.SETTLED:
            not_settled.add(request_id)
        elif kept.get(request_id) != words:
            not_kept.add(request_id)
    found = {
        "not answered": set(asked) - said.keys(),
        "answered and never asked": said.keys() - set(asked),
        "answered in two ways": {request_id for request_id, ways in said.items() if len(ways) > 1},
        "not settled": not_settled,
        "not in the ledger as answered": not_kept,
    }
    return [f"{len(ids)} {what}, such as {min(ids)}" for what, ids in found.items() if ids]


def as_decided(answer: dict[str, Any]) -> bytes:
    """An answer without what tells a copy from the first."""
    return to_json({**answer, "replayed": None})


async def decided(database_url: str, answers: Iterable[dict[str, Any]]) -> dict[str, bytes]:
    """What the ledger has decided under the names of those who were answered, by request."""
    names = iter({answer["request_id"]: answer["institution_id"] for answer in answers}.items())
    kept: dict[str, bytes] = {}
    async with session(database_url) as connection:
        while together := list(islice(names, LOOKED_UP_TOGETHER)):
            requests, institutions = zip(*together, strict=True)
            for request_id, answer in await connection.fetch(SQL["decided"], PROVINCE, institutions, requests):
                kept[request_id] = as_decided(from_json(answer))
    return kept


def settlements_of(said: dict[str, Any]) -> list[dict[str, Any]]:
    """What one message says: the answer of each settlement of a bulk message, unless all of it was rejected."""
    answers: list[dict[str, Any]] | None = said.get("answers")
    return answers if said.get("operation") == Operation.SETTLE_BULK and answers else [said]


async def _consume(amqp_url: str, asked: Collection[str]) -> list[tuple[float, dict[str, Any]]]:
    """All answers there are, each with when it came; returns when everybody asked has one and the queue is empty, or when nothing comes any more.

    On the worker's own wire: while a queue drains, whoever takes its answers takes processor time from those who empty it.
    """
    arrived: asyncio.Queue[tuple[float, Message]] = asyncio.Queue()
    answers: list[tuple[float, dict[str, Any]]] = []
    missing, messages = set(asked), 0

    def arrive(message: Message) -> None:
        arrived.put_nowait((time.perf_counter(), message))

    async with channel_to(amqp_url, confirms=False) as channel:
        await channel.basic_qos(prefetch_count=PREFETCH)
        declared = await channel.queue_declare(queue=ANSWERS, passive=True)
        waiting = declared.message_count or 0
        await consume(channel, ANSWERS, arrive)
        try:
            while missing or messages < waiting:
                at_s, message = await asyncio.wait_for(arrived.get(), QUIET_S)
                messages += 1
                said = settlements_of(from_json(message.body))
                answers += [(at_s, answer) for answer in said]
                missing.difference_update(answer["request_id"] for answer in said)
                if arrived.empty():
                    await channel.basic_ack(message.delivery_tag, multiple=True)
        except TimeoutError:
            # What is missing is told by whoever looks at the answers.
            return answers
    return answers
