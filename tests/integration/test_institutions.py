"""How an institution is registered: what is left out stays, and who wants a user of the broker for itself has it so."""

import asyncio
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.domain.roles import Role
from shared.messages.signing import public_key
from tests.support.world import World

H1: dict[str, Any] = {"name": "第一医院", "kind": "hospital", "region_code": "130100", "amqp_user": "clinic"}


async def put(world: World, institution_id: str, **said: Any) -> httpx.Response:
    return await world.call(Role.OPERATOR, "PUT", f"/v1/institutions/{institution_id}", said)


async def put_exclusive(world: World, institution_id: str, **said: Any) -> httpx.Response:
    """As the command does."""
    return await world.call(Role.OPERATOR, "PUT", f"/v1/institutions/{institution_id}?exclusive=true", said)


async def registered(world: World) -> list[tuple[Any, ...]]:
    rows = await world.db.fetch(
        "SELECT institution_id, name, kind, amqp_user, status FROM registry.institutions ORDER BY 1"
    )
    return [tuple(row) for row in rows]


async def test_what_is_left_out_stays(world: World) -> None:
    """A name, a status and keys; what else is said of it is changed, and the answer tells all of it."""
    key = public_key(Ed25519PrivateKey.generate(), "till-1").model_dump()
    made = await put(world, "H1", **H1, status="suspended", signing_keys=[key])

    changed = await put(world, "H1", kind="pharmacy", region_code="130200", amqp_user="clinic")

    assert made.status_code == 201
    assert changed.status_code == 200
    assert changed.json() == {**made.json(), "kind": "pharmacy", "region_code": "130200"}
    assert (changed.json()["status"], changed.json()["signing_keys"]) == ("suspended", [key])


async def test_a_new_one_is_active_and_called_by_its_id(world: World) -> None:
    """There is nothing yet that could stay."""
    made = await put(world, "H1", kind="hospital", region_code="130100")

    assert made.status_code == 201
    assert (made.json()["name"], made.json()["status"], made.json()["signing_keys"]) == ("H1", "active", [])


@pytest.mark.parametrize("known", [True, False], ids=["one that is known", "a new one"])
async def test_a_user_of_ones_own_is_nobody_elses(world: World, *, known: bool) -> None:
    """Else whoever has the first's password sends for both. The second is told whose the user is, and stays what it was."""
    await put(world, "H1", **H1)
    if known:
        await put(world, "H2", **{**H1, "name": "第二医院", "amqp_user": "other"})
    before = await registered(world)

    refused = await put_exclusive(world, "H2", **{**H1, "name": "第二医院"})

    assert (refused.status_code, refused.json()["reasons"]) == (409, ["amqp_user_taken"])
    assert refused.json()["fields"] == [{"field": "amqp_user", "problem": "is the user of H1: name another one"}]
    assert await registered(world) == before


async def test_of_several_at_once_one_gets_the_user(world: World) -> None:
    """The others are refused like those who come later."""
    answers = await asyncio.gather(*(put_exclusive(world, f"H{number}", **H1) for number in range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert [row[3] for row in await registered(world)] == ["clinic"]


async def test_an_operator_may_have_one_user_send_for_several(world: World) -> None:
    """A software house's, say, for the pharmacies that it serves."""
    first, second = [await put(world, institution, **H1) for institution in ("H1", "H2")]

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json()["amqp_user"] == "clinic"


async def test_who_was_refused_is_written_down_without_the_thing(world: World) -> None:
    """As with bindings: an act names what was done, and nothing was."""
    await put(world, "H1", **H1)
    await put_exclusive(world, "H2", **H1)

    acts = await world.db.fetch("SELECT action, thing_id FROM registry.acts ORDER BY act_id")

    assert [tuple(row) for row in acts] == [("put_institution", "H1"), ("put_institution", None)]
