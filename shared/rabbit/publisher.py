"""Publishing a batch together, each message confirmed by the broker."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Any

from aiormq.channel import Channel
from aiormq.exceptions import DeliveryError, PublishError
from pamqp.commands import Basic

from shared.rabbit.connection import BrokerError

DIRECT_REPLY = "amq.rabbitmq.reply-to"
CONFIRM_TIMEOUT_S = 15.0


class Receipt(Enum):
    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"
    REFUSED = "refused"


class PublishFailed(Exception):
    """The broker did not answer; the channel must not be used again."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A persistent message that some queue must take."""

    exchange: str
    routing_key: str
    body: bytes
    type: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    message_id: str | None = None
    user_id: str | None = None
    content_type: str | None = "application/json"


class Publisher:
    """Publishes on one channel in confirm mode."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        # aiormq matches a returned message by its message id, so each must be unique on its channel.
        self._prefix = secrets.token_hex(8)
        self._count = count(1)

    async def publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """A receipt for each message, once the broker has every one of them.

        A queue that is full or broken refuses a message; that is a receipt too, so that it harms no other message.
        Raises PublishFailed where a receipt does not come within CONFIRM_TIMEOUT_S, not counting the time in which the
        broker blocks publishers for lack of memory or disk: giving up then would only make everything come again.
        """
        if not messages:
            return []
        confirms = asyncio.gather(*(self._publish(message) for message in messages))
        # Where it is given up, nobody waits for what became of it.
        confirms.add_done_callback(lambda given_up: given_up.cancelled() or given_up.exception())
        try:
            while True:
                done, _ = await asyncio.wait([confirms], timeout=CONFIRM_TIMEOUT_S)
                if done:
                    return await confirms
                if not await self._blocked():
                    raise PublishFailed(f"not confirmed within {CONFIRM_TIMEOUT_S:g} s")
                await self._channel.connection.ready()
        except BrokerError as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error
        finally:
            confirms.cancel()

    async def _blocked(self) -> bool:
        """Whether the broker has raised an alarm that stops this connection from publishing."""
        try:
            async with asyncio.timeout(0):
                await self._channel.connection.ready()
        except TimeoutError:
            return True
        return False

    async def _publish(self, message: Outgoing) -> Receipt:
        properties = Basic.Properties(
            content_type=message.content_type,
            delivery_mode=2,
            message_type=message.type,
            message_id=message.message_id or f"{self._prefix}-{next(self._count)}",
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
            user_id=message.user_id,
            headers=dict(message.headers) or None,
        )
        try:
            await self._channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties,
                # RabbitMQ hands a direct reply to its client and yet calls it unroutable.
                mandatory=not message.routing_key.startswith(DIRECT_REPLY),
                wait=False,
            )
        except PublishError:
            return Receipt.UNROUTABLE
        except DeliveryError:
            return Receipt.REFUSED
        return Receipt.CONFIRMED
