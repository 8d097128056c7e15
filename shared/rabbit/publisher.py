"""Publishing a batch together, each message confirmed by the broker."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import field
from itertools import count
from typing import Any

from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelClosed, ConnectionInternalError

from shared.domain.values import dataclass
from shared.rabbit import wire
from shared.rabbit.confirms import Confirms, Receipt, Receipts
from shared.rabbit.connection import BrokerError, tap_of
from shared.rabbit.direct import is_direct

CONFIRM_TIMEOUT_S = 15.0


class PublishFailed(Exception):
    """The broker did not answer; the channel must not be used again."""


class ChannelBroken(PublishFailed):
    """The broker closed the channel over what was published on it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A persistent message that some queue must take.

    `on_behalf_of`: the user of the broker who named the address, where senders are authenticated. It is not sent.
    """

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
    on_behalf_of: str | None = None


class Publisher:
    """Publishes on one channel in confirm mode; nobody else publishes on it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._confirms = Confirms(tap_of(channel))
        # A returned message is told by its message id, so each must be unique on its channel.
        self._prefix = secrets.token_hex(8)
        self._count = count(1)

    @property
    def is_closed(self) -> bool:
        return self._channel.is_closed

    async def publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """A receipt for each message, once the broker has every one of them.

        A queue that is full or broken refuses a message; that is a receipt too, so that it harms no other message.
        Raises PublishFailed where a receipt does not come within CONFIRM_TIMEOUT_S, not counting the time in which the
        broker blocks publishers for lack of memory or disk: giving up then would only make everything come again.
        Raises ValueError for a routing key or property that AMQP cannot write; then nothing was published.
        """
        if not messages:
            return []
        message_ids = [message.message_id or f"{self._prefix}-{next(self._count)}" for message in messages]
        frame_max = self._channel.connection.connection_tune.frame_max
        # Written together: one system call for a batch instead of one a message.
        payload = b"".join(
            _frames(self._channel.number, frame_max, message, message_id)
            for message, message_id in zip(messages, message_ids, strict=True)
        )
        closing = self._channel.closing
        try:
            if closing.done():
                raise PublishFailed("the channel is closed")
            return await self._complete(await self._send(payload, message_ids, closing), closing)
        except BrokerError as error:
            raise PublishFailed(f"{type(error).__name__}: {error}") from error
        finally:
            closing.cancel()

    async def _send(self, payload: bytes, message_ids: list[str], closing: asyncio.Future[Any]) -> Receipts:
        """Hands the frames to the connection, which writes them in this order, and numbers them in the same step."""

        async def send() -> Receipts:
            await self._channel.write_queue.put(ChannelFrame(payload, should_close=False))
            return self._confirms.expect(message_ids)

        # A connection that has died under us takes nothing any more, and would keep us waiting.
        sending = asyncio.create_task(send())
        try:
            await asyncio.wait([sending, closing], return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise PublishFailed("the channel was closed")
            return sending.result()
        finally:
            sending.cancel()

    async def _complete(self, expected: Receipts, closing: asyncio.Future[Any]) -> list[Receipt]:
        while True:
            done, _ = await asyncio.wait(
                [expected.complete, closing], timeout=CONFIRM_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if expected.complete in done:
                return expected.complete.result()
            if done:
                raise _failure(closing)
            if not await self.blocked():
                raise PublishFailed(f"not confirmed within {CONFIRM_TIMEOUT_S:g} s")
            # A connection that dies during an alarm never becomes ready.
            ready: asyncio.Future[Any] = asyncio.ensure_future(self._channel.connection.ready())
            await asyncio.wait([ready, expected.complete, closing], return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()

    async def blocked(self) -> bool:
        """Whether the broker has raised an alarm that stops this connection from publishing."""
        if self.is_closed:
            # One that died in an alarm never hears of its end.
            return False
        try:
            async with asyncio.timeout(0):
                await self._channel.connection.ready()
        except TimeoutError:
            return True
        return False


def _failure(closing: asyncio.Future[Any]) -> PublishFailed:
    """A broker that goes away, or is told to, closes connections too, but in another way."""
    cause = None if closing.cancelled() else closing.exception()
    message = f"the channel was closed before every message was confirmed ({type(cause).__name__})"
    if isinstance(cause, (ChannelClosed, ConnectionInternalError)):
        return ChannelBroken(message)
    return PublishFailed(message)


def _frames(channel: int, frame_max: int, message: Outgoing, message_id: str) -> bytes:
    return wire.publish(
        channel,
        frame_max,
        message.body,
        exchange=message.exchange,
        routing_key=message.routing_key,
        # RabbitMQ hands a direct reply to its client and yet calls it unroutable.
        mandatory=not is_direct(message.routing_key),
        properties={
            wire.CONTENT_TYPE: message.content_type,
            wire.CORRELATION_ID: message.correlation_id,
            wire.REPLY_TO: message.reply_to,
            wire.MESSAGE_ID: message_id,
            wire.TYPE: message.type,
            wire.USER_ID: message.user_id,
        },
        headers=message.headers,
    )
