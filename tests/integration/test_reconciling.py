"""An institution's day beside ours. Contract: "reconcile"."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.domain.times import SHANGHAI
from shared.messages.envelope import BODY_BYTES_MAX
from tests.conftest import Database
from tests.support.calendar import Clock
from tests.support.world import AGENCY, HOSPITAL, Answer, World, bill, envelope

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)
TODAY = "2026-11-22"
NOTHING = {"count": 0, "account_fen": 0, "mutual_aid_fen": 0, "refunded_fen": 0}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], clock: Clock) -> AsyncIterator[World]:
    """At noon a hospital has settled twice: 700 fen from a mother and 300 from the patient, then 50 from the mother."""
    async with World.build(database.url, amqp_url, keys, clock) as built:
        built.start_worker()
        await built.institution(HOSPITAL)
        await built.institution(AGENCY, kind="agency")
        await built.person("CHILD")
        await built.person("MOTHER")
        await built.bind("MOTHER", "CHILD")
        await ask(built, "credit", institution_id=AGENCY, person_id="MOTHER", fund="prior_years", amount_fen=900_000)
        await ask(built, "credit", institution_id=AGENCY, person_id="CHILD", fund="prior_years", amount_fen=300)
        await settle(built, "B-1", 1_000)
        await settle(built, "B-2", 50)
        await settle(built, "B-3", 50, expense_type="fitness")
        yield built


async def ask(world: World, operation: str, **more: Any) -> Answer:
    return await world.ask(operation, envelope(**{"occurred_at": NOON.isoformat(), **more}))


async def settle(world: World, request_id: str, amount_fen: int, **more: Any) -> Answer:
    body = bill(amount_fen=amount_fen, request_id=request_id, occurred_at=NOON.isoformat())
    return await world.ask("settle", {**body, **more})


async def refund(world: World, original: str, amount_fen: int, request_id: str = "BACK") -> Answer:
    return await ask(world, "refund", original_request_id=original, amount_fen=amount_fen, request_id=request_id)


async def reconcile(world: World, date: str = TODAY, **said: Any) -> Answer:
    return await ask(world, "reconcile", **{"date": date, **NOTHING, **said})


def totals(count: int, account_fen: int, mutual_aid_fen: int, refunded_fen: int = 0) -> dict[str, Any]:
    said = (count, account_fen, mutual_aid_fen, refunded_fen)
    return dict(zip(NOTHING, said, strict=True))


def line(request_id: str, account_fen: int, mutual_aid_fen: int) -> dict[str, Any]:
    return {"request_id": request_id, "account_fen": account_fen, "mutual_aid_fen": mutual_aid_fen}


NOON_TOTALS = totals(2, 1_050, 750)
LINES = [line("B-1", 1_000, 700), line("B-2", 50, 50)]


async def test_a_day_that_agrees_is_balanced(world: World) -> None:
    """What was declined, and what agencies paid in, is none of it."""
    answer = await reconcile(world, **NOON_TOTALS)
    by_line = await reconcile(world, **NOON_TOTALS, lines=LINES)
    agencys = await reconcile(world, institution_id=AGENCY)

    assert (answer["outcome"], answer["ours"], answer["theirs"]) == ("balanced", NOON_TOTALS, NOON_TOTALS)
    assert (answer["date"], answer["differences"]) == (TODAY, None)
    assert (by_line["outcome"], by_line["differences"]) == ("balanced", [])
    assert (agencys["outcome"], agencys["reason"]) == ("rejected", "institution_not_allowed")


@pytest.mark.parametrize("name", NOTHING)
async def test_each_total_counts(world: World, name: str) -> None:
    """One fen or one settlement too many, and the day differs; both sides' figures are told."""
    theirs = {**NOON_TOTALS, name: NOON_TOTALS[name] + 1}

    answer = await reconcile(world, **theirs)

    assert (answer["outcome"], answer["ours"], answer["theirs"]) == ("differs", NOON_TOTALS, theirs)


async def test_lines_name_what_differs(world: World) -> None:
    """Missing on either side, or with other figures, although the totals agree; ours with the settlement's id."""
    await settle(world, "B-4", 7)
    settled = await settle(world, "B-5", 20)
    theirs = [line("B-1", 1_000, 700), line("B-2", 50, 49), line("B-5", 20, 20), line("B-X", 7, 7)]

    answer = await reconcile(world, **totals(4, 1_077, 777), lines=theirs)

    differences = {each["request_id"]: each for each in answer["differences"]}
    assert answer["outcome"] == "differs"
    assert {name: each["kind"] for name, each in differences.items()} == {
        "B-2": "different",
        "B-4": "missing_there",
        "B-X": "missing_here",
    }
    assert (differences["B-X"]["ours"], differences["B-X"]["theirs"]) == (None, line("B-X", 7, 7))
    assert differences["B-4"]["theirs"] is None
    assert differences["B-2"]["theirs"] == line("B-2", 50, 49)
    ours = differences["B-2"]["ours"]
    assert {**line("B-2", 50, 50), "settlement_id": ours["settlement_id"]} == ours
    assert ours["settlement_id"].startswith("13-")
    assert settled["settlement_id"] != ours["settlement_id"]


