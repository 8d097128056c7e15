"""A bookkeeper that is killed with -9 again and again, while three workers commit at once: no movement is skipped."""

import asyncio
from functools import partial
from itertools import count

import pytest

from shared.domain.ids import public_id
from tests.support.listener import Listener
from tests.support.processes import ServiceProcess
from tests.support.world import World, until

KILLS = 4


@pytest.fixture
async def world_at_work(world: World) -> World:
    """Three workers and a family."""
    for _ in range(3):
        world.start_worker()
    await world.family("MOTHER", "FATHER", fen=10_000_000)
    return world


async def test_every_movement_is_told_at_least_once_and_after_what_it_undoes(world_at_work: World) -> None:
    """Killed between a seal and its events, between events, before it remembers: it tells again, and forgets nothing."""
    world = world_at_work
    async with Listener.on(world.amqp_url, "account.#") as listener:
        enough = asyncio.Event()
        paying = asyncio.create_task(pay_and_refund(world, enough))
        for _ in range(KILLS):
            bookkeeper = ServiceProcess("bookkeeping", world, GONGJI_SEAL_EVERY_S="0.05")
            await until(partial(has_heard_more, listener, len(listener.events)))
            bookkeeper.kill()
        enough.set()
        await paying
        bookkeeper = ServiceProcess("bookkeeping", world, GONGJI_SEAL_EVERY_S="0.05")
        moved = await world.db.fetch("SELECT province, movement_id, person_id, original_id FROM ledger.entries")
        names = {f"{public_id(row['province'], row['movement_id'])}-{row['person_id']}": row for row in moved}
        await until(lambda: listener.first_heard().keys() >= names.keys())
        bookkeeper.kill()

    places = listener.first_heard()
    assert places.keys() == names.keys()
    for name, row in names.items():
        if row["original_id"]:
            original = f"{public_id(row['province'], row['original_id'])}-{row['person_id']}"
            assert places[original] < places[name]
    assert await world.count("ledger.pages") == 0


def has_heard_more(listener: Listener, before: int) -> bool:
    return len(listener.events) > before


async def pay_and_refund(world: World, enough: asyncio.Event) -> None:
    """Many at once, so that transactions end in another order than they begin, and there is always more to tell."""

    async def one(number: int) -> None:
        await world.settle(amount_fen=100 + number % 50, request_id=f"S-{number}")
        await world.refund(f"S-{number}", 50, request_id=f"R-{number}")

    for start in count(step=10):
        if enough.is_set():
            return
        await asyncio.gather(*(one(number) for number in range(start, start + 10)))
