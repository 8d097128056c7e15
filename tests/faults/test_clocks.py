"""Clocks: midnight in Shanghai wherever a worker runs, the turn of months and years, and workers whose clock is a day off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.audit import prove
from services.settlement.rollover import ROLE, roll_over
from shared.domain.roles import Role
from shared.domain.times import shanghai_moment
from shared.postgres.pool import connect
from tests.conftest import Database
from tests.support.clocks import TurnedClock
from tests.support.correspondence import Correspondence, bills
from tests.support.processes import Worker
from tests.support.world import AGENCY, Answer, World, bill, envelope, until

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
NEW_YEAR = date(2100, 1, 1)


@pytest.fixture
def clock(tmp_path: Path) -> TurnedClock:
    """Runs as the machine's does, until a test turns it."""
    made = TurnedClock(tmp_path / "clock")
    made.run_from(datetime.now(UTC))
    return made


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], clock: TurnedClock) -> AsyncIterator[World]:
    """The binding service in this process, by that clock."""
    async with World.build(database.url, amqp_url, keys, clock) as built:
        yield built


# ---- the turn of a day, a month, a year ----

# Where a worker may run, and what its server may think of days: neither is asked.
ZONES = ["America/New_York", "Pacific/Kiritimati", "UTC"]
FIRST_DAYS = {
    "an ordinary day": date(2096, 5, 17),
    "a month": date(2096, 5, 1),
    "29 February": date(2096, 2, 29),
    "the day after 29 February": date(2096, 3, 1),
    "1 March after a February of 28 days": date(2100, 3, 1),
    "a year": NEW_YEAR,
}


@pytest.mark.long
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("day", FIRST_DAYS.values(), ids=FIRST_DAYS)
async def test_a_day_begins_at_midnight_in_shanghai(
    town: World, clock: TurnedClock, stack: AsyncExitStack, day: date, zone: str
) -> None:
    """One binding's last instant, another's first: each pays on its own day, and the institution's days are told apart so."""
    await town.db.execute(
        f"ALTER DATABASE {await town.db.fetchval('SELECT current_database()')} SET timezone = '{zone}'"
    )
    clock.stand_at(shanghai_moment(day) - 2 * DAY)
    await _father_from(town, day)
    stack.callback(Worker(town, clock, TZ=zone).kill)

    clock.stand_at(shanghai_moment(day) - INSTANT)
    last = await town.settle(amount_fen=700)
    clock.stand_at(shanghai_moment(day))
    first = await town.settle(amount_fen=300)
    days = [await _reconciled(town, each) for each in (day - DAY, day)]

    assert [answer["payer_id"] for answer in (last, first)] == ["MOTHER", "FATHER"]
    assert [datetime.fromisoformat(answer["decided_at"]) for answer in (last, first)] == [
        shanghai_moment(day) - INSTANT,
        shanghai_moment(day),
    ]
    assert [(each["count"], each["mutual_aid_fen"]) for each in days] == [(1, 700), (1, 300)]
    assert (await prove(town.database_url))["holds"]


async def _father_from(town: World, day: date) -> None:
    """Until then MOTHER pays for CHILD, from then on FATHER does."""
    listed = (await town.call(Role.CLERK, "GET", "/v1/bindings?payer_id=MOTHER")).json()["items"]
    said = {"end_date": day.isoformat()}
    ended = await town.call(Role.CLERK, "POST", f"/v1/bindings/{listed[0]['binding_id']}/end", said)
    ended.raise_for_status()
    await town.person("FATHER")
    await town.bind("FATHER", "CHILD", valid_from=day.isoformat())
    town.start_worker()
    await town.credit("FATHER", 100_000)
    await town.stop_workers()


async def _reconciled(town: World, day: date) -> Answer:
    """What our books say of the hospital's day."""
    theirs = {"count": 0, "account_fen": 0, "mutual_aid_fen": 0, "refunded_fen": 0}
    answer = await town.ask("reconcile", envelope(date=day.isoformat(), **theirs))
    ours: Answer = answer["ours"]
    return ours