async def test_what_is_returned_counts_on_the_day_it_was_returned(world: World, clock: Clock) -> None:
    """By a refund, by a cancel; a refund that is cancelled is taken out again, below nothing on a day of its own."""
    await refund(world, "B-1", 100)
    clock.now += timedelta(days=1)
    await refund(world, "B-1", 200, "BACK-2")
    await ask(world, "cancel", original_request_id="B-2")
    clock.now += timedelta(days=1)
    await ask(world, "cancel", original_request_id="BACK-2")

    days = [
        await reconcile(world, TODAY, **totals(2, 1_050, 750, 100), lines=LINES),
        await reconcile(world, "2026-11-23", **totals(0, 0, 0, 250)),
        await reconcile(world, "2026-11-24", **totals(0, 0, 0, -200)),
    ]

    assert [(each["outcome"], each["ours"]["refunded_fen"]) for each in days] == [
        ("balanced", 100),
        ("balanced", 250),
        ("balanced", -200),
    ]


async def test_a_day_is_from_midnight_to_midnight_in_shanghai(world: World, clock: Clock) -> None:
    """The last instant of the day before, the first and the last of the day, the first of the day after."""
    for number, moment in enumerate(
        [
            datetime(2026, 11, 23, 23, 59, 59, 999_999, tzinfo=SHANGHAI),
            datetime(2026, 11, 24, tzinfo=SHANGHAI),
            datetime(2026, 11, 24, 23, 59, 59, 999_999, tzinfo=SHANGHAI),
            datetime(2026, 11, 25, tzinfo=SHANGHAI),
        ]
    ):
        clock.now = moment
        await settle(world, f"M-{number}", 10**number)

    days = [await reconcile(world, f"2026-11-{day}") for day in (23, 24, 25)]

    assert [each["ours"]["account_fen"] for each in days] == [1, 110, 1_000]


async def test_only_the_institutions_own_day_within_the_province_counts(world: World) -> None:
    """Another hospital, and the same hospital's patients of another province, have days of their own."""
    await world.institution("H2")
    await world.person("GUEST", region_code="120100")
    await ask(
        world,
        "credit",
        institution_id=AGENCY,
        insured_region="120100",
        person_id="GUEST",
        fund="current_year",
        amount_fen=500,
    )
    credential = {"type": "01", "person_id": "GUEST"}
    await settle(world, "B-1", 20, institution_id="H2")
    await settle(world, "B-1", 500, person_id="GUEST", credential=credential, insured_region="120100")

    here = await reconcile(world, **NOON_TOTALS, lines=LINES)
    other = await reconcile(world, **totals(1, 20, 20), institution_id="H2")
    there = await reconcile(world, **totals(1, 500, 0), insured_region="120100", lines=[line("B-1", 500, 0)])

    assert [each["outcome"] for each in (here, other, there)] == ["balanced"] * 3


async def test_a_request_named_twice_is_malformed(world: World) -> None:
    """Neither line is taken for the right one."""
    answer = await reconcile(world, **NOON_TOTALS, lines=[*LINES, line("B-2", 50, 50)])

    assert (answer["outcome"], answer["reason"]) == ("rejected", "malformed")
    assert "lines" in answer["reason_text"]
    assert "B-2" not in answer["reason_text"]


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31"])
async def test_a_day_of_another_millennium_is_malformed(world: World, date: str) -> None:
    """It cannot be counted from midnight to midnight, and is answered nevertheless."""
    answer = await reconcile(world, date, lines=[])

    assert (answer["outcome"], answer["reason"]) == ("rejected", "malformed")
    assert "date" in answer["reason_text"]


async def test_as_many_lines_as_a_message_holds(world: World) -> None:
    """64 KiB are about a thousand lines; a longer day is malformed, and is reconciled by its totals."""
    lines = [line(f"REQ-{number:012d}", 1_000, 700) for number in range(800)]
    size = len(orjson.dumps(lines))

    full = await reconcile(world, **NOON_TOTALS, lines=lines)
    longer = await reconcile(world, **NOON_TOTALS, lines=lines + [line(f"MORE-{n}", 1, 0) for n in range(400)])

    assert size < BODY_BYTES_MAX
    assert len(full["differences"]) == 802
    assert (longer["outcome"], longer["reason"]) == ("rejected", "malformed")


async def test_a_huge_day_is_told_in_parts(world: World) -> None:
    """Of 6,002 settlements that the institution does not know of, 5,000 are named, and the number of the others."""
    await world.db.execute(
        """
        INSERT INTO ledger.entries
        SELECT
            13, (left(ledger.earliest_id($1)::text, 14) || right(gen_random_uuid()::text, 22))::uuid, 'CHILD', 'settlement',
            'H1', 'D-' || n, NULL, 0, -10, 0, 'payable', 10, NULL, '130100', '130100', $1
        FROM generate_series(1, 6000) AS n
        """,
        NOON,
    )

    answer = await reconcile(world, lines=[])

    assert (answer["ours"]["count"], answer["ours"]["account_fen"]) == (6_002, 61_050)
    assert {each["kind"] for each in answer["differences"]} == {"missing_there"}
    assert (len(answer["differences"]), answer["differences_left_out"]) == (5_000, 1_002)
