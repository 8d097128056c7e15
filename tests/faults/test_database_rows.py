"""Others at the same rows of the database: deadlocks, failed serialization, what is held, what takes too long; the rest goes on."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from random import Random

import asyncpg
import orjson
import pytest

from services.settlement.consumer import BULK_PREFETCH
from shared.rabbit.publisher import Outgoing
from shared.rabbit.topology import REQUESTS
from tests.support.correspondence import Correspondence, bills
from tests.support.processes import Worker
from tests.support.proxy import Proxy
from tests.support.world import AGENCY, Answer, World, bill, envelope, until

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


async def test_a_cancel_of_a_held_transfer_waits_alone(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """Somebody is at a gift; its cancel comes among twenty bills of another family, which are answered while it waits."""
    given = await _gift(town)
    sender.before = {"MOTHER": (await town.balances())["MOTHER"]}
    outside = await _holding(town, stack, "SELECT FROM ledger.transfers WHERE from_person_id = 'AUNT' FOR UPDATE")
    cancel = envelope(institution_id=AGENCY, original_request_id=given["request_id"])
    before, behind = bills(10), bills(10)
    await sender.send(before)
    await sender.publish([_asked("cancel", cancel)])
    await sender.send(behind)

    worker = Worker(town)
    stack.callback(worker.kill)
    await until(sender.is_complete)
    await until(partial(worker.has_put_aside, 3))
    meanwhile = await town.lookup(cancel["request_id"], institution_id=AGENCY)
    await outside.rollback()
    await until(partial(town.has, "ledger.cancellations", 1))
    await sender.converge()

    assert meanwhile["outcome"] == "not_found"
    assert (await town.balances())["AUNT"] == (100_000, 0, 0)
    assert not sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def test_a_bill_whose_name_somebody_is_writing_waits_alone(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """Whatever cannot be passed over is waited for shortly, and who met it is found by halving."""
    named, *others = bills(20)
    outside = await _holding(
        town,
        stack,
        f"INSERT INTO ledger.names VALUES (13, 'H1', '{named['request_id']}', gen_random_uuid())",  # noqa: S608 its own words
    )
    await sender.send([*others[:9], named, *others[9:]])

    worker = Worker(town)
    stack.callback(worker.kill)
    await until(partial(_all_but_one_are_answered, sender))
    await until(partial(worker.has_put_aside, 3))
    meanwhile = named["request_id"] in sender.told
    await outside.rollback()
    await sender.converge()

    assert not meanwhile
    assert not sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 1


SLOW = """
CREATE FUNCTION public.take_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_sleep(1);
    RETURN NEW;
END
$$;
CREATE TRIGGER tests_take_time BEFORE INSERT ON ledger.entries FOR EACH ROW EXECUTE FUNCTION public.take_time();
"""


@pytest.mark.long
async def test_a_batch_that_takes_longer_than_a_statement_may_is_decided_in_halves(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """Twenty bills of a second each: fifteen seconds are too few for all of them, and enough for ten."""
    await town.db.execute(SLOW)
    await sender.send(bills(20))

    worker = Worker(town)
    stack.callback(worker.kill)
    await sender.converge(timeout_s=60)

    assert not await worker.metric("gongji_requests_put_aside_total")
    assert not await worker.metric("gongji_pauses_total")


async def _gift(town: World) -> Answer:
    """AUNT gives to GRAN's wallet, at any time of the day; GRAN has still to say yes."""
    await town.policy("13", wallet={"closed_from": "03:00", "closed_until": "03:00"})
    await town.person("AUNT")
    await town.person("GRAN", insurance="resident")
    await town.bind("AUNT", "GRAN", "mother", wallet=True)
    town.start_worker()
    await town.credit("AUNT", 100_000)
    gift = {"from_person_id": "AUNT", "to_person_id": "GRAN", "to_insured_region": "130100", "amount_fen": 5_000}
    given = await town.ask("transfer", envelope(institution_id=AGENCY, **gift))
    await town.stop_workers()
    assert given["outcome"] == "pending", given
    return given


async def _holding(town: World, stack: AsyncExitStack, statement: str) -> "asyncpg.transaction.Transaction":
    """A transaction of somebody else's that has done so much and stays open."""
    outside = await asyncpg.connect(town.database_url)
    stack.push_async_callback(outside.close)
    holding = outside.transaction()
    await holding.start()
    await outside.execute(statement)
    return holding


def _asked(operation: str, body: dict[str, object]) -> Outgoing:
    return Outgoing(REQUESTS, f"{operation}.{body['insured_region']}", orjson.dumps(body), type=operation)


async def _all_but_one_are_answered(sender: Correspondence) -> bool:
    await sender.collect()
    return len(sender.asked.keys() - sender.told.keys()) == 1


async def test_bulk_messages_that_wait_for_a_held_row_keep_no_other_waiting(town: World, stack: AsyncExitStack) -> None:
    """As many as both lanes have at once; somebody else's is answered all the same, and theirs once the row is free."""
    await town.person("OTHER", insurance="resident")
    outside = await _holding(town, stack, HOLD.replace("$1", "'MOTHER'"))
    worker = Worker(town, GONGJI_CONSUMES="bulk", GONGJI_LANES="2")
    stack.callback(worker.kill)
    await until(worker.is_ready)
    asking = [asyncio.create_task(_ask_in_bulk(town, "CHILD")) for _ in range(2 * BULK_PREFETCH)]
    await until(partial(_all_wait, worker, len(asking)))

    other = await _ask_in_bulk(town, "OTHER")
    waiting = sum(not each.done() for each in asking)
    await outside.rollback()
    answers = await asyncio.gather(*asking)

    assert [each["reason"] for each in other["answers"]] == ["no_binding"]
    assert waiting == len(asking)
    assert {each["outcome"] for answer in answers for each in answer["answers"]} == {"settled"}


async def test_what_waits_for_a_held_row_keeps_nobody_waiting_after_a_pause(
    town: World, stack: AsyncExitStack, dice: Random
) -> None:
    """More than half a prefetch is put aside when the database goes away and comes back: the lane listens again."""
    await town.person("OTHER", insurance="resident")
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    outside = await _holding(town, stack, HOLD.replace("$1", "'MOTHER'"))
    worker = Worker(
        town, GONGJI_DATABASE_URL=proxy.url, GONGJI_LANES="1", GONGJI_PREFETCH="10", GONGJI_CONSUMES="settlement"
    )
    stack.callback(worker.kill)
    await until(worker.is_ready)
    asking = [asyncio.create_task(town.settle(amount_fen=1, timeout_s=60)) for _ in range(8)]
    await until(partial(_all_wait, worker, len(asking)))

    proxy.go_away()
    await until(partial(worker.has_logged, "database_away"))
    proxy.come_back()
    await until(partial(worker.has_logged, "database_back"))
    other = await town.settle("OTHER", 1)
    await outside.rollback()
    answers = await asyncio.gather(*asking)

    assert other["reason"] == "no_binding"
    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def _ask_in_bulk(town: World, person_id: str) -> Answer:
    return await town.ask("settle_bulk", envelope(settlements=[bill(person_id, 1)]), timeout_s=60)


async def _all_wait(worker: Worker, messages: int) -> bool:
    """Whether each has been put aside, and some of them tried again."""
    return await worker.metric("gongji_requests_put_aside_total") > 2 * messages
