"""The list of payments: both sides, every fund, stable pages; and what a payer does not learn."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.ids import earliest_id, latest_id, public_id, time_ordered_uuid
from shared.domain.roles import Role
from shared.domain.times import SHANGHAI
from tests.conftest import Database
from tests.support.world import HOSPITAL, World, bill

Line = dict[str, Any]
MIDNIGHT = datetime(2099, 3, 2, tzinfo=SHANGHAI)


async def page(world: World, person_id: str, **query: Any) -> dict[str, Any]:
    response = await world.call(Role.CLERK, "GET", f"/v1/persons/{person_id}/payments", params=query)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


async def following(world: World, person_id: str, cursor: str | None, **query: Any) -> list[Line]:
    """Everything on the pages after a cursor."""
    found: list[Line] = []
    while cursor is not None:
        answer = await page(world, person_id, cursor=cursor, **query)
        found += answer["items"]
        cursor = answer["next"]
    return found


async def everything(world: World, person_id: str, **query: Any) -> list[Line]:
    first = await page(world, person_id, **query)
    return [*first["items"], *await following(world, person_id, first["next"], **query)]


async def household(world: World) -> None:
    """A mother and a father pay for a working daughter, who has 10 yuan of her own and 5 in her wallet."""
    world.start_worker()
    await world.family("MOTHER", "FATHER", child="DAUGHTER")
    await world.person("DAUGHTER")
    await world.credit("DAUGHTER", 1_000)
    await world.credit("FATHER", 1_000)
    await world.db.execute("UPDATE ledger.accounts SET wallet_fen = 500 WHERE person_id = 'DAUGHTER'")


def brief(lines: list[Line]) -> list[tuple[str, str | None, str, int]]:
    return [(line["role"], line["other_person_id"], line["fund"], line["amount_fen"]) for line in lines]


async def test_each_side_sees_its_lines_of_one_settlement(world: World) -> None:
    """Own money, the wallet and the father's money in one movement: three lines for her, one for him, none for the mother."""
    await household(world)
    answer = await world.settle("DAUGHTER", 10_000)

    hers, his, mothers = [await everything(world, person) for person in ("DAUGHTER", "FATHER", "MOTHER")]

    assert brief(hers) == [
        ("self", None, "own", 1_000),
        ("self", None, "wallet", 500),
        ("beneficiary", "FATHER", "mutual_aid", 8_500),
    ]
    assert brief(his) == [("payer", "DAUGHTER", "mutual_aid", 8_500)]
    assert mothers == []
    assert {line["movement_id"] for line in (*hers, *his)} == {answer["settlement_id"]}
    assert {(line["kind"], line["institution_kind"], line["at"]) for line in (*hers, *his)} == {
        ("settlement", "hospital", answer["decided_at"])
    }


async def test_nobody_learns_where_and_for_what_a_relative_was_treated(world: World) -> None:
    """An amount, a time and a kind of institution; no institution, bill, request or expense, whoever asks."""
    await household(world)
    told = bill("DAUGHTER", 10_000, bill_ref="DIALYSIS-7", request_id="VISIT-42", expense_type="pharmacy")
    await world.ask("settle", told)
    await world.db.execute("UPDATE registry.institutions SET name = '第一肿瘤医院'")

    as_payer = await world.call(Role.MEMBER, "GET", "/v1/persons/FATHER/payments", person_id="FATHER")
    as_patient = await world.call(Role.MEMBER, "GET", "/v1/persons/DAUGHTER/payments", person_id="DAUGHTER")

    fields = {"movement_id", "at", "kind", "role", "other_person_id", "fund", "amount_fen", "institution_kind"}
    for response in (as_payer, as_patient):
        assert [set(line) for line in response.json()["items"]] == [fields] * len(response.json()["items"])
        for secret in (f'"{HOSPITAL}"', "肿瘤", "DIALYSIS", "VISIT-42", "pharmacy"):
            assert secret not in response.text
    assert len(as_payer.json()["items"]) == 1


async def test_money_that_was_given_back_is_a_payment_too(world: World) -> None:
    """A refund's entries give; the amount is positive all the same, and both sides see it."""
    await household(world)
    await world.settle("DAUGHTER", 10_000, request_id="BILL")
    await world.refund("BILL")

    hers, his = [await everything(world, person) for person in ("DAUGHTER", "FATHER")]

    assert [line["kind"] for line in hers] == ["refund"] * 3 + ["settlement"] * 3
    assert brief(hers[:3]) == brief(hers[3:])
    assert [(line["kind"], line["amount_fen"]) for line in his] == [("refund", 8_500), ("settlement", 8_500)]


async def test_contributions_are_no_payments(world: World) -> None:
    """Whoever has only been credited has paid nothing."""
    await household(world)

    assert await page(world, "FATHER") == {"items": [], "next": None}
    assert await page(world, "NOBODY") == {"items": [], "next": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 7])
async def test_pages_of_any_size_add_up_to_one_big_page(world: World, limit: int) -> None:
    """Also where a page ends between two lines of one movement; and their sum is what the entries say."""
    await household(world)
    for amount_fen in (10_000, 300, 20_000):
        await world.settle("DAUGHTER", amount_fen)
        await world.credit("DAUGHTER", 700)

    big = await page(world, "DAUGHTER", limit=200)
    small = await everything(world, "DAUGHTER", limit=limit)

    assert small == big["items"]
    assert len(small) == 6
    assert big["next"] is None
    taken = await world.db.fetch(
        "SELECT movement_id, sum(contra_fen)::bigint AS fen FROM ledger.entries WHERE kind = 'settlement' GROUP BY 1 ORDER BY 1 DESC"
    )
    assert _by_movement(small) == [(public_id(13, row["movement_id"]), row["fen"]) for row in taken]


