"""Publishing to addresses that senders chose, on a connection of its own.

An address can be made to break the channel that publishes to it: RabbitMQ 3.10 crashes on a forged direct reply-to.
Here that costs its own answer and nobody else's: the messages are published again half by half, and the one that breaks
the channel alone is given up.
"""

from collections.abc import Sequence

import structlog

from shared.rabbit.confirms import Receipt
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import ChannelBroken, Outgoing, PublishFailed

log = structlog.get_logger()


class Replies(LastingPublisher):
    """A lasting publisher whose messages cannot break each other."""

    async def publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """A receipt for each message; BROKEN for one that breaks the channel. A message may be published twice.

        Raises PublishFailed where the broker is away or, asked twice, does not confirm.
        """
        try:
            return await super().publish(messages)
        except PublishFailed:
            return await self._publish_again(messages)

    async def _publish_again(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        try:
            return await super().publish(messages)
        except ChannelBroken as broken:
            if len(messages) == 1:
                log.warning("reply_broke_channel", error=str(broken), message_type=messages[0].type)
                return [Receipt.BROKEN]
        middle = len(messages) // 2
        return await self._publish_again(messages[:middle]) + await self._publish_again(messages[middle:])
