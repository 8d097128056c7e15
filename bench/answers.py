"""Every answer of a round, consumed and checked. Runs in the load generator's process."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import uvloop
from aiormq.abc import DeliveredMessage
from pydantic_core import from_json, to_json

from bench.bills import Patients, bills
from bench.load import ANSWERS, LoadFailed, channel_to
from bench.population import Population
from shared.messages.envelope import Operation, Outcome

PREFETCH = 2_000
QUIET_S = 30.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered: how many have which outcome, and when each was decided, in the order in which they were asked.

    An echo has no outcome and was never decided.
    """

    outcomes: Mapping[str, int]
    decided_at: Sequence[float]

    def part_of(self, outcome: Outcome) -> float:
        """Which part of the answers has this outcome."""
        return round(self.outcomes.get(outcome, 0) / sum(self.outcomes.values()), 3)


def check(
    amqp_url: str, population: Population, series: str, settlements: int, patients: Patients | None = None
) -> Answered:
    """Empties the queue of answers. Raises LoadFailed unless each settlement has exactly one distinct decision."""
    asked = [bill.request_id for bill in islice(bills(population, series, patients), settlements)]
    found = list(uvloop.run(_consume(amqp_url, asked)))
    if problems := differences(asked, found):
        raise LoadFailed("; ".join(problems))
    by_name = {answer["request_id"]: answer for answer in found if "outcome" in answer}
    return Answered(
        Counter(answer["outcome"] for answer in by_name.values()),
        [datetime.fromisoformat(by_name[name]["decided_at"]).timestamp() for name in asked if name in by_name],
    )


def differences(asked: Collection[str], answers: Iterable[dict[str, Any]]) -> list[str]:
    """What is wrong with the answers to these requests, in words; copies may differ in `replayed` alone."""
    said: dict[str, set[bytes]] = defaultdict(set)
    rejected = set()
    for answer in answers:
        request_id = answer["request_id"]
        said[request_id].add(to_json({**answer, "replayed": None}))
        if answer.get("outcome") == Outcome.REJECTED:
            rejected.add(request_id)
    found = {
        "not answered": set(asked) - said.keys(),
        "answered and never asked": said.keys() - set(asked),
        "answered in two ways": {request_id for request_id, ways in said.items() if len(ways) > 1},
        "rejected": rejected,
    }
    return [f"{len(ids)} {what}, such as {min(ids)}" for what, ids in found.items() if ids]


def settlements_of(said: dict[str, Any]) -> list[dict[str, Any]]:
    """What one message says: the answer of each settlement of a bulk message, unless all of it was rejected."""
    answers: list[dict[str, Any]] | None = said.get("answers")
    return answers if said.get("operation") == Operation.SETTLE_BULK and answers else [said]


async def _consume(amqp_url: str, asked: Collection[str]) -> list[dict[str, Any]]:
    """All answers there are; returns when everybody asked has one and the queue is empty, or when nothing comes any more."""
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    answers: list[dict[str, Any]] = []
    missing, messages = set(asked), 0
    async with channel_to(amqp_url, confirms=False) as channel:
        await channel.basic_qos(prefetch_count=PREFETCH)
        declared = await channel.queue_declare(queue=ANSWERS, passive=True)
        waiting = declared.message_count or 0
        await channel.basic_consume(ANSWERS, arrived.put)
        try:
            while missing or messages < waiting:
                message = await asyncio.wait_for(arrived.get(), QUIET_S)
                messages += 1
                said = settlements_of(from_json(message.body))
                answers += said
                missing.difference_update(answer["request_id"] for answer in said)
                if message.delivery_tag and arrived.empty():
                    await channel.basic_ack(message.delivery_tag, multiple=True)
        except TimeoutError:
            # What is missing is told by whoever looks at the answers.
            return answers
    return answers
