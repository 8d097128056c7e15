"""One by one: aio-pika and asyncpg as their documentation shows them, one transaction a message, 16 in flight.

`queue.consume` with `message.process()`, `exchange.publish` with the confirms that a channel of aio-pika awaits by itself, a
pool of as many connections as messages are in flight, asyncpg's cache of prepared statements, uvloop, garbage collected seldom.
A transaction leaves nothing behind in a session, so the pool is told to reset none: that would be a round trip a message.
A message is acknowledged once its answer is confirmed, and given back where it fails.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import aio_pika
import asyncpg
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from bench.peers.environment import PeerSettings, say_ready, session_of
from bench.peers.plain import SQL, Addressed, Parameters, Plain, Row, addressed, numbered, run_async
from services.settlement.incoming import Sender
from services.settlement.model import Written
from shared.messages.settle import SettleRequest
from shared.rabbit.topology import RESULTS, SETTLEMENT
from shared.runtime.lifecycle import read_settings, run

IN_FLIGHT = 16
STATEMENTS = {name: numbered(statement) for name, statement in SQL.items()}


async def settle(pool: "asyncpg.Pool[asyncpg.Record]", plain: Plain, request: SettleRequest, sender: Sender) -> Written:
    """The answer to one bill, decided in a transaction of its own."""
    async with pool.acquire() as connection, connection.transaction():

        async def execute(name: str, parameters: Parameters) -> Sequence[Row]:
            statement, order = STATEMENTS[name]
            rows: Sequence[Any] = await connection.fetch(statement, *(parameters[each] for each in order))
            return rows

        return await run_async(plain.settlement(request, sender), execute)


async def work(settings: PeerSettings, stop: asyncio.Event) -> None:
    """Settles until stopped."""
    pool = await asyncpg.create_pool(
        settings.database_url,
        min_size=IN_FLIGHT,
        max_size=IN_FLIGHT,
        reset=leave_as_it_is,
        server_settings=session_of("one-by-one"),
    )
    connection = await aio_pika.connect_robust(settings.amqp_url)
    async with pool, connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=IN_FLIGHT)
        results = await channel.get_exchange(RESULTS)
        queue = await channel.get_queue(SETTLEMENT)
        plain = Plain()

        async def on_message(message: AbstractIncomingMessage) -> None:
            async with message.process(requeue=True):
                request = SettleRequest.model_validate_json(message.body)
                answer = await settle(pool, plain, request, Sender(message.user_id, message.reply_to))
                to = addressed(answer, message.reply_to)
                exchange = results if to.exchange else channel.default_exchange
                await publish(exchange, to, message.correlation_id)

        tag = await queue.consume(on_message)
        say_ready()
        await stop.wait()
        await queue.cancel(tag)


async def leave_as_it_is(_: object) -> None:
    """How a session is returned to the pool."""


async def publish(exchange: AbstractExchange, to: Addressed, correlation_id: str | None) -> None:
    """Returns once the broker has the answer."""
    message = aio_pika.Message(
        to.body,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        correlation_id=correlation_id,
        type=to.type,
    )
    # RabbitMQ hands a direct reply to its client and yet calls it unroutable.
    await exchange.publish(message, to.routing_key, mandatory=bool(to.exchange))


if __name__ == "__main__":
    settings = read_settings(PeerSettings)
    run(lambda stop: work(settings, stop))
