"""Every refusal of a binding over HTTP, each beside the nearest binding that is made."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.domain.roles import Role
from tests.support.world import World

Said = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """A binding that is refused, and the one difference that makes it a good one."""

    people: dict[str, Said] = field(default_factory=dict)
    policies: dict[str, Said] = field(default_factory=dict)
    bound: tuple[tuple[str, str], ...] = ()
    asked: Said = field(default_factory=dict)
    good_people: dict[str, Said] = field(default_factory=dict)
    good_policies: dict[str, Said] = field(default_factory=dict)
    good_asked: Said = field(default_factory=dict)


OTHER_AREA = {"CHILD": {"region_code": "130200"}}
SCENES = {
    "self_binding": Scene(asked={"beneficiary_id": "PAYER"}, good_asked={"beneficiary_id": "CHILD"}),
    "payer_unknown": Scene(asked={"payer_id": "NOBODY"}, good_asked={"payer_id": "PAYER"}),
    "beneficiary_unknown": Scene(asked={"beneficiary_id": "NOBODY"}, good_asked={"beneficiary_id": "CHILD"}),
    "payer_not_employee": Scene({"PAYER": {"insurance": "resident"}}, good_people={"PAYER": {"insurance": "employee"}}),
    "payer_not_active": Scene({"PAYER": {"status": "suspended"}}, good_people={"PAYER": {"status": "active"}}),
    "payer_not_active, ended": Scene({"PAYER": {"status": "ended"}}, good_people={"PAYER": {"status": "active"}}),
    "beneficiary_not_insured": Scene({"CHILD": {"status": "suspended"}}, good_people={"CHILD": {"status": "active"}}),
    "relation_not_allowed": Scene(policies={"1301": {"relations": ["spouse"]}}, good_asked={"relation": "spouse"}),
    "region_not_connected": Scene(
        OTHER_AREA,
        {"1301": {"scope": "province"}, "1302": {"scope": "pool"}},
        good_policies={"1302": {"scope": "province"}},
    ),
    "region_not_connected, province": Scene(
        {"CHILD": {"region_code": "330100"}},
        {"1301": {"scope": "nation"}, "3301": {"scope": "nation"}},
        good_asked={"wallet": True},
    ),
    "already_bound": Scene(bound=(("PAYER", "CHILD"),), good_asked={"beneficiary_id": "OTHER"}),
    "member_limit_reached": Scene(
        policies={"1301": {"members_max": 1}},
        bound=(("PAYER", "OTHER"),),
        good_policies={"1301": {"members_max": 2}},
    ),
    "relation_limit_reached": Scene(
        policies={"1301": {"members_max_by_relation": {"son": 1}}},
        bound=(("PAYER", "OTHER"),),
        good_asked={"relation": "daughter"},
    ),
    "payer_limit_reached": Scene(
        policies={"1301": {"payers_max_per_beneficiary": 1}},
        bound=(("OTHER", "CHILD"),),
        good_policies={"1301": {"payers_max_per_beneficiary": 2}},
    ),
}


@pytest.mark.parametrize("name", SCENES)
async def test_each_refusal_has_a_neighbour_that_is_made(world: World, name: str) -> None:
    """One reason, alone; with one thing put right the binding is made."""
    scene = SCENES[name]
    await _play(world, scene.people, scene.policies, scene.bound)
    refused = await _ask(world, **scene.asked)
    await _put(world, scene.good_people, scene.good_policies)
    made = await _ask(world, **{**scene.asked, **scene.good_asked})

    reason = name.partition(",")[0]
    assert refused == (422 if reason == "self_binding" else 409, [reason])
    assert made == (201, [])


CLOSED_REGIONS = {
    "1301": {"relations": ["spouse"], "members_max": 0, "members_max_by_relation": {"children": 0}},
    "1302": {"scope": "pool", "payers_max_per_beneficiary": 0},
}
LIMITS = ["member_limit_reached", "relation_limit_reached", "payer_limit_reached"]
SEVERAL: dict[str, tuple[Scene, list[str]]] = {
    "nobody known": (
        Scene(asked={"payer_id": "NOBODY", "beneficiary_id": "NEITHER"}),
        ["payer_unknown", "beneficiary_unknown"],
    ),
    "an unknown person alone": (
        Scene(asked={"payer_id": "NOBODY", "beneficiary_id": "NOBODY"}),
        ["self_binding", "payer_unknown", "beneficiary_unknown"],
    ),
    "a payer who cannot be one": (
        Scene(
            {
                "PAYER": {"insurance": "resident", "status": "ended"},
                "CHILD": {"status": "ended", "region_code": "130200"},
            },
            CLOSED_REGIONS,
        ),
        [
            "payer_not_employee",
            "payer_not_active",
            "beneficiary_not_insured",
            "relation_not_allowed",
            "region_not_connected",
            *LIMITS,
        ],
    ),
    "two who are bound": (
        Scene(bound=(("PAYER", "CHILD"), ("PAYER", "OTHER"), ("OTHER", "CHILD"))),
        [
            "payer_not_active",
            "beneficiary_not_insured",
            "relation_not_allowed",
            "region_not_connected",
            "already_bound",
            *LIMITS,
        ],
    ),
}


@pytest.mark.parametrize(("scene", "reasons"), SEVERAL.values(), ids=SEVERAL)
async def test_every_reason_is_named_in_the_contracts_order(world: World, scene: Scene, reasons: list[str]) -> None:
    """All that apply, whichever others do."""
    await _play(world, scene.people, scene.policies, scene.bound)
    if scene.bound:
        await _put(
            world,
            {"PAYER": {"status": "suspended"}, "CHILD": {"status": "suspended", "region_code": "130200"}},
            CLOSED_REGIONS,
        )

    _, named = await _ask(world, **scene.asked)

    assert named == reasons


async def _play(
    world: World,
    people: dict[str, Said] | None = None,
    policies: dict[str, Said] | None = None,
    bound: tuple[tuple[str, str], ...] = (),
) -> None:
    """A payer, a child and somebody else, all insured in one place, but for what the scene says."""
    said = {"PAYER": {}, "CHILD": {}, "OTHER": {}, **(people or {})}
    await _put(world, said, policies or {})
    for payer, beneficiary in bound:
        await world.bind(payer, beneficiary)


async def _put(world: World, people: dict[str, Said], policies: dict[str, Said]) -> None:
    for person_id, said in people.items():
        await world.person(person_id, **said)
    for code, fields in policies.items():
        await world.policy(code, **{"scope": "province", **fields})


async def _ask(world: World, **asked: Any) -> tuple[int, list[str]]:
    """The status of a binding asked for, and every reason against it."""
    body = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son", **asked}
    response = await world.call(Role.CLERK, "POST", "/v1/bindings", body)
    return response.status_code, response.json().get("reasons", [])


async def test_a_giver_in_another_province_is_no_payer_of_bills(world: World) -> None:
    """Their binding is for the wallet alone: it takes no payer's place and needs none, but it is one of the giver's members."""
    await world.policy("1301", payers_max_per_beneficiary=1)
    await world.policy("3301", members_max=1)
    for person_id in ("CHILD", "OTHER", "PAYER"):
        await world.person(person_id)
    for person_id in ("FAR", "FURTHER"):
        await world.person(person_id, region_code="330100")
    first = await _ask(world, payer_id="FAR", wallet=True)
    payer = await _ask(world)
    second = await _ask(world, payer_id="FURTHER", wallet=True)

    another_payer = await _ask(world, payer_id="OTHER", wallet=True)
    another_member = await _ask(world, payer_id="FAR", beneficiary_id="OTHER", wallet=True)

    assert [first, payer, second] == [(201, [])] * 3
    assert another_payer == (409, ["payer_limit_reached"])
    assert another_member == (409, ["member_limit_reached"])
