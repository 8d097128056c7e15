"""A bookkeeper that does its duties when it is told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from services.bookkeeping.handler import Handler
from services.bookkeeping.relay import Relay
from shared.postgres.pool import create_pool
from tests.support.world import World


@asynccontextmanager
async def bookkeeping(world: World) -> AsyncIterator[Handler]:
    """On the world's servers and by its clock."""
    pool = await create_pool(world.database_url, role="gongji_bookkeeping", name="tests", size_max=5)
    relay = Relay([world.amqp_url])
    yield Handler(pool, world.clock, relay, months_ahead=2, close_after=timedelta(minutes=5))
    await relay.close()
    pool.terminate()
