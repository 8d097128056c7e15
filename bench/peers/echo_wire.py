"""The same echo on the worker's own wire: the tap takes deliveries and confirms, the publisher writes a batch in one piece.

What broker and this wire do at most; so it gains from whatever the worker gains there. Why there is one: docs/adr/0012.
"""

import asyncio
from collections.abc import Sequence

from aiormq.channel import Channel

from bench.peers.echoing import ANSWER_TYPE, LANES, PREFETCH, Lane, run_lanes
from bench.peers.environment import PeerSettings, say_ready
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, consume, hosts, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import RESULTS, SETTLEMENT
from shared.rabbit.wire import Message
from shared.runtime.lifecycle import read_settings, run


async def echo(settings: PeerSettings, stop: asyncio.Event) -> None:
    """Echoes until stopped; what is in hand then stays unacknowledged."""
    brokers = hosts(settings.amqp_url)
    # Apart, as a worker's are.
    consuming = await connect(brokers, name="bench echo consuming")
    publishing = await connect(brokers, name="bench echo publishing")
    try:
        lanes = [
            await lane_on(
                await open_channel(consuming, confirms=False), Publisher(await open_channel(publishing, confirms=True))
            )
            for _ in range(LANES)
        ]
        say_ready()
        await run_lanes(lanes, stop)
    finally:
        await close(consuming)
        await close(publishing)


async def lane_on(consuming: Channel, publisher: Publisher) -> Lane[Message]:
    """A lane that consumes on a channel and publishes through a publisher."""

    async def publish(batch: Sequence[Message]) -> None:
        receipts = await publisher.publish([_echoed(message) for message in batch])
        assert all(receipt is Receipt.CONFIRMED for receipt in receipts), "an echo was not taken"

    async def acknowledge_up_to(last: Message) -> None:
        await consuming.basic_ack(last.delivery_tag, multiple=True, wait=False)

    lane = Lane(publish, acknowledge_up_to)
    await consuming.basic_qos(prefetch_count=PREFETCH)
    await consume(consuming, SETTLEMENT, lane.arrive)
    return lane


def _echoed(message: Message) -> Outgoing:
    return Outgoing(RESULTS, message.routing_key, message.body, type=ANSWER_TYPE)


if __name__ == "__main__":
    settings = read_settings(PeerSettings)
    run(lambda stop: echo(settings, stop))
