"""A tap on the way from the broker: what comes with every message is taken here, the rest goes on to the library.

The library reads a frame in three steps, passes it through two queues and starts a task for each message. Here the frames of
a whole read are taken at once: deliveries go straight to whoever asked for them, confirms to whoever publishes.
Channels nobody has asked about are left alone. Why: ADR 12.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from shared.rabbit import wire
from shared.rabbit.wire import Confirm, Message

READ_BYTES_MAX = 256 * 1024
# The library thinks the broker dead when it has not seen a frame for three heartbeats.
SIGN_OF_LIFE_EVERY_S = 1.0
SIGN_OF_LIFE = b"\x08\x00\x00\x00\x00\x00\x00\xce"


async def taken_by_the_tap(_: object) -> None:
    """What the library is given as a consumer's callback: it is never called."""
    raise AssertionError("a delivery went past the tap")


def all_of_it(size: int) -> int:
    return size


@dataclass(slots=True)
class ChannelTap:
    """Who wants what of one channel. What nobody wants goes on to the library.

    `keeps` says, of a delivered body of so many bytes, how many are kept; the rest is let go as it comes.
    """

    on_delivery: Callable[[Message], None] | None = None
    keeps: Callable[[int], int] = all_of_it
    on_ack: Callable[[Confirm], None] | None = None
    on_nack: Callable[[Confirm], None] | None = None
    on_return: Callable[[Message], None] | None = None
    _message: Message | None = None
    _finished: Callable[[Message], None] | None = None
    _bytes_missing: int = 0
    _bytes_wanted: int = 0
    _chunks: list[bytes] = field(default_factory=list)

    def takes(self, kind: int, payload: bytes) -> bool:
        """Takes a frame, or says that it is not for anybody here."""
        if kind == wire.METHOD:
            return self._takes_method(payload[:4], payload)
        if self._message is None:
            return False
        if kind == wire.HEADER:
            self._bytes_missing = size = wire.read_properties(payload, self._message)
            self._bytes_wanted = self.keeps(size)
            self._message.bytes_left_out = size - self._bytes_wanted
        else:
            if self._bytes_wanted > 0:
                self._chunks.append(payload[: self._bytes_wanted])
                self._bytes_wanted -= len(payload)
            self._bytes_missing -= len(payload)
        if self._bytes_missing <= 0:
            self._finish()
        return True

    def _takes_method(self, method: bytes, payload: bytes) -> bool:
        if method == wire.BASIC_DELIVER and self.on_delivery:
            self._message, self._finished = wire.read_deliver(payload), self.on_delivery
        elif method == wire.BASIC_ACK and self.on_ack:
            self.on_ack(wire.read_confirm(payload))
        elif method == wire.BASIC_NACK and self.on_nack:
            self.on_nack(wire.read_confirm(payload))
        elif method == wire.BASIC_RETURN and self.on_return:
            self._message, self._finished = wire.read_return(payload), self.on_return
        else:
            return False
        return True

    def _finish(self) -> None:
        message, finished = self._message, self._finished
        assert message
        assert finished
        message.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._message, self._finished = None, None
        self._chunks.clear()
        finished(message)


class Tap(TransportFactory):
    """Makes the connection to a broker, and stands between it and the library. `channels` by their number."""

    def __init__(self, seconds: Callable[[], float] = monotonic) -> None:
        self.channels: dict[int, ChannelTap] = {}
        self._seconds = seconds
        self._transport: asyncio.WriteTransport | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        transport = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await transport.create(url, **kwargs)
        self._transport = writer.transport
        return self.on(reader), writer

    @property
    def bytes_unsent(self) -> int:
        """What has been written and nobody has taken yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def abort(self) -> None:
        """Ends the connection at once, whatever is still to be sent."""
        if self._transport:
            self._transport.abort()

    def on(self, reader: asyncio.StreamReader) -> asyncio.StreamReader:
        """What is left of what `reader` reads."""
        return _Rest(reader, self.channels, self._seconds)


class _Rest(asyncio.StreamReader):
    """What the library gets to read: every byte but those of the frames that were taken."""

    def __init__(
        self, reader: asyncio.StreamReader, channels: dict[int, ChannelTap], seconds: Callable[[], float]
    ) -> None:
        super().__init__()
        self._reader = reader
        self._channels = channels
        self._seconds = seconds
        self._arrived = bytearray()
        self._rest = bytearray()
        self._last_rest_at = seconds()

    def at_eof(self) -> bool:
        return not self._rest and self._reader.at_eof()

    async def readexactly(self, n: int) -> bytes:
        while len(self._rest) < n:
            await self._read_on(n)
        taken = bytes(self._rest[:n])
        del self._rest[:n]
        return taken

    async def read(self, _n: int = -1) -> bytes:
        """All that is there; the library asks for it only to say what it could not understand."""
        taken = bytes(self._rest)
        self._rest.clear()
        return taken

    async def _read_on(self, expected: int) -> None:
        data = await self._reader.read(READ_BYTES_MAX)
        if not data:
            raise asyncio.IncompleteReadError(bytes(self._rest), expected)
        self._arrived += data
        if self._arrived.startswith(b"AMQP"):
            # No frame: the broker speaks another version of the protocol, and says which.
            self._rest += self._arrived
            self._arrived.clear()
            return
        self._sort()

    def _sort(self) -> None:
        """Each complete frame goes to its channel's tap, or on."""
        arrived, place = bytes(self._arrived), 0
        while place + wire.FRAME_HEAD.size < len(arrived):
            kind, channel, size = wire.FRAME_HEAD.unpack_from(arrived, place)
            start = place + wire.FRAME_HEAD.size
            end = start + size + len(wire.FRAME_END)
            if end > len(arrived):
                break
            tap = self._channels.get(channel)
            if tap is None or not tap.takes(kind, arrived[start : end - 1]):
                self._rest += arrived[place:end]
            place = end
        del self._arrived[:place]
        now = self._seconds()
        if self._rest:
            self._last_rest_at = now
        elif now - self._last_rest_at > SIGN_OF_LIFE_EVERY_S:
            self._rest += SIGN_OF_LIFE
            self._last_rest_at = now
