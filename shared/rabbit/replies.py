"""Publishing to addresses that senders chose, on a connection of its own.

An address can be made to break the channel that publishes to it: RabbitMQ 3.10 crashes on a forged direct reply-to.
Here that costs its own answer and nobody else's: the messages are published again one by one, and the one that breaks
the channel again is refused.
"""

from collections.abc import Sequence

import structlog
from aio_pika.abc import AbstractConnection

from shared.rabbit.connection import BrokerError, close, connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher, PublishFailed, Receipt

log = structlog.get_logger()


class Replies:
    """A publisher that outlives its channel."""

    def __init__(self, brokers: Sequence[str], *, name: str) -> None:
        self._brokers = brokers
        self._name = name
        self._connection: AbstractConnection | None = None
        self._publisher: Publisher | None = None

    async def publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """A receipt for each message; REFUSED for one that breaks the channel. A message may be published twice.

        Raises PublishFailed where the broker takes no connection.
        """
        if not messages:
            return []
        publisher = await self._open()
        try:
            return await publisher.publish(messages)
        except PublishFailed:
            await self.close()
        return [await self._publish_alone(message) for message in messages]

    async def _publish_alone(self, message: Outgoing) -> Receipt:
        publisher = await self._open()
        try:
            (receipt,) = await publisher.publish([message])
        except PublishFailed as failed:
            log.warning("reply_broke_channel", error=str(failed), message_type=message.type)
            await self.close()
            return Receipt.REFUSED
        return receipt

    async def _open(self) -> Publisher:
        if self._publisher is None:
            try:
                self._connection = await connect(self._brokers, name=self._name)
                self._publisher = Publisher(await open_channel(self._connection, confirms=True))
            except BrokerError as error:
                raise PublishFailed(f"{type(error).__name__}: {error}") from error
        return self._publisher

    async def close(self) -> None:
        connection, self._connection, self._publisher = self._connection, None, None
        if connection is not None:
            await close(connection)
