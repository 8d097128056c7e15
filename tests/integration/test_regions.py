"""Regions differ by their policies alone: who is within reach, whose policy holds, and from which day on."""

import json
from collections.abc import AsyncIterator
from datetime import time
from pathlib import Path
from typing import Any

import pytest

from shared.domain.roles import Role
from tests.conftest import Database
from tests.support.calendar import Calendar
from tests.support.world import Answer, World, bill

Policies = dict[str, dict[str, Any]]
OUT_OF_REACH = "region_not_connected"
LAST_SECOND = time(23, 59, 59)


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
async def dated(database: Database, amqp_url: str, keys: dict[str, Path], calendar: Calendar) -> AsyncIterator[World]:
    """Both services under a clock that the test turns."""
    async with World.build(database.url, amqp_url, keys, calendar) as built:
        yield built


async def family(
    world: World, payer_region: str = "130100", child_region: str = "130100", payer: str = "PAYER", **binding: Any
) -> None:
    """A payer with 1,000 yuan, and a child insured as a resident whom the payer binds."""
    world.start_worker()
    await world.family()
    await relative(world, payer_region, child_region, payer, **binding)


async def relative(world: World, region: str, child_region: str, payer: str, **binding: Any) -> None:
    await world.person(payer, region_code=region)
    await world.person("CHILD", region_code=child_region, insurance="resident")
    await world.bind(payer, "CHILD", **binding)
    await world.credit(payer, 100_000, insured_region=region)


async def put(world: World, policies: Policies) -> None:
    for code, fields in policies.items():
        await world.policy(code, **fields)


async def considered(world: World, answer: Answer) -> tuple[str, int]:
    """The policy version by which the one candidate was seen, and what it let the payer share."""
    record = await world.db.fetchval("SELECT record FROM ledger.decisions WHERE request_id = $1", answer["request_id"])
    (seen,) = json.loads(record)["considered"]
    return seen["policy"], seen["usable_fen"]


# ---- who is within reach ----

POOL, PROVINCE, NATION = {"scope": "pool"}, {"scope": "province"}, {"scope": "nation"}
# Where the child of a payer in 130100 is insured, the policies, and what a settlement says.
REACH: dict[str, tuple[str, Policies, str | None]] = {
    "one area": ("130188", {"1301": POOL}, None),
    "one area, two policies": ("130188", {"130100": POOL, "130188": POOL}, None),
    "two areas, both closed": ("130200", {"13": POOL}, OUT_OF_REACH),
    "two areas, the payer's closed": ("130200", {"1301": POOL, "1302": PROVINCE}, OUT_OF_REACH),
    "two areas, the payer's closed to the nation's": ("130200", {"1301": POOL, "1302": NATION}, OUT_OF_REACH),
    "two areas, the child's closed": ("130200", {"1301": PROVINCE, "1302": POOL}, OUT_OF_REACH),
    "two areas, both open to the province": ("130200", {"1301": PROVINCE, "1302": PROVINCE}, None),
    "two areas, both open to the nation": ("130200", {"1301": NATION, "1302": NATION}, None),
    "two areas, one open wider than the other": ("130200", {"1301": NATION, "1302": PROVINCE}, None),
}


@pytest.mark.parametrize(("child_region", "policies", "reason"), REACH.values(), ids=REACH)
async def test_both_sides_policies_say_who_is_within_reach(
    world: World, child_region: str, policies: Policies, reason: str | None
) -> None:
    """Bound while the province was open; each settlement judges by the policies of its day."""
    await family(world, child_region=child_region)
    await put(world, policies)

    answer = await world.settle(insured_region=child_region)

    assert answer["reason"] == reason
    assert answer["mutual_aid_fen"] == (0 if reason else 1_000)


async def test_another_province_is_out_of_reach_even_where_both_share_nationwide(world: World) -> None:
    """A binding for the wallet does not settle; a poorer relative in the child's own province does."""
    await put(world, {"13": NATION, "33": NATION})
    await family(world, payer_region="330100", payer="UNCLE", wallet=True)
    alone = await world.settle()
    await relative(world, "130200", "130100", "AUNT")

    beside = await world.settle()

    assert (alone["outcome"], alone["reason"], alone["payer_id"]) == ("declined", OUT_OF_REACH, None)
    assert (beside["outcome"], beside["payer_id"]) == ("settled", "AUNT")
    # The child, to whose wallet the uncle may give, has an account for it, empty.
    assert await world.balances() == {"UNCLE": (100_000, 0, 0), "AUNT": (99_000, 0, 0), "CHILD": (0, 0, 0)}


CARE = {
    "at home": ("hospital", "130100"),
    "in another area": ("pharmacy", "130200"),
    "in another province": ("hospital", "440100"),
    "through a gateway": ("gateway", "110100"),
}


