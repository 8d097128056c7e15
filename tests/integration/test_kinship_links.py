"""Kinship links and mutual aid are told apart wherever somebody could take the one for the other."""

import httpx
import pytest

from shared.domain.roles import Role
from tests.support.world import World


async def link(world: World, holder_id: str = "PAYER", shown_id: str = "CHILD") -> httpx.Response:
    return await world.call(Role.CLERK, "POST", "/v1/kinship-links", {"holder_id": holder_id, "shown_id": shown_id})


async def pair(world: World) -> None:
    await world.person("PAYER")
    await world.person("CHILD", insurance="resident")


async def test_a_link_says_of_itself_that_it_pays_nothing(world: World) -> None:
    """When it is made, and in every list."""
    await pair(world)
    made = await link(world)

    listed = await world.call(Role.CLERK, "GET", "/v1/kinship-links?holder_id=PAYER")

    assert made.json()["pays"] == "nothing"
    assert [each["pays"] for each in listed.json()["items"]] == ["nothing"]


async def test_nobody_needs_a_link_to_themselves(world: World) -> None:
    """Not for the reason that speaks of mutual aid."""
    await pair(world)

    response = await link(world, "PAYER", "PAYER")

    problem = response.json()
    assert (response.status_code, problem["reasons"]) == (422, ["invalid"])
    assert [each["field"] for each in problem["fields"]] == ["shown_id"]
    assert "亲情账户" in problem["detail"]
    assert "kinship" in problem["detail_en"]
    assert "共济" not in problem["detail"]


@pytest.mark.parametrize(
    ("holder_id", "shown_id", "detail", "detail_en"),
    [
        ("NOBODY", "CHILD", "查不到展示人的参保信息。", "The holder, who shows the code, is not known."),
        ("PAYER", "NOBODY", "查不到被展示人的参保信息。", "The one whose code is to be shown is not known."),
        (
            "NOBODY",
            "NEITHER",
            "查不到展示人的参保信息。查不到被展示人的参保信息。",
            "The holder, who shows the code, is not known. The one whose code is to be shown is not known.",
        ),
    ],
)
async def test_an_unknown_side_is_named(
    world: World, holder_id: str, shown_id: str, detail: str, detail_en: str
) -> None:
    """Either, or both."""
    await pair(world)

    response = await link(world, holder_id, shown_id)

    problem = response.json()
    assert (response.status_code, problem["reason"]) == (404, "not_found")
    assert (problem["detail"], problem["detail_en"]) == (detail, detail_en)


CALLERS = {"a clerk": (Role.CLERK, None), "one side": (Role.MEMBER, "PAYER"), "the other": (Role.MEMBER, "CHILD")}


@pytest.mark.parametrize(("role", "person_id"), CALLERS.values(), ids=CALLERS)
async def test_the_id_of_the_other_thing_is_said_to_be_one(world: World, role: Role, person_id: str | None) -> None:
    """Nothing is ended, and whoever may see the thing is told where it is ended."""
    await pair(world)
    link_id, binding_id = (await link(world)).json()["kinship_link_id"], await world.bind("PAYER", "CHILD")

    ended = await world.call(role, "POST", f"/v1/bindings/{link_id}/end", person_id=person_id)
    unlinked = await world.call(role, "DELETE", f"/v1/kinship-links/{binding_id}", person_id=person_id)

    assert [(each.status_code, each.json()["reason"]) for each in (ended, unlinked)] == [(404, "not_found")] * 2
    assert "该编号是亲情账户" in ended.json()["detail"]
    assert "of a kinship link" in ended.json()["detail_en"]
    assert "该编号是共济关系" in unlinked.json()["detail"]
    assert "of a binding" in unlinked.json()["detail_en"]


async def test_a_stranger_does_not_learn_what_an_id_is_of(world: World) -> None:
    """They hear what they hear of any id."""
    await pair(world)
    link_id, binding_id = (await link(world)).json()["kinship_link_id"], await world.bind("PAYER", "CHILD")

    told = [
        await world.call(Role.MEMBER, method, path, person_id="STRANGER")
        for method, path in (
            ("POST", f"/v1/bindings/{link_id}/end"),
            ("POST", f"/v1/bindings/13-{'0' * 32}/end"),
            ("DELETE", f"/v1/kinship-links/{binding_id}"),
            ("DELETE", f"/v1/kinship-links/13-{'0' * 32}"),
        )
    ]

    assert len({each.text for each in told}) == 1
