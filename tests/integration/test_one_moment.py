"""Whoever only asks sees one moment, and is kept waiting by nobody's authority. docs/adr/0019."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.settlement import known
from services.settlement.handler import Busy, Handler, Result
from services.settlement.incoming import Incoming
from services.settlement.model import Resolution
from shared.domain.roles import Role
from shared.domain.times import shanghai_date, shanghai_moment, system_clock
from shared.postgres.authority import asking, take_exclusively
from shared.postgres.pool import create_pool
from tests.support.builders import incoming
from tests.support.meanwhile import after_statement, month_prepared_after
from tests.support.world import AGENCY, World, bill, envelope

# So long a session would wait that is not told otherwise.
PATIENT_MS = 60_000


@pytest.fixture
async def handler(world: World) -> AsyncIterator[Handler]:
    """Beside a mother who may pay for her child, and without another worker."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=1, plan_once=True)
    yield Handler(pool, system_clock)
    await pool.close()


def lookup(of: Incoming) -> Incoming:
    return incoming("lookup", {**envelope(), "original_request_id": of.request.request_id})


def quote() -> Incoming:
    return incoming("quote", bill())


def day() -> Incoming:
    totals = {"count": 1, "account_fen": 1_000, "mutual_aid_fen": 1_000, "refunded_fen": 0}
    return incoming("reconcile", {**envelope(), "date": shanghai_date(system_clock()).isoformat(), **totals})


async def gift(world: World, handler: Handler) -> None:
    """From a father, whose binding has a limit, to the child, who has said yes to it and has not been given it yet."""
    await world.person("FATHER")
    await world.bind("FATHER", "CHILD", "son", wallet=True, annual_limit_fen=100_000)
    # In the night nobody may give.
    at_noon = Handler(handler.pool, lambda: shanghai_moment(shanghai_date(system_clock())) + timedelta(hours=12))
    of_agency = envelope(institution_id=AGENCY)
    credited = {"person_id": "FATHER", "fund": "prior_years", "amount_fen": 50_000}
    given = {"from_person_id": "FATHER", "to_person_id": "CHILD", "to_insured_region": "130100", "amount_fen": 5_000}
    results = await at_noon.handle([incoming("credit", {**of_agency, **credited})])
    results += await at_noon.handle([incoming("transfer", {**of_agency, "request_id": "gift", **given})])
    assert [outcome(result) for result in results] == ["credited", "pending"]
    transfer_id = await world.db.fetchval("SELECT transfer_id FROM ledger.transfers")
    accept = f"/v1/transfers/13-{transfer_id.hex}/accept"
    said_yes = await world.call(Role.MEMBER, "POST", accept, person_id="CHILD")
    said_yes.raise_for_status()


def outcome(result: Result) -> str:
    assert isinstance(result, Resolution)
    return str(result.answer.outcome)


@pytest.mark.parametrize("asked", ["a lookup", "a day"])
async def test_what_is_moved_into_its_month_meanwhile_is_found(
    world: World, handler: Handler, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """A month that has begun before the bookkeeper prepared it: rows change tables, and no look from before would find them in either."""
    paid = incoming("settle", bill(amount_fen=1_000))
    await handler.handle([paid])
    this_month = shanghai_date(system_clock()).replace(day=1)

    async with month_prepared_after(monkeypatch, known.SQL["known"], world, this_month):
        (found,) = await handler.handle([lookup(paid) if asked == "a lookup" else day()])

    assert outcome(found) == ("found" if asked == "a lookup" else "balanced")
    assert await world.db.fetchval("SELECT count(*) FROM ledger.decisions_to_come") == 0


async def test_an_inquiry_and_a_change_do_not_wait_for_each_other(
    world: World, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quote has begun, so it tells what was so; the next one, after the end was acknowledged, knows of it."""

    async def the_binding_ends() -> None:
        listed = await world.call(Role.CLERK, "GET", "/v1/bindings?payer_id=MOTHER")
        ended = await world.call(Role.CLERK, "POST", f"/v1/bindings/{listed.json()['items'][0]['binding_id']}/end")
        ended.raise_for_status()

    after_statement(monkeypatch, known.SQL["known"], the_binding_ends)
    (before,) = await handler.handle([quote()])
    (after,) = await handler.handle([quote()])

    assert (outcome(before), outcome(after)) == ("settled", "declined")


# Tables that this session has locked, by the names of those that they are partitions of.
LOCKED = """
    SELECT DISTINCT coalesce(pg_partition_root(relation), relation)::regclass::text
    FROM pg_locks
    WHERE pid = pg_backend_pid() AND relation IN (
        SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text IN ('ledger', 'registry')
    )
"""


async def test_an_inquiry_reads_no_table_that_it_does_not_hold_from_the_beginning(
    world: World, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that it comes to later could have been written anew after its moment, and be empty to it: whoever adds a table to read adds it there."""
    paid = incoming("settle", bill(amount_fen=1_000))
    await handler.handle([paid])
    await gift(world, handler)
    held: list[set[str]] = []

    @asynccontextmanager
    async def watched(connection: Any, tables: str, **more: Any) -> AsyncIterator[None]:
        async with asking(connection, tables, **more):
            held.append({name for (name,) in await connection.fetch(LOCKED)})
            yield
            held.append({name for (name,) in await connection.fetch(LOCKED)})

    monkeypatch.setattr("services.settlement.handler.asking", watched)
    # One that has read no policy yet.
    asked = Handler(handler.pool, system_clock)
    results = await asked.handle([quote(), lookup(paid), lookup(quote()), day()])
    at_first, in_the_end = held

    assert [outcome(result) for result in results] == ["settled", "found", "not_found", "balanced"]
    assert {"ledger.accounts", "ledger.decisions"} <= at_first
    assert in_the_end - at_first == set()


async def test_an_inquiry_does_not_wait_for_a_change_under_way(world: World, handler: Handler) -> None:
    outside = await asyncpg.connect(world.database_url)
    async with outside.transaction():
        await take_exclusively(outside, [0, 13])
        (quoted,) = await handler.handle([quote()])
    await outside.close()

    assert outcome(quoted) == "settled"


async def test_an_inquiry_that_has_waited_before_waits_no_longer_than_told(world: World, handler: Handler) -> None:
    """A table that an administrator holds: what is put aside is tried again and again, and keeps no other from its turn."""
    outside = await asyncpg.connect(world.database_url)
    async with handler.pool.acquire() as connection:
        await connection.execute(f"SET lock_timeout = {PATIENT_MS}")

    async with outside.transaction(), asyncio.timeout(PATIENT_MS / 1_000 / 2):
        await outside.execute("LOCK TABLE ledger.decisions IN ACCESS EXCLUSIVE MODE")
        results = await handler.handle([quote(), lookup(quote())], wait=False)
    await outside.close()

    assert [type(result) for result in results] == [Busy, Busy]
