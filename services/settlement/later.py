"""Results that their queue has refused: published again until it takes them. ADR 18.

They stand in a line of their own at the broker. What is refused once more goes to its end, so that a queue which is full
for good keeps no other result from its turn. Who is in front was refused the longest ago.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from aiormq.channel import Channel

from services.settlement import metrics
from services.settlement.deliveries import kept_for_later
from shared.domain.times import Clock
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import SILENCE_S
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing
from shared.rabbit.topology import LATER, RESULTS, About

log = structlog.get_logger()

# Where several queues are bound to a result and one is full, the others get it each time that it is tried.
AGAIN_AFTER_S = 30.0
# Published together; and the most that one round takes, so that a session is not all of it.
TOGETHER_MAX = 100
ROUND_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Later:
    """One broker session's rounds over what is kept; acknowledgements have a channel of their own."""

    channel: Channel
    publisher: LastingPublisher
    clock: Clock

    async def publish_again(self, waiting: int) -> None:
        """Tries each of so many results once, if its time has come. Raises what ends the broker session; what was not acknowledged stays in the line."""
        left = min(waiting, ROUND_MAX)
        while left > 0 and (taken := await self._take(min(left, TOGETHER_MAX))):
            left -= len(taken)
            await self._forward(taken)

    async def _take(self, most: int) -> list[Any]:
        taken: list[Any] = []
        while len(taken) < most:
            message = await self.channel.basic_get(LATER, timeout=SILENCE_S)
            if message.delivery_tag is None:
                break
            if not _is_due(message, self.clock()):
                await self.channel.basic_nack(message.delivery_tag, requeue=True, wait=False)
                break
            taken.append(message)
        return taken

    async def _forward(self, taken: Sequence[Any]) -> None:
        receipts = await self.publisher.publish([_result(message) for message in taken])
        refused = [message for message, receipt in zip(taken, receipts, strict=True) if receipt is Receipt.REFUSED]
        if unroutable := receipts.count(Receipt.UNROUTABLE):
            # Its queue is gone meanwhile; a lookup tells.
            metrics.UNDELIVERED.labels(Receipt.UNROUTABLE.value).inc(unroutable)
            log.warning("results_undelivered", receipt=Receipt.UNROUTABLE.value, results=unroutable)
        if refused:
            # RabbitMQ 3.10 refuses for ever on a channel that came while a queue had no leader.
            await self.publisher.close()
        now = self.clock()
        again = await self.publisher.publish([kept_for_later(_result(message), now) for message in refused])
        kept = [message for message, receipt in zip(refused, again, strict=True) if receipt is not Receipt.CONFIRMED]
        for message in taken:
            if message in kept:
                await self.channel.basic_nack(message.delivery_tag, requeue=True, wait=False)
            else:
                await self.channel.basic_ack(message.delivery_tag, wait=False)


def _is_due(message: Any, now: datetime) -> bool:
    refused_at = (message.header.properties.headers or {}).get(About.REFUSED_AT)
    if not isinstance(refused_at, str):
        return True
    # A worker whose clock is ahead keeps nobody waiting.
    return not timedelta(0) <= now - datetime.fromisoformat(refused_at) < timedelta(seconds=AGAIN_AFTER_S)


def _result(message: Any) -> Outgoing:
    properties = message.header.properties
    return Outgoing(
        RESULTS,
        message.delivery.routing_key,
        message.body,
        type=properties.message_type,
        correlation_id=properties.correlation_id,
        content_type=properties.content_type,
    )
