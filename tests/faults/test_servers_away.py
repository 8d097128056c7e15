"""A worker through the loss of its servers: real processes, killed with -9, and nothing lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import asyncpg
import psutil
import pytest

from deploy.devstack import state
from shared.rabbit.connection import connect, open_channel
from shared.rabbit.topology import DEAD, SETTLEMENT
from tests.conftest import Database
from tests.support.processes import ServiceProcess
from tests.support.world import World, bill, envelope, until


class Worker(ServiceProcess):
    """A settlement worker as its own process."""

    def __init__(self, world: World, **variables: str) -> None:
        super().__init__("settlement", world, **variables)

    async def has_paused(self) -> bool:
        """Whether it consumes no settlements; the broker itself still counts a consumer that holds messages."""
        return await self.metric(f'gongji_consuming{{queue="{SETTLEMENT}"}}') == 0

    async def has_put_aside(self, times: int) -> bool:
        return await self.metric(f'gongji_requests_put_aside_total{{queue="{SETTLEMENT}"}}') >= times

    async def is_not_ready(self) -> bool:
        return await self.status("/readyz") == 503


@pytest.fixture
async def worker(world: World) -> AsyncIterator[Worker]:
    """A ready worker; it ends with the test."""
    started = Worker(world)
    await until(started.is_ready)
    yield started
    started.kill()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes at the end of the test what the test put on it."""
    async with AsyncExitStack() as closing:
        yield closing


@pytest.fixture
def server_process(servers: state.StackState) -> "Servers":
    return Servers(servers.keys_directory.parent)


class Servers:
    """The run's own servers, by the pids their supervisor has written down."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def process(self, name: str) -> psutil.Process:
        current = state.load(self.directory)
        assert current is not None
        return next(psutil.Process(each.pid) for each in current.processes if each.name == name)


async def test_a_worker_survives_the_death_of_the_broker(world: World, worker: Worker, server_process: Servers) -> None:
    """RabbitMQ is killed and comes back: new channels, new consumers, every request answered once more or at last."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    # A quorum queue that is killed in its first moments never elects a leader again; this one has lived.
    await asyncio.gather(*(world.settle(amount_fen=1) for _ in range(50)))
    bodies = [bill(amount_fen=1) for _ in range(200)]
    sending = [asyncio.create_task(_ask_quietly(world, body)) for body in bodies]

    server_process.process("rabbitmq").kill()
    await asyncio.gather(*sending)
    await until(worker.is_ready, timeout_s=90)
    async with World.again(world) as later:
        answers = [await later.ask("settle", body) for body in bodies]

        assert {answer["outcome"] for answer in answers} == {"settled"}
        assert (await later.balances())["MOTHER"] == (100_000 - 250, 0, 0)


async def test_a_worker_waits_for_a_database_that_is_away(
    world: World, worker: Worker, database: Database, stack: AsyncExitStack
) -> None:
    """Consuming stops, nothing is dead-lettered or given back, and it goes on by itself when the database is back."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    admin = await _administrator(database)
    stack.push_async_callback(admin.close)
    await _send_away(admin, database)

    asking = [asyncio.create_task(world.ask("settle", bill(amount_fen=1), timeout_s=60)) for _ in range(20)]
    await until(worker.is_not_ready)
    await until(worker.has_paused)
    alive, dead = await worker.status("/healthz"), await _messages(world, DEAD)
    await admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    answers = await asyncio.gather(*asking)

    assert (alive, dead) == (200, 0)
    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert {answer["replayed"] for answer in answers} == {False}
    assert await _messages(world, DEAD) == 0


async def test_a_worker_drains_on_sigterm(world: World, worker: Worker) -> None:
    """It stops consuming, answers what it has in hand, and ends with 0; what it had not begun is left for another."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    bodies = [bill(amount_fen=1) for _ in range(500)]
    asking = [asyncio.create_task(world.ask("settle", body, timeout_s=60)) for body in bodies]
    await until(lambda: _decisions(world, 50))

    worker.process.terminate()
    exit_code = await asyncio.to_thread(worker.process.wait, 30)
    decided = await world.db.fetchval("SELECT count(*) FROM ledger.decisions WHERE operation = 'settle'")
    answered_by_first = sum(task.done() for task in asking)
    world.start_worker()
    answers = await asyncio.gather(*asking)

    assert exit_code == 0
    assert answered_by_first <= decided
    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert not any(answer["replayed"] for answer in answers)


