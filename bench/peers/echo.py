"""Echo: consume, publish the same body, await the confirms, acknowledge. No database: what broker and client can do at most.

It stands on the worker's own channels and publisher and takes as many messages together as a worker does, so it gains
from whatever the worker gains there.
"""

import asyncio
from collections import deque

from bench.peers.environment import PeerSettings, say_ready
from services.settlement.settings import SettlementSettings
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import close, connect, hosts, open_channel, tap_of
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.tap import taken_by_the_tap
from shared.rabbit.topology import RESULTS, SETTLEMENT
from shared.rabbit.wire import Message
from shared.runtime.lifecycle import read_settings, run

BATCH_MAX: int = SettlementSettings.model_fields["batch_max"].default
PREFETCH: int = SettlementSettings.model_fields["prefetch"].default


async def echo(settings: PeerSettings, stop: asyncio.Event) -> None:
    """Echoes until stopped; what is in hand then stays unacknowledged."""
    brokers = hosts(settings.amqp_url)
    consuming = await connect(brokers, name="bench echo consuming")
    publishing = await connect(brokers, name="bench echo publishing")
    try:
        channel = await open_channel(consuming, confirms=False)
        publisher = Publisher(await open_channel(publishing, confirms=True))
        arrived: deque[Message] = deque()
        wake = asyncio.Event()

        def on_delivery(message: Message) -> None:
            arrived.append(message)
            wake.set()

        await channel.basic_qos(prefetch_count=PREFETCH)
        tap_of(channel).on_delivery = on_delivery
        await channel.basic_consume(SETTLEMENT, taken_by_the_tap)
        say_ready()
        stopping = asyncio.create_task(_wake_on(stop, wake))
        while not stop.is_set():
            if not arrived:
                wake.clear()
                await wake.wait()
                continue
            batch = [arrived.popleft() for _ in range(min(len(arrived), BATCH_MAX))]
            receipts = await publisher.publish([_echoed(message) for message in batch])
            assert all(receipt is Receipt.CONFIRMED for receipt in receipts), "an echo was not taken"
            await channel.basic_ack(batch[-1].delivery_tag, multiple=True, wait=False)
        stopping.cancel()
    finally:
        await close(consuming)
        await close(publishing)


async def _wake_on(stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    wake.set()


def _echoed(message: Message) -> Outgoing:
    return Outgoing(RESULTS, message.routing_key, message.body, type="settle.result")


if __name__ == "__main__":
    settings = read_settings(PeerSettings)
    run(lambda stop: echo(settings, stop))
