"""Exchanges and queues, declared by whoever comes first. Source: contract.md, "Messages".

The guarantees are arguments of the queues, not policies: a queue made by anybody has them. So are their limits, but for a queue that an
earlier release has made: arguments cannot be changed, and an operator limits that one by a policy. ADR 6, ADR 17.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import structlog
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError, ChannelPreconditionFailed

from shared.messages.catalogue import BULK_QUEUE, INQUIRY_QUEUE, SETTLEMENT_QUEUE
from shared.rabbit.connection import SILENCE_S, Connection, open_channel

log = structlog.get_logger()

REQUESTS = "gongji.requests"
RESULTS = "gongji.results"
# An exchange and its one queue: what a queue of the results has refused, under its routing key.
LATER = "gongji.results.later"
DEAD = "gongji.dead"
EVENTS = "gongji.events"
SETTLEMENT = SETTLEMENT_QUEUE
BULK = BULK_QUEUE
INQUIRY = INQUIRY_QUEUE

# A question need not stand in line behind payments, nor somebody at a till behind a gateway's thousands. A worker of its own
# gives each a processor too.
QUEUES: dict[str, tuple[str, ...]] = {
    SETTLEMENT: ("settle.*", "refund.*", "cancel.*", "credit.*", "transfer.*"),
    BULK: ("settle_bulk.*",),
    INQUIRY: ("quote.*", "lookup.*", "reconcile.*"),
}

# A message that has come this often and was never acknowledged takes the worker down with it.
DELIVERY_LIMIT = 20
# Looking at dead letters takes and returns them; RabbitMQ 4 would drop them after twenty looks, 3.10 knows no "never".
LOOKS_MAX = 1_000_000


GIB = 1024**3
# Some fourteen million requests of 600 bytes: what the whole country settles on a day. A sender beyond that is told at once that it was not taken.
REQUESTS_BYTES_MAX = 8 * GIB
# A million letters of a kibibyte, or sixteen thousand of the longest. In an honest week there is none.
DEAD_BYTES_MAX = 1 * GIB
# Some hundred thousand results.
LATER_BYTES_MAX = GIB // 4


class Differs(AMQPError):
    """An exchange or a queue is there and was made otherwise; the message says which, and how."""


KEPT: dict[str, Any] = {
    "x-delivery-limit": DELIVERY_LIMIT,
    "x-dead-letter-exchange": DEAD,
    # At-least-once dead lettering needs a queue that refuses rather than drops when it is full.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}
REQUESTS_LIMIT = {"x-max-length-bytes": REQUESTS_BYTES_MAX}
DEAD_LIMIT = {"x-max-length-bytes": DEAD_BYTES_MAX, "x-overflow": "reject-publish"}
LATER_LIMIT = {"x-max-length-bytes": LATER_BYTES_MAX, "x-overflow": "reject-publish"}


class About(StrEnum):
    """The headers of what a worker keeps at the broker: a dead letter, from where, when, and why; a result, when it was refused last."""

    QUEUE = "x-gongji-queue"
    REASON = "x-gongji-reason"
    PROBLEMS = "x-gongji-problems"
    DEAD_AT = "x-gongji-dead-at"
    # How many bytes of the body are missing at its end, where only the beginning was kept.
    BYTES_LEFT_OUT = "x-gongji-bytes-left-out"
    REFUSED_AT = "x-gongji-refused-at"


async def declare(channel: Channel) -> list[str]:
    """Makes everything that is missing. Returns the queues that an earlier release has made, which have no limit of their own.

    Raises Differs where something has not the guarantees.
    """
    try:
        for exchange in (REQUESTS, RESULTS, EVENTS):
            await channel.exchange_declare(exchange=exchange, exchange_type="topic", durable=True)
        await channel.exchange_declare(exchange=DEAD, exchange_type="fanout", durable=True)
        unlimited = await _declare_queue(channel, DEAD, {"x-delivery-limit": LOOKS_MAX}, DEAD_LIMIT)
        await channel.queue_bind(queue=DEAD, exchange=DEAD)
        await channel.exchange_declare(exchange=LATER, exchange_type="fanout", durable=True)
        unlimited += await _declare_queue(channel, LATER, {"x-delivery-limit": LOOKS_MAX}, LATER_LIMIT)
        await channel.queue_bind(queue=LATER, exchange=LATER)
        for queue, keys in QUEUES.items():
            unlimited += await _declare_queue(channel, queue, KEPT, REQUESTS_LIMIT)
            for key in keys:
                await channel.queue_bind(queue=queue, exchange=REQUESTS, routing_key=key)
    except ChannelPreconditionFailed as error:
        raise Differs(f"it was made otherwise, and must be made anew: {error}") from error
    if unlimited:
        log.warning("queues_without_limit", queues=unlimited)
    return unlimited


async def _declare_queue(
    channel: Channel, queue: str, guarantees: Mapping[str, Any], limit: Mapping[str, Any]
) -> list[str]:
    """The queue, if it is there without its limit."""
    arguments = {"x-queue-type": "quorum", **guarantees}
    connection = channel.connection
    assert isinstance(connection, Connection)
    # A channel of its own: the broker closes it where the queue differs.
    apart = await open_channel(connection, confirms=False)
    try:
        await apart.queue_declare(queue=queue, durable=True, arguments={**arguments, **limit}, timeout=SILENCE_S)
        await apart.close()
    except ChannelPreconditionFailed:
        await channel.queue_declare(queue=queue, durable=True, arguments=arguments, timeout=SILENCE_S)
        return [queue]
    return []
