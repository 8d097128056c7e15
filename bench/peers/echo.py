"""Echo: consume, publish the same body, await the confirms, acknowledge. No database: what broker and client library do at most.

The library as it is, at its best: aiormq below aio-pika, `basic_consume` with a callback, a batch's `basic_publish(wait=False)`
gathered, one acknowledgement a batch, uvloop.
"""

import asyncio
from collections.abc import Sequence

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic

from bench.peers.echoing import ANSWER_TYPE, LANES, PREFETCH, Lane, run_lanes
from bench.peers.environment import PeerSettings, say_ready
from shared.rabbit.topology import RESULTS, SETTLEMENT
from shared.runtime.lifecycle import read_settings, run

PERSISTENT = 2
# With the ten that the library gives a channel, reader and channel take turns all the time.
FRAMES_BUFFERED = 1_000


async def echo(settings: PeerSettings, stop: asyncio.Event) -> None:
    """Echoes until stopped; what is in hand then stays unacknowledged."""
    # Apart, as a worker's are.
    consuming = await aiormq.connect(settings.amqp_url)
    publishing = await aiormq.connect(settings.amqp_url)
    try:
        lanes = [
            await lane_on(
                await consuming.channel(publisher_confirms=False, frame_buffer_size=FRAMES_BUFFERED),
                await publishing.channel(
                    publisher_confirms=True, on_return_raises=True, frame_buffer_size=FRAMES_BUFFERED
                ),
            )
            for _ in range(LANES)
        ]
        say_ready()
        await run_lanes(lanes, stop)
    finally:
        await consuming.close()
        await publishing.close()


async def lane_on(consuming: AbstractChannel, publishing: AbstractChannel) -> Lane[DeliveredMessage]:
    """A lane that consumes on one channel and publishes on the other."""
    # Only the class knows of `wait`, not its interface.
    assert isinstance(publishing, Channel)

    async def echoed(message: DeliveredMessage) -> None:
        receipt = await publishing.basic_publish(
            message.body,
            exchange=RESULTS,
            routing_key=message.routing_key or "",
            properties=Basic.Properties(
                content_type="application/json", delivery_mode=PERSISTENT, message_type=ANSWER_TYPE
            ),
            mandatory=True,
            wait=False,
        )
        assert isinstance(receipt, Basic.Ack), "an echo was not taken"

    async def publish(batch: Sequence[DeliveredMessage]) -> None:
        await asyncio.gather(*(echoed(message) for message in batch))

    async def acknowledge_up_to(last: DeliveredMessage) -> None:
        assert last.delivery_tag
        await consuming.basic_ack(last.delivery_tag, multiple=True, wait=False)

    lane = Lane(publish, acknowledge_up_to)

    async def on_delivery(message: DeliveredMessage) -> None:
        lane.arrive(message)

    await consuming.basic_qos(prefetch_count=PREFETCH)
    await consuming.basic_consume(SETTLEMENT, on_delivery)
    return lane


if __name__ == "__main__":
    settings = read_settings(PeerSettings)
    run(lambda stop: echo(settings, stop))
