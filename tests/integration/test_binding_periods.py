"""From when until when: who may say which days, what is withdrawn before it begins, and an end that is set twice."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.domain.roles import Role
from shared.domain.times import shanghai_date
from tests.support.world import World

Said = dict[str, Any]


def day(number: int) -> str:
    """A date so many days from today in Shanghai."""
    return (shanghai_date(datetime.now(UTC)) + timedelta(days=number)).isoformat()


async def bind(world: World, role: Role, **period: str) -> httpx.Response:
    await world.person("PAYER")
    await world.person("CHILD", insurance="resident")
    body = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son", **period}
    return await world.call(role, "POST", "/v1/bindings", body, person_id="PAYER" if role is Role.MEMBER else None)


async def end(world: World, binding_id: str, body: Said | None = None) -> httpx.Response:
    return await world.call(Role.MEMBER, "POST", f"/v1/bindings/{binding_id}/end", body, person_id="PAYER")


# ---- its first day and its last ----


async def test_a_member_binds_from_today_on(world: World) -> None:
    """Whoever could say an earlier day would get round the days for which the region keeps a binding."""
    response = await bind(world, Role.MEMBER, valid_from=day(-1))

    assert (response.status_code, response.json()["reason"]) == (422, "invalid")
    (wrong,) = response.json()["fields"]
    assert wrong["field"] == "valid_from"
    assert "today" in wrong["problem"]
    assert "clerk" in wrong["problem"]
    assert await world.count("registry.bindings") == 0


@pytest.mark.parametrize(("role", "first"), [(Role.MEMBER, 0), (Role.MEMBER, 1), (Role.CLERK, -1)])
async def test_a_clerk_may_enter_the_form_of_an_earlier_day(world: World, role: Role, first: int) -> None:
    """Anybody may bind from today on."""
    response = await bind(world, role, valid_from=day(first))

    assert (response.status_code, response.json()["valid_from"]) == (201, day(first))


@pytest.mark.parametrize("last", [0, -1])
async def test_nobody_makes_a_binding_that_is_over_already(world: World, last: int) -> None:
    """A clerk neither: it would be in force on no day that is left."""
    response = await bind(world, Role.CLERK, valid_from=day(-30), valid_until=day(last))

    assert (response.status_code, response.json()["reason"]) == (422, "invalid")
    assert [wrong["field"] for wrong in response.json()["fields"]] == ["valid_until"]
    assert await world.count("registry.bindings") == 0


async def test_every_wrong_day_is_named(world: World) -> None:
    """The first and the last, each with what it should be."""
    response = await bind(world, Role.MEMBER, valid_from=day(-2), valid_until=day(-1))

    assert [wrong["field"] for wrong in response.json()["fields"]] == ["valid_from", "valid_until"]


# ---- before it begins ----


@pytest.mark.parametrize("body", [None, {"end_date": day(3)}])
async def test_what_has_not_begun_is_withdrawn_where_a_region_keeps_nobody(world: World, body: Said | None) -> None:
    """Never in force, and the two can be bound at once."""
    made = await bind(world, Role.MEMBER, valid_from=day(10))

    withdrawn = await end(world, made.json()["binding_id"], body)

    assert (withdrawn.status_code, withdrawn.json()["valid_until"]) == (200, day(10))
    assert (await bind(world, Role.MEMBER)).status_code == 201


async def test_what_has_not_begun_is_kept_where_a_region_keeps_for_some_days(world: World) -> None:
    """The days count from valid_from."""
    await world.policy("1301", unbind_after_days=1)
    made = await bind(world, Role.MEMBER, valid_from=day(10))

    withdrawn = await end(world, made.json()["binding_id"], {"end_date": day(10)})
    ended = await end(world, made.json()["binding_id"], {"end_date": day(11)})

    assert (withdrawn.status_code, withdrawn.json()["reasons"]) == (409, ["bound_too_recently"])
    assert (ended.status_code, ended.json()["valid_until"]) == (200, day(11))


# ---- an end that is set twice ----


async def test_an_end_is_only_ever_brought_forward_and_the_answer_says_whether_it_was(world: World) -> None:
    """A later day than the one that stands changes nothing; nor does the same one."""
    made = await bind(world, Role.MEMBER)
    ends = [await end(world, made.json()["binding_id"], {"end_date": day(number)}) for number in (5, 9, 5, 3)]

    told = [(response.json()["valid_until"], response.json()["changed"]) for response in ends]

    assert [response.status_code for response in ends] == [200] * 4
    assert told == [(day(5), True), (day(5), False), (day(5), False), (day(3), True)]
