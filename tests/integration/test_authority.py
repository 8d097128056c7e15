"""A change of who may pay and a settlement never overlap: an acknowledged end is an end."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from shared.domain.roles import Role
from shared.postgres.authority import deciding
from shared.postgres.pool import connect
from tests.support.proxy import Proxy
from tests.support.world import World, until

WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def end(world: World) -> None:
    listed = await world.call(Role.CLERK, "GET", "/v1/bindings?payer_id=MOTHER")
    await _done(world, "POST", f"/v1/bindings/{listed.json()['items'][0]['binding_id']}/end", Role.CLERK)


async def freeze(world: World) -> None:
    await _done(world, "POST", "/v1/accounts/MOTHER/freeze", Role.OPERATOR)


async def leave(world: World) -> None:
    await world.person("MOTHER", status="ended")


async def close_region(world: World) -> None:
    await world.policy("13", shared_expense_types=["pharmacy"])


async def suspend(world: World) -> None:
    await world.institution("H1", status="suspended")


CHANGES = {
    "binding ended": (end, "no_binding"),
    "payer frozen": (freeze, "payer_account_frozen"),
    "payer left": (leave, "payer_not_eligible"),
    "policy changed": (close_region, "expense_not_shared"),
    "institution suspended": (suspend, "institution_suspended"),
}


async def test_who_is_cancelled_while_the_database_is_silent_is_cancelled(world: World) -> None:
    """At once: no answer is waited for, and no error takes the place of the cancellation, which would be lost."""
    begun = asyncio.Event()

    async def decide(url: str) -> None:
        batch: Any = await connect(url, role="gongji_settlement", name="tests")
        batch.lend(3)
        async with deciding(batch, [13]):
            begun.set()
            await batch.execute("SELECT pg_sleep(100)")

    async with Proxy.before(world.database_url, Random(1)) as proxy:  # noqa: S311 nothing is drawn here
        batch = asyncio.create_task(decide(proxy.url))
        await begun.wait()
        proxy.fall_silent()
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(batch, 10)


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
async def test_a_change_waits_for_the_batch_that_is_deciding(
    world: World, change: Callable[[World], Coroutine[Any, Any, None]], reason: str
) -> None:
    """It is acknowledged only when no batch that saw the old state is under way; the next settlement sees the new one."""
    world.start_worker()
    await world.family("MOTHER")
    before = await world.settle(amount_fen=1)
    batch = await connect(world.database_url, role="gongji_settlement", name="tests")

    async with deciding(batch, [13]):
        changing = asyncio.create_task(change(world))
        await until(lambda: _someone_waits(world))
        assert not changing.done()
    await changing
    after = await world.settle(amount_fen=1)
    await batch.close()

    assert before["outcome"] == "settled"
    assert after["reason"] == reason


async def test_a_change_in_one_province_does_not_wait_for_another(world: World) -> None:
    """Provinces are cells."""
    await world.family()
    batch = await connect(world.database_url, role="gongji_settlement", name="tests")

    async with deciding(batch, [33]):
        await world.person("CHILD", status="suspended")

    await batch.close()


async def test_what_changes_nothing_waits_for_no_batch(world: World) -> None:
    """A kinship link that stands already is told at once: whoever says it again and again holds no settlement up."""
    for person_id in ("MOTHER", "CHILD"):
        await world.person(person_id)
    link = {"holder_id": "MOTHER", "shown_id": "CHILD"}
    made = await world.call(Role.MEMBER, "POST", "/v1/kinship-links", link, person_id="MOTHER")
    batch = await connect(world.database_url, role="gongji_settlement", name="tests")

    async with deciding(batch, [13]):
        again = await world.call(Role.MEMBER, "POST", "/v1/kinship-links", link, person_id="MOTHER")
    await batch.close()

    assert (made.status_code, again.status_code) == (201, 201)
    assert again.json() == made.json()


async def test_ends_and_settlements_racing_never_pay_after_an_end(world: World) -> None:
    """Whatever is decided after an end was acknowledged finds no binding."""
    world.start_worker()
    await world.family("MOTHER")
    settling = asyncio.create_task(_settle_until_refused(world))
    await until(lambda: _entries(world, 20))

    await end(world)
    acknowledged = await world.db.fetchval("SELECT clock_timestamp()")
    await settling

    late = "SELECT count(*) FROM ledger.entries WHERE kind = 'settlement' AND moved_at > $1"
    assert await world.db.fetchval(late, acknowledged) == 0


async def _settle_until_refused(world: World) -> None:
    while (await world.settle(amount_fen=1))["outcome"] == "settled":
        pass


async def _entries(world: World, at_least: int) -> bool:
    return await world.count("ledger.entries") >= at_least


async def _someone_waits(world: World) -> bool:
    return bool(await world.db.fetchval(WAITING))


async def _done(world: World, method: str, path: str, role: Role) -> None:
    (await world.call(role, method, path)).raise_for_status()
