"""The database under a worker: cut, silent, stopped, away, full; nothing is lost, nothing is decided twice."""

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial
from random import Random

import asyncpg
import pytest
from yarl import URL

from shared.rabbit.topology import DEAD, DELIVERY_LIMIT
from tests.conftest import Database
from tests.support.correspondence import Correspondence, bills, waiting
from tests.support.processes import LANES, Worker
from tests.support.proxy import Link, Passage, Proxy, Towards
from tests.support.servers import Servers
from tests.support.stand_in import StartingUp
from tests.support.world import World, bill, envelope, until

COMMIT = b"COMMIT\0"
# By each lane. A server that is silent is asked for five seconds each time.
TIMES_ASKED = {"away": DELIVERY_LIMIT, "silent": 8}


# ---- the way there: cut, silent, more than one host ----


def at_the_first_commit(lost: Towards, fault: str, found: list[Link]) -> Passage:
    """Has a fault befall the link of the first COMMIT: as it goes to the server, or as its answer comes back."""

    def passage(link: Link, towards: Towards, data: bytes) -> bytes:
        commits = not found and towards is Towards.SERVER and COMMIT in data
        if commits:
            found.append(link)
        befalls = found == [link] and (commits if lost is Towards.SERVER else towards is Towards.CLIENT)
        if befalls and fault == "cut":
            link.cut()
        elif befalls:
            link.silent = True
        return b"" if befalls else data

    return passage


@pytest.mark.parametrize("lost", Towards)
async def test_a_commit_without_an_answer_is_looked_up(
    town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random, lost: Towards
) -> None:
    """Cut after COMMIT was sent, nobody here knows whether it was heard: it is asked, and never decided twice."""
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    found: list[Link] = []
    proxy.passage = at_the_first_commit(lost, "cut", found)
    await sender.send(bills(5))

    worker = Worker(town, GONGJI_DATABASE_URL=proxy.url)
    stack.callback(worker.kill)
    await sender.converge()

    assert found
    assert bool(sender.replayed()) == (lost is Towards.CLIENT)
    assert await worker.metric("gongji_broker_sessions_total") == 1


@pytest.mark.long
@pytest.mark.parametrize("lost", Towards)
async def test_a_server_that_falls_silent_is_given_up(
    town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random, lost: Towards
) -> None:
    """In the middle of a COMMIT, with no connection closed: a bounded stall, another connection, the outcome looked up."""
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    found: list[Link] = []
    proxy.passage = at_the_first_commit(lost, "silence", found)
    await sender.send(bills(5))

    worker = Worker(town, GONGJI_DATABASE_URL=proxy.url)
    stack.callback(worker.kill)
    await sender.converge(timeout_s=60)

    assert found
    assert bool(sender.replayed()) == (lost is Towards.CLIENT)
    assert len(worker.logged("connection_given_up")) == 1
    assert await worker.metric("gongji_broker_sessions_total") == 1


