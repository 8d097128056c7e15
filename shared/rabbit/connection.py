"""Plain connections to RabbitMQ under our own supervision.

A robust connection that heals itself has lost consumers after broker restarts for years. Here any close ends the
session that used the connection; whoever supervises starts another, with new connections, channels and consumer tags.
"""

import asyncio
import logging
from collections.abc import Sequence

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError

from shared.rabbit.tolerance import read_tolerantly

log = structlog.get_logger()

# Its errors reach whoever waits for the connection, who says it once and in its own words.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)

read_tolerantly()

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0
HEARTBEAT_S = 10

# What a broker that is away, going away or refusing raises, through aio-pika and the socket below it.
BrokerError = (AMQPError, OSError, TimeoutError, RuntimeError)


def hosts(urls: str) -> list[str]:
    """The brokers of a setting that names several, separated by commas."""
    return [url.strip() for url in urls.split(",") if url.strip()]


async def connect(urls: Sequence[str], *, name: str) -> AbstractConnection:
    """A plain connection to the first broker that takes one, tried in turn.

    Raises the last broker's error where none does.
    """
    assert urls, "no broker is named"
    refused: BaseException = OSError("no broker was tried")
    for url in urls:
        try:
            return await aio_pika.connect(
                url,
                timeout=CONNECT_TIMEOUT_S,
                heartbeat=HEARTBEAT_S,
                client_properties={"connection_name": name},
            )
        except BrokerError as error:
            log.info("broker_refused", error=type(error).__name__)
            refused = error
    raise refused


async def close(connection: AbstractConnection) -> None:
    """Closes a connection, whatever state it is in."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await connection.close()
    except BrokerError as error:
        log.info("broker_close_failed", error=type(error).__name__)


async def open_channel(connection: AbstractConnection, *, confirms: bool) -> Channel:
    """The protocol channel below aio-pika's: it can write a batch of messages together.

    `Exchange.publish` waits for the socket under a lock, one system call a message.
    An unroutable mandatory message raises at whoever awaits its confirm.
    """
    channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    underlay = await channel.get_underlay_channel()
    assert isinstance(underlay, Channel)
    return underlay