@pytest.mark.long
@pytest.mark.parametrize("zone", ZONES)
async def test_a_year_begins_at_midnight_in_shanghai(
    town: World, clock: TurnedClock, stack: AsyncExitStack, zone: str
) -> None:
    """Limits begin anew, this year's money is earlier years', and what is given back of last year's payment is, too."""
    clock.stand_at(shanghai_moment(NEW_YEAR) - 2 * DAY)
    await town.person("AUNT")
    await town.person("NEPHEW", insurance="resident")
    await town.bind("AUNT", "NEPHEW", "brother", annual_limit_fen=1_000)
    stack.callback(Worker(town, clock, TZ=zone).kill)
    await town.credit("AUNT", 10_000)

    clock.stand_at(shanghai_moment(NEW_YEAR) - INSTANT)
    old = [await town.settle("NEPHEW", 800) for _ in range(2)]
    clock.stand_at(shanghai_moment(NEW_YEAR))
    new = [await town.settle("NEPHEW", 700)]
    await town.refund(old[0]["request_id"])
    new += [await town.settle("NEPHEW", 400), await town.settle("NEPHEW", 300)]
    await town.credit("AUNT", 50)

    assert [answer["reason"] for answer in old] == [None, "authorised_limit_exceeded"]
    assert [answer["reason"] for answer in new] == [None, "authorised_limit_exceeded", None]
    assert (await town.balances())["AUNT"] == (50, 10_000 - 700 - 300, 0)
    assert (await prove(town.database_url))["holds"]


# ---- a clock that is a day off ----

OFF = {"a day ahead": DAY, "a day behind": -DAY}


@pytest.mark.long
@pytest.mark.parametrize("off", OFF.values(), ids=OFF)
async def test_workers_a_day_apart_turn_a_year_once_and_decide_once(
    town: World, clock: TurnedClock, stack: AsyncExitStack, off: timedelta
) -> None:
    """Over new year, on the same accounts, each request in the hands of both: whatever the clocks say, money is where the answers say."""
    clock.run_from(shanghai_moment(NEW_YEAR) - DAY / 2)
    till = Till(town)
    # The broker serves lanes in turn: of two copies each worker has one.
    one_at_a_time = {"GONGJI_LANES": "1", "GONGJI_BATCH_MAX": "1", "GONGJI_PREFETCH": "1"}
    stack.callback(Worker(town, clock, **one_at_a_time).kill)
    # Money of the year that is to be turned, more than all bills take, whoever is the first to turn it.
    await till.credit("current_year", 500)
    another = Worker(town, clock.off_by(off), **one_at_a_time)
    stack.callback(another.kill)
    await until(another.is_ready)

    before = [await till.twice("settle", bill(amount_fen=10 + number)) for number in range(20)]
    await asyncio.gather(*(till.credit("current_year", 500) for _ in range(10)), *map(till.refund, before[:10]))
    clock.run_from(shanghai_moment(NEW_YEAR) + DAY / 2)
    after = [await till.twice("settle", bill(amount_fen=10 + number)) for number in range(20)]
    await asyncio.gather(
        *(till.credit("current_year", 500) for _ in range(10)), *map(till.refund, [*before[10:], *after[:10]])
    )
    await _rolled_over(town, clock)
    await till.twice("settle", bill(amount_fen=1))

    assert till.contradictions == []
    assert sum((await town.balances())["MOTHER"]) == 100_000 + till.received_fen
    assert (
        await town.count(f"ledger.entries WHERE kind = 'rollover' AND moved_at >= '{shanghai_moment(NEW_YEAR)}'") == 1
    )
    assert (await prove(town.database_url))["holds"]


