"""A bookkeeper whose way to PostgreSQL falls silent for a moment: it does not wait for an answer that never comes."""

from contextlib import AsyncExitStack
from functools import partial
from random import Random

import pytest

from services.bookkeeping.handler import DUTY_S_MAX
from tests.support.processes import ServiceProcess
from tests.support.proxy import Link, Proxy, Towards
from tests.support.world import World, until

pytestmark = pytest.mark.long


async def test_what_a_silence_has_interrupted_is_sealed_soon(town: World, stack: AsyncExitStack, dice: Random) -> None:
    """The link that carried the seal stays silent for good, as after a router has forgotten it; the next one passes."""
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    asked = False

    def forgotten(link: Link, towards: Towards, data: bytes) -> bytes:
        nonlocal asked
        if towards is Towards.SERVER and b"DELETE FROM ledger.pages" in data and not asked:
            asked = link.silent = True
            return b""
        return data

    proxy.passage = forgotten
    bookkeeper = ServiceProcess("bookkeeping", town, GONGJI_SEAL_EVERY_S="0.1", GONGJI_DATABASE_URL=proxy.url)
    stack.callback(bookkeeper.kill)
    town.start_worker()

    await town.settle(amount_fen=1_000)

    await until(lambda: asked)
    await until(partial(everything_is_sealed, town), timeout_s=DUTY_S_MAX + 20)


async def everything_is_sealed(world: World) -> bool:
    return await world.count("ledger.pages") == 0
