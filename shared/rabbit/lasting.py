"""A publisher that outlives its connection: whatever breaks it, the next message is published on a new one."""

import asyncio
from collections.abc import Sequence

from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import BrokerError, Brokers, Connection, close, open_channel
from shared.rabbit.publisher import ChannelBroken, Outgoing, Publisher, PublishFailed


class LastingPublisher:
    """Connects on first use, and again after a failure, then to the next broker in turn."""

    def __init__(self, brokers: Brokers, *, name: str) -> None:
        self._brokers = brokers
        self._name = name
        self._connection: Connection | None = None
        self._publisher: Publisher | None = None
        self._opening = asyncio.Lock()

    async def publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """A receipt for each message. Raises PublishFailed where the broker is away or does not confirm."""
        if not messages:
            return []
        publisher = await self.open()
        try:
            return await publisher.publish(messages)
        except PublishFailed as failed:
            # Somebody else may have met the same failure first, and be at work on the next connection.
            if self._connection and self._publisher is publisher:
                if not isinstance(failed, ChannelBroken):
                    self._brokers.failed(self._connection)
                await self.close()
            raise

    async def open(self) -> Publisher:
        """The publisher of today's connection. Raises PublishFailed where the broker takes none."""
        async with self._opening:
            if self._publisher and self._publisher.is_closed:
                await self.close()
            if self._publisher is None:
                try:
                    self._connection = await self._brokers.connect(name=self._name)
                    self._publisher = Publisher(await open_channel(self._connection, confirms=True))
                except BrokerError as error:
                    await self.close()
                    raise PublishFailed(f"{type(error).__name__}: {error}") from error
            return self._publisher

    async def blocked(self) -> bool:
        """Whether the broker has raised an alarm that stops this connection from publishing."""
        return self._publisher is not None and await self._publisher.blocked()

    async def close(self) -> None:
        connection, self._connection, self._publisher = self._connection, None, None
        if connection is not None:
            await close(connection)
