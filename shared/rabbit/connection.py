"""Plain connections to RabbitMQ under our own supervision.

A robust connection that heals itself has lost consumers after broker restarts for years. Here any close ends the
session that used the connection; whoever supervises starts another, with new connections, channels and consumer tags.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import aiormq
import structlog
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError
from yarl import URL

from shared.rabbit.tap import ChannelTap, Tap, all_of_it, taken_by_the_tap
from shared.rabbit.tolerance import read_tolerantly
from shared.rabbit.wire import Message

log = structlog.get_logger()

# Its errors reach whoever waits for the connection, who says it once and in its own words.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)

read_tolerantly()

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0
HEARTBEAT_S = 10
# A broker may keep its heart beating and answer nothing: one that is cut off from its cluster does.
SILENCE_S = 15.0

# What a broker that is away, going away or refusing raises, through the library and the socket below it.
BrokerError = (AMQPError, OSError, TimeoutError, RuntimeError)


class Connection(aiormq.Connection):
    """A connection of the library's with a tap on it."""

    def __init__(self, url: str) -> None:
        self.broker = url
        self.tap = Tap()
        super().__init__(URL(url).update_query(heartbeat=HEARTBEAT_S), transport_factory=self.tap)


def hosts(urls: str) -> list[str]:
    """The brokers of a setting that names several, separated by commas."""
    return [url.strip() for url in urls.split(",") if url.strip()]


class Brokers:
    """Brokers in turn: one that takes no connection, or has failed one, is tried after the others from then on."""

    def __init__(self, urls: Sequence[str]) -> None:
        assert urls, "no broker is named"
        self._urls = list(urls)

    async def connect(self, *, name: str) -> Connection:
        """A plain connection to the first broker that takes one. Raises the last broker's error where none does."""
        refused: BaseException = OSError("no broker was tried")
        for url in tuple(self._urls):
            connection = Connection(url)
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await connection.connect(client_properties={"connection_name": name})
            except BrokerError as error:
                log.info("broker_refused", error=type(error).__name__)
                self._put_last(url)
                refused = error
            else:
                return connection
        raise refused

    def failed(self, connection: Connection) -> None:
        """Its broker may take connections and yet be of no use: one that is cut off from its cluster confirms nothing."""
        self._put_last(connection.broker)

    def _put_last(self, url: str) -> None:
        self._urls.remove(url)
        self._urls.append(url)


async def connect(urls: Sequence[str], *, name: str) -> Connection:
    """A plain connection to the first broker that takes one, tried in turn."""
    return await Brokers(urls).connect(name=name)


async def close(connection: Connection) -> None:
    """Closes a connection, whatever state it is in, within CLOSE_TIMEOUT_S."""
    closing = asyncio.ensure_future(connection.close())
    await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_S)
    if not closing.done():
        # The library waits until all is sent, also when it is cancelled; nobody may be there to read it.
        connection.tap.abort()
    try:
        await closing
    except BrokerError as error:
        log.info("broker_close_failed", error=type(error).__name__)


async def open_channel(connection: Connection, *, confirms: bool) -> Channel:
    """A channel, in confirm mode or not. Raises TimeoutError where the broker answers nothing."""
    async with asyncio.timeout(SILENCE_S):
        channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    assert isinstance(channel, Channel)
    # A number that was another channel's before is nobody's now.
    connection.tap.channels.pop(channel.number, None)
    return channel


async def consume(
    channel: Channel,
    queue: str,
    on_delivery: Callable[[Message], None],
    *,
    no_ack: bool = False,
    keeps: Callable[[int], int] = all_of_it,
) -> str:
    """Has every message of a queue handed over as it comes, of its body as much as is kept. Returns the consumer's tag."""
    tap = tap_of(channel)
    tap.on_delivery, tap.keeps = on_delivery, keeps
    consumed = await channel.basic_consume(queue, taken_by_the_tap, no_ack=no_ack, timeout=SILENCE_S)
    assert consumed.consumer_tag
    return consumed.consumer_tag


def tap_of(channel: Channel) -> ChannelTap:
    """Where to ask for what comes on a channel."""
    connection = channel.connection
    assert isinstance(connection, Connection)
    return connection.tap.channels.setdefault(channel.number, ChannelTap())
