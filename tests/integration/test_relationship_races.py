"""Bindings made, ended and closed at the same moment: whoever is first, what stands is what may stand."""

import asyncio
from typing import Any

import httpx
import pytest

from shared.domain.roles import Role
from shared.postgres.authority import deciding
from shared.postgres.pool import connect
from tests.support.world import World, until

WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
STANDING = "SELECT count(*) FROM registry.bindings WHERE valid_until IS NULL"
ROUNDS = 15


async def bind(world: World, payer_id: str = "PAYER", beneficiary_id: str = "CHILD") -> httpx.Response:
    body = {"payer_id": payer_id, "beneficiary_id": beneficiary_id, "relation": "son"}
    return await world.call(Role.CLERK, "POST", "/v1/bindings", body)


async def say(world: World, person_id: str = "PAYER", **said: Any) -> httpx.Response:
    body = {"name": "某人", "id_number": "130102199003071234", "region_code": "130100", "insurance": "employee", **said}
    return await world.call(Role.FEED, "PUT", f"/v1/persons/{person_id}", body)


async def end(world: World, binding_id: str) -> httpx.Response:
    return await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding_id}/end")


async def standing(world: World) -> int:
    found: int = await world.db.fetchval(STANDING)
    return found


@pytest.fixture
async def pair(world: World) -> World:
    """A payer and a child, not bound."""
    for person_id in ("PAYER", "CHILD"):
        await world.person(person_id)
    return world


async def test_a_bind_that_comes_after_a_leave_sees_it(pair: World) -> None:
    """It waits for the leave to be whole, and is refused."""
    leaving, binding = await _one_after_the_other(pair, say(pair, insurance="resident"), bind(pair))

    assert leaving.status_code == 200
    assert (binding.status_code, binding.json()["reasons"]) == (409, ["payer_not_employee"])
    assert await standing(pair) == 0


async def test_a_leave_that_comes_after_a_bind_closes_it(pair: World) -> None:
    """It waits for the binding to be whole, and ends it."""
    binding, leaving = await _one_after_the_other(pair, bind(pair), say(pair, status="ended"))

    assert (binding.status_code, leaving.status_code) == (201, 200)
    assert await standing(pair) == 0


async def test_a_bind_that_comes_after_a_move_finds_the_person_where_they_are_now(pair: World) -> None:
    """Not as somebody unknown: the reason is the distance."""
    _, binding = await _one_after_the_other(pair, say(pair, region_code="330100"), bind(pair))

    assert binding.json()["reasons"] == ["region_not_connected"]


async def test_binds_and_leaves_racing_leave_nothing_standing(pair: World) -> None:
    """Round after round, in whichever order they arrive."""
    for _ in range(ROUNDS):
        (await say(pair)).raise_for_status()
        binding, leaving = await asyncio.gather(bind(pair), say(pair, status="ended"))

        assert (binding.status_code in (201, 409), leaving.status_code) == (True, 200)
        assert await standing(pair) == 0


async def test_a_bind_and_an_end_of_the_same_pair_leave_at_most_one(pair: World) -> None:
    """The bind is made if the end was first, and refused if not."""
    first = (await bind(pair)).json()["binding_id"]
    for _ in range(ROUNDS):
        binding, ending = await asyncio.gather(bind(pair), end(pair, first))

        assert ending.status_code == 200
        assert binding.status_code == 201 or binding.json()["reasons"] == ["already_bound"]
        assert await standing(pair) == (binding.status_code == 201)
        first = (binding if binding.status_code == 201 else await bind(pair)).json()["binding_id"]


async def test_an_end_and_a_leave_at_once_keep_the_cause_of_the_first(pair: World) -> None:
    """A binding has one end, whoever comes second."""
    for _ in range(ROUNDS):
        (await say(pair)).raise_for_status()
        binding_id = (await bind(pair)).json()["binding_id"]
        ending, leaving = await asyncio.gather(end(pair, binding_id), say(pair, status="ended"))
        listed = (await pair.call(Role.CLERK, "GET", "/v1/bindings?payer_id=PAYER")).json()["items"]

        assert (ending.status_code, leaving.status_code) == (200, 200)
        cause = listed[-1]["end_cause"]
        assert cause in ("asked_by_clerk", "payer_left_employee_insurance")
        assert ending.json() == {**listed[-1], "changed": cause == "asked_by_clerk"}


@pytest.mark.parametrize(
    ("limit", "pairs", "reason"),
    [
        ("members_max", (("PAYER", "CHILD"), ("PAYER", "OTHER")), "member_limit_reached"),
        ("payers_max_per_beneficiary", (("PAYER", "CHILD"), ("OTHER", "CHILD")), "payer_limit_reached"),
    ],
)
async def test_of_two_clerks_at_once_one_gets_the_last_place(
    pair: World, limit: str, pairs: tuple[tuple[str, str], ...], reason: str
) -> None:
    """Exactly one binding is made; the other clerk hears which limit it was."""
    await pair.policy("1301", **{limit: 1})
    await pair.person("OTHER")

    first, second = await _one_after_the_other(pair, *(bind(pair, *each) for each in pairs))

    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["reasons"] == [reason]


async def test_spouses_who_move_apart_at_once_do_not_lock_each_other_up(world: World) -> None:
    """Each closes both bindings; nobody is told to try again."""
    for _ in range(ROUNDS):
        for person_id in ("HUSBAND", "WIFE"):
            (await say(world, person_id)).raise_for_status()
        made = await asyncio.gather(bind(world, "HUSBAND", "WIFE"), bind(world, "WIFE", "HUSBAND"))
        responses = await asyncio.gather(
            say(world, "HUSBAND", region_code="330100"),
            say(world, "WIFE", region_code="440100"),
            *(end(world, each.json()["binding_id"]) for each in made),
            bind(world, "WIFE", "HUSBAND"),
        )

        assert [each.status_code for each in made] == [201, 201]
        assert [each.status_code for each in responses[:4]] == [200] * 4
        assert responses[4].status_code in (201, 409)
        assert await standing(world) == 0


async def test_a_leave_waits_for_settlements_in_the_beneficiarys_province(world: World) -> None:
    """Both provinces of a closed binding are told, not only the payer's."""
    await world.person("PAYER", region_code="120100")
    await world.person("CHILD")
    await world.bind("PAYER", "CHILD", wallet=True)
    batch = await connect(world.database_url, role="gongji_settlement", name="tests")

    async with deciding(batch, [13]):
        leaving = asyncio.create_task(say(world, region_code="120100", status="ended"))
        await until(lambda: _waiting(world, 1))
        assert not leaving.done()
    await batch.close()

    assert (await leaving).status_code == 200


async def _one_after_the_other(world: World, first: Any, second: Any) -> list[httpx.Response]:
    """Two changes under way at once: the first is done but for its commit when the second arrives."""
    batch = await connect(world.database_url, role="gongji_settlement", name="tests")
    async with deciding(batch, [13, 33]):
        earlier = asyncio.create_task(first)
        await until(lambda: _waiting(world, 1))
        later = asyncio.create_task(second)
        await until(lambda: _waiting(world, 2))
        assert not earlier.done()
    await batch.close()
    return [await earlier, await later]


async def _waiting(world: World, many: int) -> bool:
    waiting: int = await world.db.fetchval(WAITING)
    return waiting == many
