"""Something that listens where a PostgreSQL should, and only ever says that it is starting up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deploy.devstack.ports import LOOPBACK
from tests.support.ports import free_port

# SSLRequest and GSSENCRequest have this length; a startup message is longer.
ENCRYPTION_REQUEST_BYTES = 8
FIELDS = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
STARTING_UP = b"E" + (len(FIELDS) + 4).to_bytes(4) + FIELDS


@dataclass
class StartingUp:
    """As a server is after a crash, until it has read its log again."""

    port: int
    refused: int = 0

    @classmethod
    @asynccontextmanager
    async def server(cls) -> AsyncIterator["StartingUp"]:
        stand_in = cls(free_port())
        server = await asyncio.start_server(stand_in._refuse, LOOPBACK, stand_in.port)
        yield stand_in
        server.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (length := int.from_bytes(await reader.readexactly(4))) == ENCRYPTION_REQUEST_BYTES:
            await reader.readexactly(4)
            writer.write(b"N")
        await reader.readexactly(length - 4)
        self.refused += 1
        writer.write(STARTING_UP)
        await writer.drain()
        writer.close()
