"""The life of a binding: in force on its days, ended by hand or by itself, kept as history."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.roles import Role
from tests.conftest import Database
from tests.support.calendar import Calendar
from tests.support.world import World

Said = dict[str, Any]
LEFT = "payer_left_employee_insurance"


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
async def dated(database: Database, amqp_url: str, keys: dict[str, Path], calendar: Calendar) -> AsyncIterator[World]:
    """Both services under a clock that the test turns."""
    async with World.build(database.url, amqp_url, keys, calendar) as built:
        yield built


# ---- in force ----


async def test_spouses_bind_each_other_and_pay_for_each_other(world: World) -> None:
    """Two bindings, one each way; own money goes first."""
    world.start_worker()
    await world.family()
    for person_id in ("HUSBAND", "WIFE"):
        await world.person(person_id)
        await world.credit(person_id, 10_000)
    await world.bind("HUSBAND", "WIFE", "spouse")
    await world.bind("WIFE", "HUSBAND", "spouse")

    for_him = await world.settle("HUSBAND", 12_000)
    await world.credit("HUSBAND", 5_000)
    for_her = await world.settle("WIFE", 9_000)

    assert (for_him["payer_id"], for_him["own_account_fen"], for_him["mutual_aid_fen"]) == ("WIFE", 10_000, 2_000)
    assert (for_her["payer_id"], for_her["own_account_fen"], for_her["mutual_aid_fen"]) == ("HUSBAND", 8_000, 1_000)


async def test_a_binding_pays_from_its_first_day_up_to_its_last(dated: World, calendar: Calendar) -> None:
    """Not before valid_from, and not on valid_until."""
    dated.start_worker()
    await _family(dated, valid_from=calendar.day(2), valid_until=calendar.day(4))

    reasons = await _reasons_day_by_day(dated, calendar, days=5)

    assert reasons == ["no_binding", "no_binding", None, None, "no_binding"]


async def test_an_end_on_a_later_day_pays_until_then(dated: World, calendar: Calendar) -> None:
    """The day given is the first on which it pays for nothing."""
    dated.start_worker()
    binding = await _family(dated)
    await dated.call(Role.CLERK, "POST", f"/v1/bindings/{binding}/end", {"end_date": calendar.day(1)})

    reasons = await _reasons_day_by_day(dated, calendar, days=2)

    assert reasons == [None, "no_binding"]


async def test_an_end_today_holds_at_once(world: World) -> None:
    """Somebody asked for it: nobody is bound any more."""
    world.start_worker()
    binding = await _family(world)
    await world.call(Role.MEMBER, "POST", f"/v1/bindings/{binding}/end", person_id="PAYER")

    assert (await world.settle())["reason"] == "no_binding"
    assert [each["end_cause"] for each in await _listed(world, "payer", "PAYER")] == ["asked_by_member"]


async def test_unbinding_is_possible_from_the_day_on_that_the_region_says(dated: World, calendar: Calendar) -> None:
    """Ninety days: refused on the eighty-ninth day, done on the ninetieth, and the two can be bound again."""
    await dated.policy("1301", unbind_after_days=90)
    first = await _family_without_money(dated)
    calendar.turn(89)
    too_soon = await dated.call(Role.CLERK, "POST", f"/v1/bindings/{first}/end")
    calendar.turn(1)
    ended = await dated.call(Role.CLERK, "POST", f"/v1/bindings/{first}/end")
    second = await dated.bind("PAYER", "CHILD", "daughter")

    listed = await _listed(dated, "beneficiary", "CHILD")
    assert (too_soon.status_code, too_soon.json()["reasons"]) == (409, ["bound_too_recently"])
    assert ended.status_code == 200
    assert [(each["binding_id"], each["end_cause"], each["relation"]) for each in listed] == [
        (first, "asked_by_clerk", "son"),
        (second, None, "daughter"),
    ]


# ---- ended by itself ----

# Who changes and how; the cause both sides see; what a settlement says on that day.
CHANGES = {
    "insured as a resident": ("PAYER", {"insurance": "resident"}, LEFT, "payer_not_eligible"),
    "insurance ended": ("PAYER", {"status": "ended"}, LEFT, "payer_not_eligible"),
    "left and moved": ("PAYER", {"insurance": "resident", "region_code": "330100"}, LEFT, "payer_not_eligible"),
    "payer in another area": ("PAYER", {"region_code": "130200"}, "payer_moved", "region_not_connected"),
    "payer in another province": ("PAYER", {"region_code": "330100"}, "payer_moved", "region_not_connected"),
    # Asked about where nothing is known of the binding.
    "beneficiary in another province": ("CHILD", {"region_code": "330100"}, "beneficiary_moved", "no_binding"),
}


@pytest.mark.parametrize(("who", "said", "cause", "reason"), CHANGES.values(), ids=CHANGES)
async def test_a_binding_ends_by_itself_and_says_why(
    dated: World, calendar: Calendar, who: str, said: Said, cause: str, reason: str
) -> None:
    """Both sides see the cause; a settlement hears it on that day, whatever is said later, and no longer on the next."""
    dated.start_worker()
    await _family(dated)
    before = await dated.settle()

    await _say(dated, who, said)
    seen = [*await _listed(dated, "payer", "PAYER"), *await _listed(dated, "beneficiary", "CHILD")]
    where = str(said.get("region_code", "130100")) if who == "CHILD" else "130100"
    that_day = await dated.settle(insured_region=where)
    await _say(dated, who, {})
    back_that_day = await dated.settle()
    calendar.turn(1)
    next_day = await dated.settle()

    assert before["outcome"] == "settled"
    assert [(each["end_cause"], each["valid_until"], bool(each["ended_at"])) for each in seen] == [
        (cause, calendar.day(-1), True)
    ] * 2
    assert (that_day["outcome"], that_day["reason"]) == ("declined", reason)
    back = reason if who == "PAYER" else "region_not_connected"
    assert (back_that_day["outcome"], back_that_day["reason"]) == ("declined", back)
    assert next_day["reason"] == "no_binding"
    assert (await dated.balances())["PAYER"] == (99_000, 0, 0)


async def test_the_feed_is_written_down_as_who_ended_it(world: World) -> None:
    """And when."""
    await _family_without_money(world)
    await _say(world, "PAYER", {"status": "ended"})

    row = await world.db.fetchrow("SELECT ended_by, ended_at FROM registry.bindings")

    assert row is not None
    assert (row["ended_by"], bool(row["ended_at"])) == ("feed:local-feed", True)


UNMOVED = {
    "payer suspended": ("PAYER", {"status": "suspended"}),
    "payer within the area": ("PAYER", {"region_code": "130199"}),
    "beneficiary within the province": ("CHILD", {"region_code": "130200"}),
    "beneficiary ended": ("CHILD", {"status": "ended"}),
    "beneficiary employed": ("CHILD", {"insurance": "employee"}),
}


@pytest.mark.parametrize(("who", "said"), UNMOVED.values(), ids=UNMOVED)
async def test_other_changes_leave_a_binding_standing(world: World, who: str, said: Said) -> None:
    """What may pass, or is judged at each settlement, ends nothing."""
    await _family_without_money(world)

    await _say(world, who, said)

    assert [each["end_cause"] for each in await _listed(world, "payer", "PAYER")] == [None]


async def test_a_payer_who_returns_binds_again_at_once(world: World) -> None:
    """Nothing revives; what was closed neither stands in the way nor counts."""
    world.start_worker()
    await world.policy("1301", members_max=1, payers_max_per_beneficiary=1, unbind_after_days=90)
    first = await _family(world)
    await _say(world, "PAYER", {"insurance": "resident"})
    await _say(world, "PAYER", {})
    unbound = await world.settle()

    second = await world.bind("PAYER", "CHILD")
    paid = await world.settle()

    assert unbound["reason"] == "payer_not_eligible"
    assert (paid["outcome"], paid["payer_id"]) == ("settled", "PAYER")
    assert [each["binding_id"] for each in await _listed(world, "payer", "PAYER")] == [first, second]


async def test_a_binding_that_never_began_is_closed_for_good(dated: World, calendar: Calendar) -> None:
    """It is in force on no day, and no candidate on the day on which it would have begun."""
    dated.start_worker()
    await _family(dated, valid_from=calendar.day(2))
    await _say(dated, "PAYER", {"status": "ended"})
    await _say(dated, "PAYER", {})
    reasons = await _reasons_day_by_day(dated, calendar, days=3)

    closed = (await _listed(dated, "payer", "PAYER"))[0]
    assert (closed["valid_from"], closed["valid_until"]) == (calendar.day(), calendar.day())
    assert reasons == ["no_binding"] * 3


async def test_a_binding_that_never_began_does_not_stand_in_the_way(dated: World, calendar: Calendar) -> None:
    """Closed before its first day, it overlaps no other."""
    first = await _family_without_money(dated, valid_from=calendar.day(2))
    await _say(dated, "PAYER", {"status": "ended"})
    await _say(dated, "PAYER", {})

    assert await dated.bind("PAYER", "CHILD") != first


async def test_an_earlier_end_keeps_its_cause_and_a_later_one_is_overtaken(world: World) -> None:
    """A binding already over stays as it is; one that was to end later ends today."""
    await _family_without_money(world)
    await world.person("DAUGHTER", insurance="resident")
    later = await world.bind("PAYER", "DAUGHTER", "daughter", valid_until="2999-01-01")
    over = (await _listed(world, "payer", "PAYER"))[0]["binding_id"]
    await world.call(Role.CLERK, "POST", f"/v1/bindings/{over}/end")
    await world.call(Role.CLERK, "POST", f"/v1/bindings/{later}/end", {"end_date": "2998-01-01"})

    await _say(world, "PAYER", {"status": "ended"})

    causes = {each["binding_id"]: each["end_cause"] for each in await _listed(world, "payer", "PAYER")}
    assert causes == {over: "asked_by_clerk", later: LEFT}


async def test_a_spouse_who_moves_to_another_province_ends_both_sides(world: World) -> None:
    """As a payer and as a beneficiary, each with its cause."""
    for person_id in ("HUSBAND", "WIFE"):
        await world.person(person_id)
    await world.bind("HUSBAND", "WIFE", "spouse")
    await world.bind("WIFE", "HUSBAND", "spouse")

    await _say(world, "WIFE", {"region_code": "330100"})

    assert [each["end_cause"] for each in await _listed(world, "payer", "WIFE")] == ["payer_moved"]
    assert [each["end_cause"] for each in await _listed(world, "beneficiary", "WIFE")] == ["beneficiary_moved"]


async def test_lists_go_back_to_provinces_of_earlier_years(world: World) -> None:
    """One order over all provinces, page by page, as payer and as beneficiary."""
    made = []
    for region in ("330100", "130100", "440100", "130100"):
        await world.person("PAYER", region_code=region)
        await world.person("CHILD", region_code=region)
        made.append(await world.bind("PAYER", "CHILD"))

    as_payer = await _listed(world, "payer", "PAYER", limit=1)
    as_beneficiary = await _listed(world, "beneficiary", "CHILD", limit=3)

    assert [each["binding_id"] for each in as_payer] == made
    assert as_payer == as_beneficiary
    assert [each["end_cause"] is None for each in as_payer] == [False, False, False, True]


# ---- kinship links stand apart ----


async def test_a_kinship_link_alone_pays_for_nothing(world: World) -> None:
    """The counter hears that it is only that; there is no binding, in no list, and the API says so in words."""
    world.start_worker()
    await world.family()
    await world.person("PAYER")
    await world.credit("PAYER", 100_000)
    await world.call(Role.CLERK, "POST", "/v1/kinship-links", {"holder_id": "PAYER", "shown_id": "CHILD"})

    answer = await world.settle()
    described = (await world.http.get("/openapi.json")).json()

    assert (answer["outcome"], answer["reason"]) == ("declined", "kinship_account_only")
    assert await world.count("registry.bindings") == 0
    assert await _listed(world, "payer", "PAYER") == await _listed(world, "beneficiary", "CHILD") == []
    assert "no money" in described["components"]["schemas"]["KinshipLinkOut"]["description"]
    assert "no money" in described["paths"]["/v1/kinship-links"]["get"]["description"]


# ---- the scene ----


async def _say(world: World, person_id: str, said: Said) -> None:
    """The feed speaks of the payer or the child as they first were, but for what is said."""
    usual = {"insurance": "resident"} if person_id == "CHILD" else {}
    await world.person(person_id, **{**usual, **said})


async def _family_without_money(world: World, **binding: Any) -> str:
    await world.person("PAYER")
    await world.person("CHILD", insurance="resident")
    return await world.bind("PAYER", "CHILD", **binding)


async def _family(world: World, **binding: Any) -> str:
    """A child bound by a payer with 1,000 yuan."""
    await world.family()
    await world.person("PAYER")
    await world.credit("PAYER", 100_000)
    return await world.bind("PAYER", "CHILD", **binding)


async def _reasons_day_by_day(world: World, calendar: Calendar, *, days: int) -> list[str | None]:
    """What a settlement says on each of so many days from today on; the clock ends on the last one."""
    reasons = []
    for day in range(days):
        calendar.turn(1 if day else 0)
        reasons.append((await world.settle())["reason"])
    return reasons


async def _listed(world: World, side: str, person_id: str, limit: int = 50) -> list[Said]:
    """All pages of a person's own bindings, as they see them themselves."""
    items: list[Said] = []
    cursor = ""
    while cursor is not None:
        path = f"/v1/bindings?{side}_id={person_id}&limit={limit}{cursor and f'&cursor={cursor}'}"
        page = (await world.call(Role.MEMBER, "GET", path, person_id=person_id)).json()
        items += page["items"]
        cursor = page["next"]
    return items


