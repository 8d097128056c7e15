"""The turn of the year: this year's balances become earlier years', once, while settlements go on. Source: domain.md, rule 9."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cli.audit import prove
from services.settlement import rollover
from services.settlement.rollover import ROLE, Progress, YearNotBegun, roll_over
from shared.domain.times import SHANGHAI
from shared.postgres.pool import connect
from tests.conftest import Database
from tests.support.calendar import Clock
from tests.support.world import AGENCY, HOSPITAL, Answer, World, bill

LAST_SECOND = datetime(2026, 12, 31, 23, 59, 59, tzinfo=SHANGHAI)
NEW_YEAR = datetime(2027, 1, 1, tzinfo=SHANGHAI)


@pytest.fixture
def clock() -> Clock:
    return Clock(LAST_SECOND)


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path], clock: Clock) -> AsyncIterator[World]:
    """Both services, one second before the new year in Shanghai."""
    async with World.build(database.url, amqp_url, keys, clock) as built:
        built.start_worker()
        await built.institution(HOSPITAL)
        await built.institution(AGENCY, kind="agency")
        await built.person("CHILD", insurance="resident")
        yield built


async def employee(world: World, person_id: str, fen: int) -> None:
    await world.person(person_id)
    await world.credit(person_id, fen, occurred_at=LAST_SECOND.isoformat())


async def pay(world: World, person_id: str, amount_fen: int) -> Answer:
    return await world.settle(person_id, amount_fen, occurred_at=LAST_SECOND.isoformat())


async def turned(world: World, now: datetime, year: int = 2027) -> Progress:
    """What one run of the rollover did."""
    connection = await connect(world.database_url, role=ROLE, name="tests")
    try:
        steps = [step async for step in roll_over(connection, year, now)]
    finally:
        await connection.close()
    return steps[-1] if steps else Progress()


async def holds(world: World) -> bool:
    found = await prove(world.database_url)
    assert found["holds"], found
    return True


async def test_money_is_a_year_older_from_the_first_second(world: World, clock: Clock) -> None:
    """Where only earlier years' money is shared, the same bill is refused before midnight and paid after, with no job run."""
    await world.policy("13", scope="province", funds="prior_years")
    await employee(world, "MOTHER", 10_000)
    await world.bind("MOTHER", "CHILD")

    before = await pay(world, "CHILD", 4_000)
    clock.now = NEW_YEAR
    after = await pay(world, "CHILD", 4_000)

    assert (before["outcome"], before["reason"]) == ("declined", "payer_balance_zero")
    assert (after["outcome"], after["payer_id"]) == ("settled", "MOTHER")
    assert await world.balances() == {"MOTHER": (0, 6_000, 0)}
    assert await holds(world)


async def test_a_contribution_after_midnight_is_the_new_years(world: World, clock: Clock) -> None:
    """It joins nothing that is a year older."""
    await employee(world, "MOTHER", 10_000)
    clock.now = NEW_YEAR + timedelta(seconds=1)

    answer = await world.credit("MOTHER", 500, occurred_at=NEW_YEAR.isoformat())

    assert (answer["current_year_fen"], answer["prior_years_fen"]) == (500, 10_000)
    assert await world.balances() == {"MOTHER": (500, 10_000, 0)}
    assert await holds(world)


async def test_a_quote_sees_the_new_year_and_writes_nothing(world: World, clock: Clock) -> None:
    """The books turn only when something moves, or when the rollover is run."""
    await world.policy("13", scope="province", funds="prior_years")
    await employee(world, "MOTHER", 10_000)
    await world.bind("MOTHER", "CHILD")
    clock.now = NEW_YEAR

    quoted = await world.ask("quote", bill("CHILD", 4_000, occurred_at=LAST_SECOND.isoformat()))

    assert (quoted["outcome"], quoted["payer_id"]) == ("settled", "MOTHER")
    assert await world.balances() == {"MOTHER": (10_000, 0, 0)}


async def test_the_rollover_turns_everybody_once(world: World, clock: Clock) -> None:
    """Those that a settlement has turned already, too; run again, it does nothing; both runs are written down."""
    for number in range(5):
        await employee(world, f"E{number}", 100 + number)
    clock.now = NEW_YEAR
    await pay(world, "E0", 1)

    first = await turned(world, NEW_YEAR)
    second = await turned(world, NEW_YEAR)

    assert (first, second) == (Progress(4, 101 + 102 + 103 + 104), Progress())
    assert await world.balances() == {"E0": (0, 99, 0)} | {f"E{n}": (0, 100 + n, 0) for n in range(1, 5)}
    runs = await world.db.fetch("SELECT year, accounts, moved_fen FROM ledger.rollovers ORDER BY rollover_id")
    assert [tuple(run) for run in runs] == [(2027, 4, 410), (2027, 0, 0)]
    assert await holds(world)


async def test_an_interrupted_rollover_goes_on_where_it_was(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction stands by itself; the next run does the rest."""
    monkeypatch.setattr(rollover, "ACCOUNTS_MAX", 2)
    for number in range(5):
        await employee(world, f"E{number}", 100)
    clock.now = NEW_YEAR
    connection = await connect(world.database_url, role=ROLE, name="tests")
    interrupted = roll_over(connection, 2027, NEW_YEAR)
    partly = await anext(interrupted)
    await interrupted.aclose()
    await connection.close()

    rest = await turned(world, NEW_YEAR)

    assert (partly.accounts, rest.accounts) == (2, 3)
    assert set((await world.balances()).values()) == {(0, 100, 0)}
    assert await holds(world)


async def test_it_runs_beside_settlements(world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every account turns once, whoever comes first, and no money is lost on the way."""
    monkeypatch.setattr(rollover, "ACCOUNTS_MAX", 3)
    people = [f"E{number:02d}" for number in range(20)]
    for person_id in people:
        await employee(world, person_id, 1_000)
    clock.now = NEW_YEAR

    turning = [asyncio.create_task(turned(world, NEW_YEAR)) for _ in range(2)]
    answers = await asyncio.gather(*(pay(world, person_id, 10) for person_id in people))
    await asyncio.gather(*turning)

    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert set((await world.balances()).values()) == {(0, 990, 0)}
    assert await world.db.fetchval("SELECT count(*) FROM ledger.entries WHERE kind = 'rollover'") == 20
    assert await holds(world)


async def test_a_year_that_has_not_begun_is_refused(world: World) -> None:
    """One second too early, nothing is touched."""
    await employee(world, "MOTHER", 10_000)

    with pytest.raises(YearNotBegun, match="2027"):
        await turned(world, LAST_SECOND)

    assert await world.balances() == {"MOTHER": (10_000, 0, 0)}


async def test_a_yearly_limit_begins_anew(world: World, clock: Clock) -> None:
    """What a binding used counts for the Shanghai year it was used in."""
    await employee(world, "MOTHER", 10_000)
    await world.bind("MOTHER", "CHILD", annual_limit_fen=3_000)

    used_up = [(await pay(world, "CHILD", 2_000))["outcome"], (await pay(world, "CHILD", 2_000))["reason"]]
    clock.now = NEW_YEAR
    anew = await pay(world, "CHILD", 2_000)

    assert used_up == ["settled", "authorised_limit_exceeded"]
    assert anew["outcome"] == "settled"