@pytest.mark.parametrize(("kind", "region"), CARE.values(), ids=CARE)
async def test_where_care_is_given_does_not_matter(world: World, kind: str, region: str) -> None:
    """The payer pays the same, though nothing is shared beyond the pooling area."""
    await put(world, {"13": POOL})
    await family(world)
    await world.institution("AWAY", kind=kind, region_code=region)

    answer = await world.settle(institution_id="AWAY", care_region=region)

    assert (answer["outcome"], answer["payer_id"], answer["mutual_aid_fen"]) == ("settled", "PAYER", 1_000)


# ---- whose policy holds ----

STEPS = [("default@0", 0), ("33@1", 10_000), ("3301@1", 20_000), ("330102@1", 30_000)]


@pytest.mark.parametrize("turned", [False, True], ids=["province first", "region first"])
async def test_the_policy_nearest_to_the_region_settles(world: World, turned: bool) -> None:
    """Six digits before four before two before the default, whichever was put first; the record names it."""
    await family(world, "330102", "330102")
    seen = [await considered(world, await world.settle(insured_region="330102"))]
    for name, keep_fen in reversed(STEPS[1:]) if turned else STEPS[1:]:
        await world.policy(name.partition("@")[0], keep_fen=keep_fen)
        seen.append(await considered(world, await world.settle(insured_region="330102")))

    expected = [STEPS[0], *[STEPS[-1]] * 3] if turned else STEPS
    assert seen == [(name, 100_000 - keep_fen - 1_000 * n) for n, (name, keep_fen) in enumerate(expected)]


async def test_a_policy_of_another_region_changes_nothing(world: World) -> None:
    """Neither the area beside nor another district of the same area."""
    await family(world, "330102", "330102")
    await put(world, {"3302": {"keep_fen": 10**9}, "330103": {"keep_fen": 10**9}, "32": {"keep_fen": 10**9}})

    answer = await world.settle(insured_region="330102")

    assert answer["outcome"] == "settled"
    assert await considered(world, answer) == ("default@0", 100_000)


async def test_the_payers_region_says_what_is_shared_not_the_patients(world: World) -> None:
    """One pooling area, two districts: what the child's keeps back binds nobody else."""
    await put(world, {"130188": {"keep_fen": 10**9, "shared_expense_types": []}})
    await family(world, "130100", "130188")
    shared = await world.settle(insured_region="130188")
    await put(world, {"130100": {"shared_expense_types": []}})

    closed = await world.settle(insured_region="130188")

    assert (shared["outcome"], shared["payer_id"]) == ("settled", "PAYER")
    assert (closed["outcome"], closed["reason"]) == ("declined", "expense_not_shared")


# ---- from which day on ----


async def test_a_policy_settles_from_midnight_of_its_day(dated: World, calendar: Calendar) -> None:
    """Put today for tomorrow: not a second before midnight in Shanghai, and from then on with nothing restarted."""
    await family(dated)
    await dated.policy("1301", scope="province", keep_fen=60_000, effective_from=calendar.day(1))
    await dated.policy("1301", scope="province", keep_fen=99_000, effective_from=calendar.day(2))

    calendar.set(LAST_SECOND)
    before = await considered(dated, await dated.settle())
    calendar.set(time.min, days=1)
    after = await considered(dated, await dated.settle())
    calendar.set(LAST_SECOND)
    that_evening = await considered(dated, await dated.settle())
    calendar.set(time.min, days=1)
    next_day = await dated.settle()

    assert (before, after, that_evening) == (("13@0", 100_000), ("1301@1", 39_000), ("1301@1", 38_000))
    assert (next_day["reason"], await considered(dated, next_day)) == ("payer_balance_zero", ("1301@2", 0))


async def test_a_binding_is_made_from_the_day_that_opens_the_area(dated: World, calendar: Calendar) -> None:
    """Refused in the last second of the day before."""
    await put(dated, {"1302": POOL})
    await dated.policy("1302", scope="province", effective_from=calendar.day(1))
    await dated.person("PAYER")
    await dated.person("CHILD", insurance="resident", region_code="130200")
    body = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son"}

    calendar.set(LAST_SECOND)
    before = await dated.call(Role.CLERK, "POST", "/v1/bindings", body)
    calendar.set(time.min, days=1)
    after = await dated.call(Role.CLERK, "POST", "/v1/bindings", body)

    assert (before.status_code, before.json()["reasons"]) == (409, [OUT_OF_REACH])
    assert after.status_code == 201


async def test_a_quote_sees_the_same_policy_as_a_settle(dated: World, calendar: Calendar) -> None:
    """Also across midnight: what was quoted the evening before is decided anew."""
    await family(dated)
    await dated.policy("1301", shared_expense_types=["pharmacy"], effective_from=calendar.day(1))
    calendar.set(LAST_SECOND)
    quoted = await dated.ask("quote", bill())
    calendar.set(time.min, days=1)

    answers = [await dated.ask("quote", bill()), await dated.settle()]

    assert (quoted["outcome"], quoted["payer_id"]) == ("settled", "PAYER")
    assert [(each["outcome"], each["reason"]) for each in answers] == [("declined", "expense_not_shared")] * 2
    assert (await dated.balances())["PAYER"] == (100_000, 0, 0)