@pytest.mark.long
@pytest.mark.parametrize("outage", ["away", "silent"])
async def test_an_outage_costs_no_delivery_however_often_the_server_is_asked(
    town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random, outage: str
) -> None:
    """More often than a message may be delivered: nothing is given back to the broker, nothing becomes a dead letter."""
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    worker = Worker(town, GONGJI_DATABASE_URL=proxy.url)
    stack.callback(worker.kill)
    await sender.send(bills(5))
    await until(sender.is_complete)

    if outage == "away":
        proxy.go_away()
    else:
        proxy.fall_silent()
    await sender.send(bills(5))
    await until(partial(worker.has_logged, "database_away"), timeout_s=45)
    asked = proxy.asked
    await until(lambda: proxy.asked > asked + LANES * TIMES_ASKED[outage], timeout_s=90)
    paused = await worker.has_paused()
    proxy.come_back()
    proxy.speak()
    await sender.converge()

    assert paused
    assert not sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def test_the_second_host_is_used_while_the_first_starts_up(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """A server that reads its log again says so and takes nobody; the other one is asked."""
    first = await stack.enter_async_context(StartingUp.server())
    url = URL(town.database_url)
    both = town.database_url.replace(f"@{url.host}:{url.port}", f"@{url.host}:{first.port},{url.host}:{url.port}")
    await sender.send(bills(5))

    stack.callback(Worker(town, GONGJI_DATABASE_URL=both).kill)
    await sender.converge()

    assert first.refused


async def test_the_second_host_is_used_while_the_first_is_silent(
    town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random
) -> None:
    """A machine that is gone refuses nothing: what is waited for on its account must leave time for the other."""
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    proxy.fall_silent()
    url = URL(town.database_url)
    both = town.database_url.replace(f"@{url.host}:{url.port}", f"@{url.host}:{proxy.port},{url.host}:{url.port}")
    await sender.send(bills(5))

    stack.callback(Worker(town, GONGJI_DATABASE_URL=both).kill)
    await sender.converge()

    assert proxy.asked


# ---- the server: stopped, away ----


async def test_a_server_that_stops_at_once_and_starts_again_has_lost_nothing(
    town: World, sender: Correspondence, stack: AsyncExitStack, run_servers: Servers
) -> None:
    """An immediate stop in the middle of work, as `pg_ctl -m immediate` does it; its supervisor starts it again."""
    worker = Worker(town, GONGJI_BATCH_MAX="5")
    stack.callback(worker.kill)
    await sender.send(bills(400))
    await until(partial(town.has, "ledger.decisions", 50))

    server = run_servers.process("postgres")
    server.send_signal(signal.SIGQUIT)
    await until(lambda: not server.is_running())
    left = 400 - await _answered_so_far(sender)
    await until(partial(_opens, town.database_url), timeout_s=60)
    town.db = await asyncpg.connect(town.database_url)
    stack.push_async_callback(town.db.close)
    await sender.converge()

    assert left
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def _answered_so_far(sender: Correspondence) -> int:
    await sender.collect()
    return len(sender.told)


async def _opens(database_url: str) -> bool:
    try:
        connection = await asyncpg.connect(database_url)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


async def test_a_worker_waits_for_a_database_that_is_away(
    town: World, sender: Correspondence, worker: Worker, database: Database, stack: AsyncExitStack
) -> None:
    """Consuming stops, nothing is dead-lettered or given back, and it goes on by itself when the database is back."""
    admin = await _administrator(database)
    stack.push_async_callback(admin.close)
    await _send_away(admin, database)

    await sender.send(bills(20))
    await until(worker.is_not_ready)
    await until(worker.has_paused)
    alive, dead = await worker.status("/healthz"), await waiting(town, DEAD)
    await admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    await sender.converge()

    assert (alive, dead) == (200, 0)
    assert not sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 1


# ---- another server than before ----

HANGS_AT_THE_SECOND = """
CREATE TABLE public.outage (at timestamptz DEFAULT now());
INSERT INTO public.outage DEFAULT VALUES;
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.request_id = 'second' AND EXISTS (SELECT FROM public.outage) THEN
        -- Until its session is ended.
        PERFORM pg_sleep(600);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER tests_hang BEFORE INSERT ON ledger.names FOR EACH ROW EXECUTE FUNCTION public.hang();
"""
# What a server does not have that took over from one which it had not been following closely.
NEVER_HEARD_OF_THE_FIRST = """
DELETE FROM ledger.entries WHERE request_id = 'first';
DELETE FROM ledger.decisions WHERE request_id = 'first';
DELETE FROM ledger.names WHERE request_id = 'first';
UPDATE ledger.accounts SET current_year_fen = current_year_fen + 1000 WHERE person_id = 'MOTHER';
DELETE FROM public.outage;
"""


async def test_what_was_decided_before_an_outage_is_not_answered_from_memory(
    town: World, database: Database, stack: AsyncExitStack
) -> None:
    """The database that comes back may be another one: what it does not know, it decides."""
    worker = Worker(town, GONGJI_BATCH_MAX="1")
    stack.callback(worker.kill)
    await town.db.execute(HANGS_AT_THE_SECOND)
    admin = await _administrator(database)
    stack.push_async_callback(admin.close)
    bills = [bill(request_id="first"), bill(request_id="second")]
    asking = asyncio.create_task(town.ask("settle_bulk", envelope(settlements=bills), timeout_s=60))
    await until(partial(_hangs, admin, database))

    await _send_away(admin, database)
    await until(worker.is_not_ready)
    await town.db.execute(NEVER_HEARD_OF_THE_FIRST)
    await admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    answer = await asking

    assert [(each["outcome"], each["replayed"]) for each in answer["answers"]] == [("settled", False)] * 2
    assert (await town.balances())["MOTHER"] == (98_000, 0, 0)


async def _hangs(admin: "asyncpg.Connection[asyncpg.Record]", database: Database) -> bool:
    return bool(
        await admin.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'PgSleep'", database.name
        )
    )


async def _send_away(admin: "asyncpg.Connection[asyncpg.Record]", database: Database) -> None:
    """No session of Gongji's stays, and none is let in."""
    await admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'gongji%'",
        database.name,
    )


async def _administrator(database: Database) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(database.url.rpartition("/")[0] + "/postgres")
