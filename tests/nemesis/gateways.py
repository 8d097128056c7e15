"""Those outside who send and do not wait: bundles without a `reply_to`, or bulk messages, answered to a lasting queue of results.

A till that hears nothing asks again, and so heals what was lost. Here it is seen: what the broker has confirmed is sent once.
"""

import asyncio
import random
import time
from contextlib import suppress

import orjson

from shared.rabbit.access import QUEUE_ARGUMENTS
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import BrokerError, Brokers, close, connect, hosts, open_channel
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing, PublishFailed
from shared.rabbit.topology import REQUESTS, RESULTS
from tests.nemesis.drawing import bulk, carried_by, drawn_many
from tests.nemesis.history import Asked, History
from tests.nemesis.town import PAUSE_S, REGION

GATEWAYS = 2
BUNDLE_MAX = 10
BULK_OFTEN = 0.3
BETWEEN_BUNDLES_S = (0.05, 0.4)
ANSWERED_WITHIN_S = 120.0
RESULTS_QUEUE = "results.nemesis"


async def open_results(amqp_url: str) -> None:
    """Makes the queue in which all results are found."""
    connection = await connect(hosts(amqp_url), name="nemesis")
    channel = await open_channel(connection, confirms=False)
    await channel.queue_declare(RESULTS_QUEUE, durable=True, arguments=QUEUE_ARGUMENTS)
    await channel.queue_bind(RESULTS_QUEUE, RESULTS, routing_key="#")
    await close(connection)


async def gateway(amqp_url: str, history: History, chance: random.Random, enough: asyncio.Event) -> None:
    """Sends one bundle after the other; of what is not confirmed nobody knows what became of it."""
    publisher = LastingPublisher(Brokers(hosts(amqp_url)), name="nemesis gateway")
    while not enough.is_set():
        many = chance.randint(1, BUNDLE_MAX)
        bundle = [bulk(history, chance, many)] if chance.random() < BULK_OFTEN else drawn_many(history, chance, many)
        with suppress(PublishFailed):
            receipts = await publisher.publish([_message(each) for each in bundle])
            for each, receipt in zip(bundle, receipts, strict=True):
                for carried in (each, *carried_by(each, history)):
                    carried.confirmed = receipt is Receipt.CONFIRMED
        if not all(each.confirmed for each in bundle):
            # A channel of RabbitMQ 3.10 that was refused for want of a leader is refused for ever.
            await publisher.close()
        await asyncio.sleep(chance.uniform(*BETWEEN_BUNDLES_S))
    await publisher.close()


def _message(asked: Asked) -> Outgoing:
    return Outgoing(REQUESTS, f"{asked.operation}.{REGION}", orjson.dumps(asked.body), type=asked.operation)


# ---- once the faults are over ----


async def hear_out(amqp_url: str, history: History) -> None:
    """Waits until everything that was confirmed is answered; what is not in time will be asked again, and was lost."""
    until_s = time.monotonic() + ANSWERED_WITHIN_S
    while history.left_open() and time.monotonic() < until_s:
        with suppress(*BrokerError):
            await collect(amqp_url, history)
        await asyncio.sleep(PAUSE_S)
    history.asked_again_s = time.monotonic()


async def collect(amqp_url: str, history: History) -> None:
    """Takes whatever results have come. Raises a BrokerError where the broker is away."""
    connection = await connect(hosts(amqp_url), name="nemesis collecting")
    try:
        channel = await open_channel(connection, confirms=False)
        while (message := await channel.basic_get(RESULTS_QUEUE)).delivery_tag is not None:
            answer = orjson.loads(message.body)
            if asked := history.asked.get(answer["request_id"]):
                history.hear(asked, asked.sent_s, answer)
            await channel.basic_ack(message.delivery_tag)
    finally:
        await close(connection)
