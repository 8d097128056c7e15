"""A TCP proxy between a service and its server: it passes, refuses, delays, falls silent, cuts, or loses what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from yarl import URL

from deploy.devstack.ports import LOOPBACK
from shared.rabbit import wire
from tests.support.ports import free_port

READ_BYTES_MAX = 64 * 1024


class Towards(Enum):
    SERVER = "server"
    CLIENT = "client"


@dataclass(eq=False)
class Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    silent: bool = False

    def cut(self) -> None:
        """Both ends see a reset."""
        for end in (self.client, self.server):
            end.transport.abort()


# What goes on of what has come; empty where nothing does.
Passage = Callable[[Link, Towards, bytes], bytes]


def everything(_: Link, __: Towards, data: bytes) -> bytes:
    return data


@dataclass
class Proxy:
    """Stands before one server; what it does may be changed at any time, for all that comes from then on."""

    target: URL
    dice: Random
    port: int = field(default_factory=free_port)
    passage: Passage = everything
    delay_s_max: float = 0.0
    refusing: bool = False
    asked: int = 0
    links: set[Link] = field(default_factory=set)
    _silent: bool = False

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str, dice: Random) -> AsyncIterator["Proxy"]:
        """A proxy for as long as the block runs."""
        proxy = cls(URL(url), dice)
        server = await asyncio.start_server(proxy._serve, LOOPBACK, proxy.port)
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()

    @property
    def url(self) -> str:
        """The server's address with the proxy in its place."""
        return str(self.target.with_port(self.port))

    def cut(self) -> None:
        for link in list(self.links):
            link.cut()

    def go_away(self) -> None:
        """As a server does that stops: what is open is cut, what is new is refused."""
        self.refusing = True
        self.cut()

    def come_back(self) -> None:
        self.refusing = False

    def fall_silent(self) -> None:
        """Half-open: nothing is closed and nothing passes, neither on links that are there nor on new ones."""
        self._silent = True
        for link in self.links:
            link.silent = True

    def speak(self) -> None:
        """New links pass; those that were silenced stay so for good, as after a router has forgotten them."""
        self._silent = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        try:
            if self.refusing:
                raise ConnectionRefusedError
            from_server, to_server = await asyncio.open_connection(self.target.host, self.target.port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, to_server, self._silent)
        self.links.add(link)
        pumps = [
            asyncio.create_task(self._pump(link, Towards.SERVER, reader, to_server)),
            asyncio.create_task(self._pump(link, Towards.CLIENT, from_server, writer)),
        ]
        try:
            # Whichever end closes, the other is closed too; of a silent link it never hears.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if link.silent:
                await asyncio.wait(pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            link.cut()
            self.links.discard(link)

    async def _pump(
        self, link: Link, towards: Towards, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_BYTES_MAX):
                if self.delay_s_max:
                    await asyncio.sleep(self.dice.uniform(0, self.delay_s_max))
                if link.silent:
                    continue
                writer.write(self.passage(link, towards, data))
                await writer.drain()


def losing(method: bytes, towards: Towards, times: int, lost: Callable[[Link], None] = lambda _: None) -> Passage:
    """Loses the first frames of an AMQP method, `times` in all, and tells of each link that lost one."""
    unfinished: dict[Link, bytes] = {}
    left = times

    def passage(link: Link, direction: Towards, data: bytes) -> bytes:
        nonlocal left
        if direction is not towards or left == 0:
            return unfinished.pop(link, b"") + data if direction is towards else data
        arrived = unfinished.pop(link, b"") + data
        kept = bytearray()
        while (end := frame_end(arrived)) is not None:
            frame, arrived = arrived[:end], arrived[end:]
            if left and frame[wire.FRAME_HEAD.size :].startswith(method):
                left -= 1
                lost(link)
            else:
                kept += frame
        unfinished[link] = arrived
        return bytes(kept)

    return passage


def frame_end(data: bytes) -> int | None:
    """Where the first AMQP frame ends, or the greeting of a connection; None where it has not all arrived."""
    if data.startswith(b"AMQP"):
        return 8 if len(data) >= 8 else None
    if len(data) < wire.FRAME_HEAD.size:
        return None
    end = wire.FRAME_HEAD.size + wire.FRAME_HEAD.unpack_from(data)[2] + len(wire.FRAME_END)
    return int(end) if end <= len(data) else None
