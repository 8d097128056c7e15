"""The tests' own sender, which stands outside."""

import asyncio
from dataclasses import replace
from random import Random

from tests.support.correspondence import PAUSE_S, Correspondence, bills
from tests.support.proxy import Proxy
from tests.support.world import World, until


async def test_a_sender_leaves_a_broker_that_is_away_the_processor(world: World) -> None:
    """It tries again and again, with a pause between."""
    async with (
        Proxy.before(world.amqp_url, Random(1)) as proxy,  # noqa: S311 nothing is drawn here
        Correspondence.of(replace(world, amqp_url=proxy.url)) as sender,
    ):
        proxy.go_away()
        asked, began_s = proxy.asked, asyncio.get_running_loop().time()
        sending = asyncio.create_task(sender.send(bills(1)))
        await until(lambda: proxy.asked >= asked + 4)
        tried_s = asyncio.get_running_loop().time() - began_s
        proxy.come_back()
        await sending

    assert tried_s > 2 * PAUSE_S
