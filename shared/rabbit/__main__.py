"""`python -m shared.rabbit declare`: makes the exchanges and queues that are missing."""

import asyncio
import os
import sys

from shared.rabbit.connection import connect, hosts, open_channel
from shared.rabbit.topology import declare


async def main() -> None:
    connection = await connect(hosts(os.environ["GONGJI_AMQP_URL"]), name="gongji-declare")
    try:
        await declare(await open_channel(connection, confirms=False))
    finally:
        await connection.close()


if __name__ == "__main__":
    if sys.argv[1:] != ["declare"] or "GONGJI_AMQP_URL" not in os.environ:
        sys.exit("usage: GONGJI_AMQP_URL=amqp://... python -m shared.rabbit declare")
    asyncio.run(main())