class Till:
    """Sends everything twice at once, and keeps what MOTHER has received and paid by the answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.received_fen = 0
        self.contradictions: list[tuple[Answer, Answer]] = []

    async def twice(self, operation: str, body: dict[str, Any]) -> Answer:
        first, second = await asyncio.gather(*(self.world.ask(operation, body, timeout_s=60) for _ in range(2)))
        if {**first, "replayed": None} != {**second, "replayed": None} or first["replayed"] == second["replayed"]:
            self.contradictions.append((first, second))
        self.received_fen -= first["mutual_aid_fen"] if operation == "settle" else 0
        self.received_fen += first["mutual_aid_fen"] if operation == "refund" else 0
        return first

    async def credit(self, fund: str, amount_fen: int) -> None:
        said = envelope(institution_id=AGENCY, person_id="MOTHER", fund=fund, amount_fen=amount_fen)
        answer = await self.twice("credit", said)
        assert answer["outcome"] == "credited", answer
        self.received_fen += amount_fen

    async def refund(self, original: Answer) -> None:
        answer = await self.twice("refund", envelope(original_request_id=original["request_id"]))
        assert (answer["outcome"], answer["mutual_aid_fen"]) == ("refunded", original["mutual_aid_fen"]), answer


async def _rolled_over(town: World, clock: TurnedClock) -> None:
    connection = await connect(town.database_url, role=ROLE, name="tests")
    async for _ in roll_over(connection, NEW_YEAR.year, clock()):
        pass
    await connection.close()


async def test_a_worker_that_is_behind_pays_by_nothing_that_was_ended(
    town: World, clock: TurnedClock, stack: AsyncExitStack
) -> None:
    """Its day is still the one before, on which the binding was good; the clerk was told that it is over."""
    clock.run_from(clock() + 2 * DAY)
    stack.callback(Worker(town, clock.off_by(-DAY)).kill)

    before = await town.settle(amount_fen=1)
    listed = (await town.call(Role.CLERK, "GET", "/v1/bindings?payer_id=MOTHER")).json()["items"]
    (await town.call(Role.CLERK, "POST", f"/v1/bindings/{listed[0]['binding_id']}/end")).raise_for_status()
    after = await town.settle(amount_fen=1)

    assert before["payer_id"] == "MOTHER"
    assert (after["outcome"], after["reason"]) == ("declined", "no_binding")


@pytest.mark.parametrize("change", ["ended", "moved"])
async def test_a_worker_that_is_behind_asks_nobody_who_has_left(
    town: World, clock: TurnedClock, stack: AsyncExitStack, change: str
) -> None:
    """What the feed says ends bindings by itself, from the moment on at which it was said."""
    clock.run_from(clock() + 2 * DAY)
    stack.callback(Worker(town, clock.off_by(-DAY)).kill)
    said = {"ended": {"status": "ended"}, "moved": {"region_code": "330100"}}[change]

    before = await town.settle(amount_fen=1)
    await town.person("MOTHER", **said)
    after = await town.settle(amount_fen=1)

    assert before["payer_id"] == "MOTHER"
    assert after["outcome"] == "declined"
    assert after["reason"] == {"ended": "payer_not_eligible", "moved": "region_not_connected"}[change]


async def test_what_a_worker_takes_for_the_future_is_refused_and_uses_no_name_up(
    town: World, clock: TurnedClock, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """More than a day behind it takes everything for that, decides nothing, tells how far off it is; the next worker decides the same requests."""
    behind = Worker(town, clock.off_by(-DAY - timedelta(hours=1)))
    stack.callback(behind.kill)

    await sender.send(bills(5))
    await until(sender.is_complete)
    refused = [answer for copies in sender.told.values() for answer in copies]
    ready, ahead_s = await behind.is_ready(), await behind.metric("gongji_clock_ahead_seconds")
    sender.told.clear()
    behind.kill()
    stack.callback(Worker(town, clock).kill)
    await sender.send(list(sender.asked.values()))
    await sender.converge()

    assert {(answer["outcome"], answer["reason"]) for answer in refused} == {("rejected", "malformed")}
    assert ready
    assert timedelta(seconds=ahead_s) == pytest.approx(-DAY - timedelta(hours=1), abs=timedelta(minutes=1))
