"""Publishing to addresses that senders chose, on a connection of its own.

An address can be made to break the channel that publishes to it: RabbitMQ 3.10 crashes on a direct reply-to that names a node it does not
know. Here that costs its own answer and nobody else's: whatever names a node that no answer has reached yet is published apart
from all others.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence

import structlog

from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import Brokers
from shared.rabbit.direct import Nodes, is_direct, node_of
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import ChannelBroken, Outgoing, PublishFailed

log = structlog.get_logger()


class Replies(LastingPublisher):
    """A lasting publisher whose messages cannot break each other."""

    def __init__(self, brokers: Brokers, nodes: Nodes, *, name: str) -> None:
        super().__init__(brokers, name=name)
        self._nodes = nodes

    async def publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """A receipt for each message; BROKEN for one that breaks the channel, and for what is not even tried: an address that no
        broker has made, a node that its sender may not name. A message may be published twice.

        Raises PublishFailed where the broker is away or, asked twice, does not confirm.
        """
        receipts = [Receipt.BROKEN] * len(messages)
        for node, places in self._apart(messages):
            together = [messages[place] for place in places]
            published = await (self._publish(together) if node is None else self._publish_to_node(node, together))
            for place, receipt in zip(places, published, strict=True):
                receipts[place] = receipt
        return receipts

    def _apart(self, messages: Sequence[Outgoing]) -> Iterator[tuple[str | None, list[int]]]:
        """What is published together, by its places: first all that is known to break nothing, then each other node's.

        Whoever has broken the channel meanwhile is left out.
        """
        harmless: list[int] = []
        unknown: defaultdict[str, list[int]] = defaultdict(list)
        for place, message in enumerate(messages):
            if not is_direct(message.routing_key):
                harmless.append(place)
            elif node := node_of(message.routing_key):
                (harmless if self._nodes.is_reached(node) else unknown[node]).append(place)
        yield None, harmless
        for node, places in unknown.items():
            now = asyncio.get_running_loop().time()
            yield node, [p for p in places if self._nodes.may_name(messages[p].on_behalf_of, node, now)]

    async def _publish_to_node(self, node: str, messages: Sequence[Outgoing]) -> list[Receipt]:
        """Messages that all name one node."""
        try:
            receipts = await self._publish_twice(messages)
        except ChannelBroken as broken:
            log.warning("reply_broke_channel", error=str(broken), message_type=messages[0].type, answers=len(messages))
            senders = {message.on_behalf_of for message in messages}
            self._nodes.broke(node, senders, asyncio.get_running_loop().time())
            return [Receipt.BROKEN] * len(messages)
        if messages:
            self._nodes.reached(node)
        return receipts

    async def _publish(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """Messages that break nothing, as far as is known; where one does, it is found."""
        try:
            return await self._publish_twice(messages)
        except ChannelBroken as broken:
            if nodes := {node for message in messages if (node := node_of(message.routing_key))}:
                self._nodes.doubt(nodes)
                return await self.publish(messages)
            if len(messages) == 1:
                log.warning("reply_broke_channel", error=str(broken), message_type=messages[0].type, answers=1)
                return [Receipt.BROKEN]
        middle = len(messages) // 2
        return await self._publish(messages[:middle]) + await self._publish(messages[middle:])

    async def _publish_twice(self, messages: Sequence[Outgoing]) -> list[Receipt]:
        """Once more where the broker was away or did not confirm; not where it closed the channel over them."""
        try:
            return await super().publish(messages)
        except ChannelBroken:
            raise
        except PublishFailed:
            return await super().publish(messages)