async def test_pages_are_stable_while_money_moves(world: World) -> None:
    """What is settled after the first page changes nothing on those that follow: none twice, none missed."""
    await household(world)
    for _ in range(4):
        await world.credit("DAUGHTER", 700)
        await world.settle("DAUGHTER", 2_000)
    before = (await page(world, "DAUGHTER", limit=200))["items"]

    first = await page(world, "DAUGHTER", limit=2)
    for _ in range(3):
        await world.credit("DAUGHTER", 700)
        await world.settle("DAUGHTER", 2_000)
    rest = await following(world, "DAUGHTER", first["next"], limit=2)

    assert first["items"] + rest == before
    assert len(before) > 6
    assert (await page(world, "DAUGHTER", limit=200))["items"][6:] == before


async def test_a_role_can_be_asked_for(world: World) -> None:
    """Each role alone; together they are everything, pages included."""
    await household(world)
    await world.bind("DAUGHTER", "MOTHER", "mother")
    await world.settle("DAUGHTER", 10_000)
    await world.credit("DAUGHTER", 300_000)
    await world.settle("MOTHER", 150_000)

    by_role = {
        role: await everything(world, "DAUGHTER", role=role, limit=1) for role in ("payer", "self", "beneficiary")
    }

    assert brief(by_role["payer"]) == [("payer", "MOTHER", "mutual_aid", 50_000)]
    assert brief(by_role["beneficiary"]) == [("beneficiary", "FATHER", "mutual_aid", 8_500)]
    assert brief(by_role["self"]) == [("self", None, "own", 1_000), ("self", None, "wallet", 500)]
    assert [*by_role["payer"], *by_role["self"], *by_role["beneficiary"]] == await everything(world, "DAUGHTER")


async def test_days_are_shanghais_and_both_are_included(
    database: Database, amqp_url: str, keys: dict[str, Path]
) -> None:
    """A payment in the last instant of a day, and one in the first of the next."""
    clock = [MIDNIGHT - timedelta(hours=1)]
    async with World.build(database.url, amqp_url, keys, clock=lambda: clock[0].astimezone(UTC)) as world:
        world.start_worker()
        await world.family("FATHER")
        for clock[0], amount_fen in ((MIDNIGHT - timedelta(microseconds=1), 1_000), (MIDNIGHT, 2_000)):
            await world.settle(amount_fen=amount_fen, occurred_at=clock[0].isoformat())

        found = [
            [line["amount_fen"] for line in await everything(world, "CHILD", limit=1, **query)]
            for query in (
                {"from_date": "2099-03-01", "to_date": "2099-03-01"},
                {"from_date": "2099-03-02", "to_date": "2099-03-02"},
                {"from_date": "2099-03-02"},
                {"to_date": "2099-03-01"},
                {"from_date": "2099-03-01", "to_date": "2099-03-02"},
                {"from_date": "0001-01-01", "to_date": "9999-12-31"},
            )
        ]

    assert found == [[1_000], [2_000], [2_000], [1_000], [2_000, 1_000], [2_000, 1_000]]


async def test_payments_follow_a_person_who_moves(world: World) -> None:
    """What happened in a former province is still theirs to see, on both sides."""
    await household(world)
    await world.settle("DAUGHTER", 10_000)
    before = [await everything(world, person) for person in ("DAUGHTER", "FATHER")]

    await world.person("DAUGHTER", region_code="330100")
    await world.person("FATHER", region_code="120100")

    assert [await everything(world, person) for person in ("DAUGHTER", "FATHER")] == before


async def test_a_binding_that_is_over_keeps_its_payments(world: World) -> None:
    """History is not unbound."""
    await household(world)
    await world.settle("DAUGHTER", 10_000)
    await world.db.execute("UPDATE registry.bindings SET valid_until = valid_from")

    assert [line["role"] for line in await everything(world, "DAUGHTER")] == ["self", "self", "beneficiary"]
    assert [line["role"] for line in await everything(world, "FATHER")] == ["payer"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "中"}, "cursor"),
        ({"cursor": base64.b64encode(bytes(17)).decode()}, "cursor"),
        ({"cursor": f"13-{'0' * 32}"}, "cursor"),
        ({"role": "agency"}, "role"),
        ({"limit": 201}, "limit"),
        ({"limit": 0}, "limit"),
        ({"from_date": "yesterday"}, "from_date"),
        ({"from_date": "2099-03-02", "to_date": "2099-03-01"}, "to_date"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(world: World, query: dict[str, Any], field: str) -> None:
    """422, with the parameter named."""
    response = await world.call(Role.CLERK, "GET", "/v1/persons/DAUGHTER/payments", params=query)

    assert (response.status_code, [each["field"] for each in response.json()["fields"]]) == (422, [field])


@pytest.mark.parametrize(
    "moment", [MIDNIGHT, MIDNIGHT + timedelta(microseconds=999), datetime(9999, 12, 31, tzinfo=UTC)]
)
def test_ids_of_a_moment_lie_between_its_bounds(moment: datetime) -> None:
    """And those of the millisecond before and after do not."""
    inside = time_ordered_uuid(moment, "H1", "R1")
    before, after = (time_ordered_uuid(moment + timedelta(milliseconds=step), "H1", "R1") for step in (-1, 1))

    assert earliest_id(moment) <= inside <= latest_id(moment)
    assert before < earliest_id(moment)
    assert after > latest_id(moment)


def _by_movement(lines: list[Line]) -> list[tuple[str, int]]:
    sums: dict[str, int] = {}
    for line in lines:
        sums[line["movement_id"]] = sums.get(line["movement_id"], 0) + line["amount_fen"]
    return list(sums.items())