async def test_a_worker_killed_between_commit_and_answer_answers_from_the_decision(world: World) -> None:
    """Killed with -9 while it works: every request is decided once and answered in the end."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    bodies = [bill(amount_fen=1) for _ in range(2_000)]
    asking = [asyncio.create_task(world.ask("settle", body, timeout_s=60)) for body in bodies]
    for target in (300, 900, 1_500):
        worker = Worker(world)
        await until(partial(_decisions, world, target))
        worker.process.kill()
        worker.process.wait()

    world.start_worker()
    answers = await asyncio.gather(*asking)

    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert len({answer["settlement_id"] for answer in answers}) == 2_000
    assert (await world.balances())["MOTHER"] == (98_000, 0, 0)


async def test_a_request_that_had_to_wait_is_not_acknowledged_in_passing(
    world: World, worker: Worker, stack: AsyncExitStack
) -> None:
    """Somebody holds its row while others are settled behind it; the worker dies; it comes again and is settled."""
    world.start_worker()
    await world.family("MOTHER")
    await world.person("OTHER", insurance="resident")
    await world.stop_workers()
    outside = await asyncpg.connect(world.database_url)
    stack.push_async_callback(outside.close)
    holding = outside.transaction()
    await holding.start()
    await outside.execute("SELECT * FROM ledger.accounts WHERE person_id = 'MOTHER' FOR UPDATE")
    waiting = asyncio.create_task(world.settle(amount_fen=7, timeout_s=90))
    others = asyncio.create_task(_keep_asking(world))

    # It has been tried, put aside and tried again, with others answered in between.
    await until(partial(worker.has_put_aside, 3))
    decided = await world.count("ledger.decisions")
    await until(partial(_decisions, world, decided + 200))
    worker.process.kill()
    others.cancel()
    await holding.rollback()
    world.start_worker()
    answer = await waiting

    assert answer["outcome"] == "settled"
    assert (await world.balances())["MOTHER"] == (99_993, 0, 0)


async def _keep_asking(world: World) -> None:
    """Requests that need nobody's account, one after the other on four tills."""

    async def till() -> None:
        while True:
            await world.settle("OTHER", 1, timeout_s=60)

    await asyncio.gather(*(till() for _ in range(4)))


async def _ask_quietly(world: World, body: dict[str, object]) -> None:
    """Sends a request whose answer may be lost with the broker."""
    try:
        await world.ask("settle", body, timeout_s=15)
    except Exception:  # noqa: BLE001 whatever a dying broker raises
        return


async def _decisions(world: World, at_least: int) -> bool:
    return await world.count("ledger.decisions") >= at_least


async def _messages(world: World, queue: str) -> int:
    connection = await connect([world.amqp_url], name="tests")
    declared = await (await open_channel(connection, confirms=False)).queue_declare(queue=queue, passive=True)
    await connection.close()
    return declared.message_count or 0


async def _administrator(database: Database) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(database.url.rpartition("/")[0] + "/postgres")


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
    world: World, database: Database, stack: AsyncExitStack
) -> None:
    """The database that comes back may be another one: what it does not know, it decides."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    worker = Worker(world, GONGJI_BATCH_MAX="1")
    stack.callback(worker.kill)
    await world.db.execute(HANGS_AT_THE_SECOND)
    admin = await _administrator(database)
    stack.push_async_callback(admin.close)
    bills = [bill(request_id="first"), bill(request_id="second")]
    asking = asyncio.create_task(world.ask("settle_bulk", envelope(settlements=bills), timeout_s=60))
    await until(partial(_hangs, admin, database))

    await _send_away(admin, database)
    await until(worker.is_not_ready)
    await world.db.execute(NEVER_HEARD_OF_THE_FIRST)
    await admin.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    answer = await asking

    assert [(each["outcome"], each["replayed"]) for each in answer["answers"]] == [("settled", False)] * 2
    assert (await world.balances())["MOTHER"] == (98_000, 0, 0)


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