async def test_a_freeze_goes_with_whoever_moves(world: World) -> None:
    """To another province and back: only an operator unfreezes."""
    await world.person("PAYER")
    (await world.call(Role.OPERATOR, "POST", "/v1/accounts/PAYER/freeze")).raise_for_status()

    frozen = []
    for region in ("120100", "130100"):
        await world.person("PAYER", region_code=region)
        frozen.append((await world.call(Role.CLERK, "GET", "/v1/persons/PAYER")).json()["account_frozen"])
    (await world.call(Role.OPERATOR, "POST", "/v1/accounts/PAYER/unfreeze")).raise_for_status()
    await world.person("PAYER", region_code="120100")
    free = (await world.call(Role.CLERK, "GET", "/v1/persons/PAYER")).json()["account_frozen"]

    assert (frozen, free) == ([True, True], False)


async def test_a_binding_far_in_the_future_is_too_recent_to_be_ended(world: World) -> None:
    """Whatever the days come to."""
    await world.policy("1301", unbind_after_days=3_660)
    await world.person("PAYER")
    await world.person("CHILD")
    binding = await world.bind("PAYER", "CHILD", valid_from="9999-12-31")

    response = await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding}/end")

    assert (response.status_code, response.json()["reason"]) == (409, "bound_too_recently")
