"""Clearing: a day is closed once, when it is over, and comes to what the ledger says."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from cli.audit import prove
from cli.clearing import SQL, Report, read, told
from services.bookkeeping.handler import Handler
from shared.domain.times import SHANGHAI
from shared.postgres.authority import deciding
from shared.postgres.pool import connect
from tests.conftest import Database
from tests.support.bookkeepers import bookkeeping
from tests.support.calendar import Clock
from tests.support.meanwhile import month_prepared_after
from tests.support.world import AGENCY, HOSPITAL, World

EVENING = datetime(2026, 11, 22, 20, tzinfo=SHANGHAI)
DAY, NEXT_DAY = date(2026, 11, 22), date(2026, 11, 23)


@pytest.fixture
def clock() -> Clock:
    return Clock(EVENING)


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], clock: Clock) -> AsyncIterator[World]:
    """A mother insured in Tangshan pays for her child of Shijiazhuang, who has money too; care in three places."""
    async with World.build(database.url, amqp_url, keys, clock) as built:
        built.start_worker()
        for institution in (HOSPITAL, "H2", "H3"):
            await built.institution(institution)
        await built.institution(AGENCY, kind="agency")
        await built.person("CHILD", region_code="130100")
        await built.person("MOTHER", region_code="130200")
        await built.bind("MOTHER", "CHILD")
        await built.credit("MOTHER", 100_000, **said(clock))
        await built.credit("CHILD", 300, **said(clock))
        await built.settle("CHILD", 1_000, request_id="AT-HOME", **said(clock))
        await built.settle("CHILD", 50, request_id="AWAY", institution_id="H2", care_region="330100", **said(clock))
        await built.settle("CHILD", 20, request_id="AWAY-2", institution_id="H2", care_region="330100", **said(clock))
        await built.refund("AT-HOME", 200, **said(clock))
        yield built


@pytest.fixture
async def bookkeeper(world: World) -> AsyncIterator[Handler]:
    """It has sealed what there is, so it knows of the province."""
    async with bookkeeping(world) as handler:
        await handler.seal()
        yield handler


def said(clock: Clock) -> dict[str, Any]:
    return {"occurred_at": clock.now.isoformat()}


async def report(world: World, day: date = DAY) -> Report:
    return await read(world.database_url, day)


def owed(found: Report) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    return {
        (line.insured_region, line.institution_id, line.care_region): (
            line.settlements,
            line.settled_fen,
            line.returned_fen,
        )
        for line in found.lines
    }


LINES = {
    ("130100", HOSPITAL, "130100"): (1, 300, 0),
    ("130200", HOSPITAL, "130100"): (1, 700, 200),
    ("130200", "H2", "330100"): (2, 70, 0),
}


async def test_a_day_is_told_by_who_was_insured_where_and_who_gave_the_care(
    world: World, bookkeeper: Handler, clock: Clock
) -> None:
    """Open, it is told as it is so far; closed, the same; and the sums are the ledger's."""
    before = await report(world)
    clock.now += timedelta(hours=5)
    await close_all(bookkeeper)
    after = await report(world)

    payable = await world.db.fetchval("SELECT sum(contra_fen) FROM ledger.entries WHERE contra = 'payable'")
    summed = told(after)
    assert owed(before) == owed(after) == LINES
    assert (before.open_provinces, after.open_provinces) == ([13], [])
    assert summed["totals"]["owed_fen"] == payable == 870
    assert [(each["debtor"], each["creditor"], each["owed_fen"]) for each in summed["regions"]] == [
        ("1302", "1301", 500),
        ("1302", "3301", 70),
    ]
    assert {each["area"]: each["net_fen"] for each in summed["positions"]} == {"1301": 500, "1302": -570, "3301": 70}


async def test_a_day_is_closed_some_minutes_after_it_is_over(world: World, bookkeeper: Handler, clock: Clock) -> None:
    """Not a moment before: a worker's clock may be slow."""
    clock.now = datetime(2026, 11, 23, 0, 4, 59, tzinfo=SHANGHAI)
    await close_all(bookkeeper)
    early = await closed_days(world)
    clock.now = datetime(2026, 11, 23, 0, 5, tzinfo=SHANGHAI)
    await close_all(bookkeeper)

    assert DAY not in early
    assert DAY in await closed_days(world)


async def test_what_is_given_back_later_is_of_its_own_day(world: World, bookkeeper: Handler, clock: Clock) -> None:
    """The closed day stays as it is; the refund is the next day's, of the regions of its original."""
    clock.now += timedelta(hours=5)
    await close_all(bookkeeper)
    await world.person("MOTHER", region_code="130900")
    await world.refund("AWAY", institution_id="H2", **said(clock))
    await world.cancel("AT-HOME", **said(clock))
    clock.now += timedelta(days=1)
    await close_all(bookkeeper)

    assert owed(await report(world)) == LINES
    assert owed(await report(world, NEXT_DAY)) == {
        ("130100", HOSPITAL, "130100"): (0, 0, 300),
        ("130200", HOSPITAL, "130100"): (0, 0, 500),
        ("130200", "H2", "330100"): (0, 0, 50),
    }
    assert (await prove(world.database_url))["holds"]


async def test_a_day_is_closed_once_whoever_closes_it(world: World, bookkeeper: Handler, clock: Clock) -> None:
    """Two bookkeepers at once, again and again."""
    clock.now += timedelta(days=3)
    async with bookkeeping(world) as other:
        for _ in range(5):
            await asyncio.gather(bookkeeper.close_days(), other.close_days())

    days = await closed_days(world)
    assert days == sorted(set(days))
    assert days[-3:] == [DAY, NEXT_DAY, date(2026, 11, 24)]
    assert owed(await report(world)) == LINES


async def test_a_batch_of_the_day_is_waited_for(world: World, bookkeeper: Handler, clock: Clock) -> None:
    """A batch that began before midnight and is not committed holds the closing up; nothing is closed without it."""
    working = await connect(world.database_url, role="gongji_settlement", name="tests")
    clock.now += timedelta(hours=5)
    async with deciding(working, {13}):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await close_all(bookkeeper)
        meanwhile = await closed_days(world)
    await close_all(bookkeeper)
    await working.close()

    assert meanwhile == []
    assert DAY in await closed_days(world)


async def test_what_is_added_to_a_closed_day_is_found(world: World, bookkeeper: Handler, clock: Clock) -> None:
    """Whoever writes into the past, the audit tells."""
    clock.now += timedelta(hours=5)
    await close_all(bookkeeper)
    clock.now = EVENING + timedelta(minutes=1)
    await world.settle("CHILD", 9, request_id="TOO-LATE", **said(clock))

    found = await prove(world.database_url)

    assert [name for name, rows in found["broken"].items() if rows] == ["every_closed_day_is_as_it_was"]


async def close_all(bookkeeper: Handler) -> None:
    while await bookkeeper.close_days():
        pass


async def closed_days(world: World) -> list[date]:
    return [row["day"] for row in await world.db.fetch("SELECT day FROM ledger.clearings ORDER BY day")]


async def test_a_month_that_is_prepared_meanwhile_hides_no_line(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bookkeeper was away when the month began: what has come of it is moved into a table of its own."""
    before = await report(world)

    async with month_prepared_after(monkeypatch, SQL["closed"], world, DAY.replace(day=1)):
        found = await report(world)

    assert owed(found) == owed(before) != {}
    assert await world.db.fetchval("SELECT count(*) FROM ledger.entries_to_come") == 0
