"""Others at the same rows of the database: deadlocks, failed serialization, a row that is held; the rest goes on."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

import asyncpg

from tests.support.correspondence import Correspondence, bills
from tests.support.processes import Worker
from tests.support.world import World, bill, until

RAISES_ONCE = """
CREATE SEQUENCE public.attempts;
CREATE FUNCTION public.fail_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- A sequence is not rolled back.
    IF nextval('public.attempts') = 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER tests_fail_once BEFORE INSERT ON ledger.entries FOR EACH ROW EXECUTE FUNCTION public.fail_once();
"""


async def test_after_a_serialization_failure_the_whole_transaction_is_done_again(
    town: World, sender: Correspondence, worker: Worker
) -> None:
    """With what was written before it failed undone."""
    await town.db.execute(RAISES_ONCE)

    await sender.send(bills(5))
    await sender.converge()

    assert [line["error"] for line in worker.logged("batch_again")] == ["SerializationError"]


async def test_after_a_deadlock_the_whole_transaction_is_done_again(
    town: World, sender: Correspondence, worker: Worker, stack: AsyncExitStack
) -> None:
    """Somebody outside takes two accounts in the opposite order and gives way to nobody."""
    await town.person("AUNT")
    await town.bind("AUNT", "CHILD", "brother")
    town.start_worker()
    await town.credit("AUNT", 1)
    await town.stop_workers()
    sender.before = await town.balances()
    outside = await asyncpg.connect(town.database_url, server_settings={"deadlock_timeout": "60s"})
    stack.push_async_callback(outside.close)
    holding = outside.transaction()
    await holding.start()
    await outside.execute(HOLD, "MOTHER")

    # Nothing else waits for MOTHER: the worker has AUNT's account, which comes first, and asks for hers.
    await sender.send([bill(amount_fen=7)])
    await until(partial(_waits_for_a_row, town))
    await outside.execute(HOLD, "AUNT")
    await holding.rollback()
    await sender.converge()

    assert "DeadlockDetectedError" in [line["error"] for line in worker.logged("batch_again")]


HOLD = "SELECT FROM ledger.accounts WHERE person_id = $1 FOR UPDATE"


async def _waits_for_a_row(world: World) -> bool:
    waiting = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    return bool(await world.db.fetchval(waiting))


async def test_a_request_that_had_to_wait_is_not_acknowledged_in_passing(
    town: World, worker: Worker, stack: AsyncExitStack
) -> None:
    """Somebody holds its row while others are settled behind it; the worker dies; it comes again and is settled."""
    await town.person("OTHER", insurance="resident")
    outside = await asyncpg.connect(town.database_url)
    stack.push_async_callback(outside.close)
    holding = outside.transaction()
    await holding.start()
    await outside.execute("SELECT * FROM ledger.accounts WHERE person_id = 'MOTHER' FOR UPDATE")
    waiting = asyncio.create_task(town.settle(amount_fen=7, timeout_s=90))
    others = asyncio.create_task(_keep_asking(town))

    # It has been tried, put aside and tried again, with others answered in between.
    await until(partial(worker.has_put_aside, 3))
    decided = await town.count("ledger.decisions")
    await until(partial(town.has, "ledger.decisions", decided + 200))
    worker.process.kill()
    others.cancel()
    await holding.rollback()
    town.start_worker()
    answer = await waiting

    assert answer["outcome"] == "settled"
    assert (await town.balances())["MOTHER"] == (99_993, 0, 0)


async def _keep_asking(town: World) -> None:
    """Requests that need nobody's account, one after the other on four tills."""

    async def till() -> None:
        while True:
            await town.settle("OTHER", 1, timeout_s=60)

    await asyncio.gather(*(till() for _ in range(4)))
