"""Framework: FastStream and SQLAlchemy 2 asyncio, one transaction a message: what a Python team would reach for.

As their documentation advises: a `prefetch_count` that says how many handlers run at once, a pool with a connection for
each of them, which a commit leaves with nothing to roll back, logging of every message off, uvloop, garbage collected seldom.
FastStream reads the body into the contract's model. Acknowledged by hand, once the answer is confirmed.
"""

from collections.abc import Sequence
from typing import Any

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bench.peers.environment import PeerSettings, say_ready, session_of
from bench.peers.plain import SQL, Parameters, Plain, Row, addressed, run_async
from services.settlement.incoming import Sender
from shared.messages.settle import SettleRequest
from shared.rabbit.topology import RESULTS, SETTLEMENT
from shared.runtime.lifecycle import rarely_collect_garbage, read_settings

IN_FLIGHT = 16
STATEMENTS = {name: text(statement) for name, statement in SQL.items()}

settings = read_settings(PeerSettings)
engine = create_async_engine(
    settings.database_url.replace("postgresql://", "postgresql+asyncpg://", 1),
    pool_size=IN_FLIGHT,
    max_overflow=0,
    pool_reset_on_return=None,
    connect_args={"server_settings": session_of("framework")},
)
broker = RabbitBroker(
    settings.amqp_url, default_channel=Channel(prefetch_count=IN_FLIGHT, on_return_raises=True), logger=None
)
app = FastStream(broker, logger=None)
requests = RabbitQueue(SETTLEMENT, queue_type=QueueType.QUORUM, durable=True, declare=False)
results = RabbitExchange(RESULTS, declare=False)
plain = Plain()


@broker.subscriber(requests, ack_policy=AckPolicy.MANUAL)
async def settle(request: SettleRequest, message: RabbitMessage) -> None:
    """One bill, decided in a transaction of its own."""
    reply_to = message.raw_message.reply_to
    async with engine.begin() as connection:

        async def execute(name: str, parameters: Parameters) -> Sequence[Row]:
            result = await connection.execute(STATEMENTS[name], parameters)
            rows: Sequence[Any] = result.mappings().all() if result.returns_rows else ()
            return rows

        sender = Sender(message.raw_message.user_id, reply_to)
        answer = await run_async(plain.settlement(request, sender), execute)
    to = addressed(answer, reply_to)
    await broker.publish(
        to.body,
        exchange=results if to.exchange else None,
        routing_key=to.routing_key,
        persist=True,
        mandatory=bool(to.exchange),
        correlation_id=message.raw_message.correlation_id,
        content_type="application/json",
        message_type=to.type,
    )
    await message.ack()


@app.after_startup
async def ready() -> None:
    say_ready()


if __name__ == "__main__":
    rarely_collect_garbage()
    uvloop.run(app.run())
