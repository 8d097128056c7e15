"""Exchanges and queues, declared by whoever comes first. Source: contract.md, "Messages".

The guarantees are arguments of the queues, not policies: a queue made by anybody has them.
"""

from enum import StrEnum

from aiormq.abc import AbstractChannel

from shared.messages.catalogue import BULK_QUEUE, INQUIRY_QUEUE, SETTLEMENT_QUEUE

REQUESTS = "gongji.requests"
RESULTS = "gongji.results"
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


class About(StrEnum):
    """The headers of a dead letter that the worker put aside: from where, when, and why."""

    QUEUE = "x-gongji-queue"
    REASON = "x-gongji-reason"
    PROBLEMS = "x-gongji-problems"
    DEAD_AT = "x-gongji-dead-at"
    # How many bytes of the body are missing at its end, where only the beginning was kept.
    BYTES_LEFT_OUT = "x-gongji-bytes-left-out"


async def declare(channel: AbstractChannel) -> None:
    """Makes everything that is missing. Raises ChannelPreconditionFailed where something differs."""
    await channel.exchange_declare(exchange=REQUESTS, exchange_type="topic", durable=True)
    await channel.exchange_declare(exchange=RESULTS, exchange_type="topic", durable=True)
    await channel.exchange_declare(exchange=EVENTS, exchange_type="topic", durable=True)
    await channel.exchange_declare(exchange=DEAD, exchange_type="fanout", durable=True)
    await channel.queue_declare(
        queue=DEAD, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": LOOKS_MAX}
    )
    await channel.queue_bind(queue=DEAD, exchange=DEAD)
    for queue, keys in QUEUES.items():
        await channel.queue_declare(
            queue=queue,
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD,
                # At-least-once dead lettering needs a queue that refuses rather than drops when it is full.
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        for key in keys:
            await channel.queue_bind(queue=queue, exchange=REQUESTS, routing_key=key)
