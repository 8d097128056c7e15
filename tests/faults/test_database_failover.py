"""A primary and its synchronous standby, of which one is lost: what was answered stays true, and is true in one place."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random

import asyncpg
import httpx
import pytest

from cli.audit import prove
from services.settlement.handler import Handler, ServersAway
from services.settlement.model import Resolution
from shared.domain.roles import Role
from shared.postgres.pool import connect, create_pool
from shared.postgres.standby import reach_standby
from shared.rabbit.topology import SETTLEMENT
from tests.conftest import TEST_PG
from tests.support.builders import incoming
from tests.support.correspondence import Correspondence, bills, waiting
from tests.support.listener import Listener
from tests.support.pair import Pair, Server
from tests.support.processes import LANES, ServiceProcess, Worker
from tests.support.proxy import Proxy
from tests.support.world import World, bill, envelope, until

pytestmark = pytest.mark.long

PREFETCH = 50
DECIDED = "SELECT count(*) FROM ledger.decisions WHERE operation = 'settle'"
SESSIONS_THAT_WAIT_FOR_A_ROW = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
# One that nobody has accepted in time.
DUE_TRANSFER = """
    INSERT INTO ledger.entries
    SELECT 13, gen_random_uuid(), 'MOTHER', 'transfer', 'A1', 'T1', NULL, -10, 0, 0, 'in_transit', 10, NULL, '130100', NULL, now();
    INSERT INTO ledger.transfers (
        province, transfer_id, from_person_id, to_province, to_person_id, binding_id, current_year_fen, prior_years_fen,
        state, made_at, accept_by
    )
    SELECT 13, movement_id, 'MOTHER', 13, 'CHILD', gen_random_uuid(), 10, 0, 'pending', now(), now()
    FROM ledger.entries WHERE kind = 'transfer';
    UPDATE ledger.accounts SET current_year_fen = current_year_fen - 10 WHERE person_id = 'MOTHER';
"""
# What waits for the standby when a batch does; whoever asks whether it is there waits in another statement.
A_BATCH = "COMMIT"
# A probe that gave up waiting for the standby, as the server tells it.
GIVEN_UP = "canceling wait for synchronous replication"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with Pair.build(tmp_path, TEST_PG) as built:
        yield built


@pytest.fixture
async def world(pair: Pair, amqp_url: str, keys: dict[str, Path]) -> AsyncIterator[World]:
    """Whoever works in it is told of both servers."""
    async with World.build(pair.url, amqp_url, keys) as built:
        yield built


async def look_at(server: Server, town: World, stack: AsyncExitStack) -> None:
    """From now on the test sees what this server has."""
    town.db = await asyncpg.connect(server.url)
    stack.push_async_callback(town.db.close)


async def has_answers(sender: Correspondence, at_least: int) -> bool:
    await sender.collect()
    return len(sender.told) >= at_least


# ---- the primary is lost ----


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT], ids=["killed", "stopped at once"])
async def test_every_answered_decision_survives_the_loss_of_the_primary(
    pair: Pair, town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random, how: signal.Signals
) -> None:
    """In the middle of work. The worker goes on by itself against the standby, once it is promoted."""
    worker = Worker(town, GONGJI_BATCH_MAX="5")
    stack.callback(worker.kill)
    await sender.send(bills(2_000))
    await until(partial(_has_decided, pair.primary, dice.randrange(20, 200)))

    await pair.primary.lose(how)
    await sender.collect()
    answered = len(sender.told)
    await pair.standby.promote()
    await look_at(pair.standby, town, stack)
    await sender.converge()

    assert answered < 2_000
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def _has_decided(server: Server, at_least: int) -> bool:
    # Not by taking answers, which takes longer than deciding, and would end with the last.
    return await server.ask(DECIDED) >= at_least


@pytest.mark.parametrize("waits_for", ["its standby", "nobody"])
async def test_nothing_is_written_on_an_old_primary_that_is_back(
    pair: Pair, town: World, sender: Correspondence, worker: Worker, stack: AsyncExitStack, waits_for: str
) -> None:
    """It accepts writes like the new one, and is named first; nobody has shut it off. Sessions are lost, a worker begins."""
    await pair.primary.lose()
    await pair.standby.promote()
    await look_at(pair.standby, town, stack)
    await pair.primary.start()
    if waits_for == "nobody":
        await pair.primary.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    before = await pair.primary.next_transaction()

    for _ in range(3):
        await sender.send(bills(20))
        await pair.standby.cut_sessions()
        await until(sender.is_complete)
    another = Worker(town)
    stack.callback(another.kill)
    await until(another.is_ready)
    worker.kill()
    await sender.send(bills(20))
    await sender.converge()

    assert await pair.primary.next_transaction() == before


async def test_a_primary_that_was_succeeded_while_it_ran_is_left(
    pair: Pair, town: World, sender: Correspondence, worker: Worker, stack: AsyncExitStack
) -> None:
    """Its sessions are open and its commits wait for nobody that would come: after a bounded stall, the new one."""
    await sender.send(bills(20))
    await until(sender.is_complete)
    before = await pair.primary.ask(DECIDED)

    await pair.standby.promote()
    await look_at(pair.standby, town, stack)
    await sender.send(bills(20))
    await until(partial(pair.primary.has_waiting_commits, of=A_BATCH))
    await sender.converge()

    # Also what waits in a commit has a transaction's number.
    left_with = await pair.primary.next_transaction()
    await sender.send(bills(20))
    await sender.converge()

    assert await pair.primary.ask(DECIDED) == before == 20
    assert await pair.primary.next_transaction() == left_with
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def test_a_standby_that_is_named_alone_is_audited(pair: Pair, town: World) -> None:
    """It accepts no writes, and a command that only reads asks for none."""

    async def has_what_was_paid_in() -> bool:
        totals: dict[str, int] = (await prove(pair.standby.url))["totals"]
        return totals["contributed_fen"] == 100_000

    # What it has it shows a moment later.
    await until(has_what_was_paid_in)

    assert (await prove(pair.standby.url))["holds"]


# ---- the standby is lost ----


@pytest.mark.parametrize("how", ["killed", "stands still"])
async def test_nothing_is_answered_before_the_standby_has_it(
    pair: Pair, town: World, sender: Correspondence, stack: AsyncExitStack, how: str
) -> None:
    """Consuming stops, the worker says that it is not ready, and its waiting leaves no more than one session of each lane behind."""
    worker = Worker(town, GONGJI_BATCH_MAX="20", GONGJI_PREFETCH=str(PREFETCH))
    stack.callback(worker.kill)
    await sender.send(bills(20))
    await until(sender.is_complete)

    if how == "killed":
        await pair.standby.lose()
    else:
        pair.standby.stop_following()
    await sender.send(bills(200))
    await until(partial(pair.primary.has_waiting_commits, of=A_BATCH))
    await until(worker.is_not_ready)
    await until(worker.has_paused, timeout_s=60)
    await until(partial(pair.primary.has_said, GIVEN_UP, 4 * LANES), timeout_s=60)
    await sender.collect()
    answered, left = len(sender.told), await pair.primary.waiting_commits()
    in_the_queue = await waiting(town, SETTLEMENT)
    if how == "killed":
        await pair.standby.start()
    else:
        pair.standby.resume_following()
    await sender.converge()

    assert answered == 20
    # Of each lane, the batch's own and a probe that has just begun.
    assert left <= 2 * LANES
    assert in_the_queue >= 200 - PREFETCH * LANES
    assert await worker.metric("gongji_broker_sessions_total") == 1


@pytest.mark.parametrize("how", ["a crash", "an administrator", "one who cancels"])
async def test_a_decision_that_the_standby_lacks_is_told_to_nobody(
    pair: Pair, town: World, sender: Correspondence, stack: AsyncExitStack, how: str
) -> None:
    """A commit that waited and was interrupted is there for all to see, on this server alone: neither a copy nor a lookup tells it."""
    worker = Worker(town)
    stack.callback(worker.kill)
    await until(worker.is_ready)
    await pair.standby.lose()
    [body] = bills(1)
    await sender.send([body])
    await until(partial(pair.primary.has_waiting_commits, of=A_BATCH))
    if how == "a crash":
        await pair.primary.lose()
        await pair.primary.start()
    elif how == "an administrator":
        await pair.primary.cut_sessions()
    else:
        await pair.primary.cancel_commits()
        await until(partial(worker.has_logged, "database_away"))
    worker.process.kill()
    await look_at(pair.primary, town, stack)
    await until(partial(town.has, "ledger.decisions WHERE operation = 'settle'", 1))

    # One that knows of no trouble.
    stack.callback(Worker(town).kill)
    await sender.send([body])
    question = envelope(original_request_id=body["request_id"])
    looking_up = asyncio.create_task(town.ask("lookup", question, timeout_s=100))

    async def is_told_or_waits() -> bool:
        told = await has_answers(sender, 1) or looking_up.done()
        # The copies' commit and the lookup's.
        return told or await pair.primary.has_waiting_commits(2)

    await until(is_told_or_waits)
    told = await has_answers(sender, 1) or looking_up.done()
    await pair.standby.start()
    await sender.converge(answers=2)

    assert not told
    assert (await looking_up)["outcome"] == "found"
    assert sender.replayed()


@pytest.mark.parametrize("asked", ["the same again", "a lookup"])
async def test_a_worker_that_asks_for_no_standby_tells_nothing_that_it_lacks(
    pair: Pair, town: World, stack: AsyncExitStack, asked: str
) -> None:
    """One that had subscribed before the standby went: what it tells of has to reach the standby all the same."""
    pool = await create_pool(pair.url, role="gongji_settlement", name="gongji tests", size_max=2)
    stack.push_async_callback(pool.close)
    handler = Handler(pool, town.clock)
    settlement = incoming("settle", bill())
    question = envelope(original_request_id=settlement.name.request_id)
    await pair.standby.lose()
    deciding = asyncio.create_task(handler.handle([settlement]))
    await until(pair.primary.has_waiting_commits)
    await pair.primary.cancel_commits()
    with pytest.raises(ServersAway):
        await deciding

    telling = asyncio.create_task(
        handler.handle([settlement if asked == "the same again" else incoming("lookup", question)])
    )

    async def is_told_or_waits() -> bool:
        return telling.done() or await pair.primary.has_waiting_commits()

    await until(is_told_or_waits)
    told = telling.done()
    await pair.standby.start()
    [said] = await telling

    assert not told
    assert isinstance(said, Resolution)


async def test_what_the_promoted_standby_lacks_is_decided_there_once(
    pair: Pair, town: World, sender: Correspondence, worker: Worker, stack: AsyncExitStack
) -> None:
    """Both are lost, one after the other; the primary comes back too, with decisions that nobody was told."""
    await sender.send(bills(20))
    await until(sender.is_complete)

    await pair.standby.lose()
    await sender.send(bills(20))
    await until(partial(pair.primary.has_waiting_commits, of=A_BATCH))
    await pair.primary.lose()
    await sender.collect()
    answered = len(sender.told)
    await pair.standby.start()
    await pair.standby.promote()
    await look_at(pair.standby, town, stack)
    await pair.primary.start()
    only_there = await pair.primary.ask(DECIDED) - 20
    await sender.converge()

    assert only_there > 0
    assert answered == 20
    assert not sender.replayed()


async def test_a_change_that_the_standby_lacks_is_acknowledged_to_nobody(
    pair: Pair, town: World, stack: AsyncExitStack
) -> None:
    """The clerk whose call broke off asks again under the same key: the standby must have it before it is said to be done."""

    async def freeze() -> httpx.Response:
        return await town.call(Role.OPERATOR, "POST", "/v1/accounts/MOTHER/freeze", headers={"Idempotency-Key": "K"})

    # The standby is there when the call comes, and gone when it commits.
    await town.db.execute("BEGIN; SELECT FROM registry.persons WHERE person_id = 'MOTHER' FOR UPDATE")
    calling = asyncio.create_task(freeze())
    await until(partial(pair.primary.has, SESSIONS_THAT_WAIT_FOR_A_ROW))
    await pair.standby.lose()
    await town.db.execute("ROLLBACK")
    await until(pair.primary.has_waiting_commits)
    await pair.primary.lose()
    await pair.primary.start()
    broken_off = await calling
    await look_at(pair.primary, town, stack)
    frozen = await town.count("registry.persons WHERE account_frozen")

    again = await freeze()
    await pair.standby.start()
    await until(pair.is_in_step, timeout_s=60)
    at_last = await freeze()

    assert (broken_off.status_code, frozen, again.status_code) == (503, 1, 503)
    assert at_last.is_success


async def test_calls_wait_for_a_standby_only_so_long_and_keep_no_session(pair: Pair, town: World) -> None:
    """More of them than there are connections, changes and looks: each is told to come again, and the server has room for others."""
    await pair.standby.lose()
    change, look = ("POST", "/v1/accounts/MOTHER/freeze"), ("GET", "/v1/persons/MOTHER")

    calls = [(Role.OPERATOR, *change), (Role.CLERK, *look)] * 10
    answers = await asyncio.gather(*[town.call(*call) for call in calls])

    assert {answer.status_code for answer in answers} == {503}
    await until(pair.primary.has_no_waiting_commits)


async def test_a_transfer_that_is_due_waits_for_the_standby_and_keeps_no_session(
    pair: Pair, town: World, stack: AsyncExitStack
) -> None:
    """Round after round of the chores leaves the server as it was; with the standby back, the money is."""
    worker = Worker(town, GONGJI_CHORES_EVERY_S="0.1")
    stack.callback(worker.kill)
    # Its lanes have subscribed: none of them asks whether the standby is there.
    await until(worker.is_ready)
    await pair.standby.lose()
    await town.db.execute(f"SET LOCAL synchronous_commit = local; {DUE_TRANSFER}")

    await until(partial(worker.has_logged, "chores_interrupted", 4), timeout_s=60)
    left, closed = await pair.primary.waiting_commits(), await town.count("ledger.transfers WHERE state <> 'pending'")
    await pair.standby.start()
    await until(lambda: town.has("ledger.transfers WHERE state = 'returned'", 1), timeout_s=60)

    # A round that has just begun.
    assert left <= 1
    assert closed == 0
    assert await town.has("ledger.accounts WHERE person_id = 'MOTHER' AND current_year_fen = 100000", 1)


async def test_no_change_is_made_where_a_standby_alone_is_left(pair: Pair, town: World, keys: dict[str, Path]) -> None:
    """It is named first, as the old primary may be; callers are to come again, and nothing is a mistake of ours."""
    first = pair.url.replace(
        f"{pair.primary.address},{pair.standby.address}", f"{pair.standby.address},{pair.primary.address}"
    )
    async with World.build(first, town.amqp_url, keys) as other:
        await pair.primary.lose()

        answer = await other.call(Role.OPERATOR, "POST", "/v1/accounts/MOTHER/freeze")

    assert answer.status_code == 503


@pytest.mark.parametrize("how", ["ended", "cancelled"])
async def test_a_seal_that_the_standby_lacks_is_told_to_nobody(
    pair: Pair, town: World, stack: AsyncExitStack, how: str
) -> None:
    """Nor what became of a binding: whatever is found whose commit was interrupted."""
    interrupt = pair.primary.interrupt_commits if how == "ended" else pair.primary.cancel_commits
    listener = await stack.enter_async_context(Listener.on(town.amqp_url))
    await pair.standby.lose()
    bookkeeper = ServiceProcess("bookkeeping", town, GONGJI_SEAL_EVERY_S="0.1")
    stack.callback(bookkeeper.kill)

    async def is_sealed_after_all() -> bool:
        await interrupt()
        return await town.has("ledger.seals", 1)

    async def is_told_or_waits() -> bool:
        return bool(listener.events) or await pair.primary.has_waiting_commits(2, of="pg_logical_emit_message")

    await until(is_sealed_after_all)
    await until(is_told_or_waits)
    told = listener.names()
    await pair.standby.start()
    await until(lambda: {"account.credited", "binding.made"} <= set(listener.names()))

    assert not told


@pytest.mark.parametrize("how", ["the broker is gone", "the worker is told to stop"])
async def test_a_commit_that_waits_is_not_cancelled(
    pair: Pair, town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random, how: str
) -> None:
    """Cancelled, it would be committed here and nowhere else. Whoever comes next waits until the standby is back."""
    proxy = await stack.enter_async_context(Proxy.before(town.amqp_url, dice))
    worker = Worker(town, GONGJI_AMQP_URL=proxy.url, GONGJI_DRAIN_TIMEOUT_S="1")
    stack.callback(worker.kill)
    await until(worker.is_ready)
    await pair.standby.lose()
    await sender.send(bills(5))
    await until(partial(pair.primary.has_waiting_commits, of=A_BATCH))

    if how == "the broker is gone":
        proxy.cut()
        next_one = worker
    else:
        worker.process.terminate()
        await asyncio.to_thread(worker.process.wait, 30)
        next_one = Worker(town)
        stack.callback(next_one.kill)
    await until(partial(next_one.has_logged, "database_away"))
    seen = await pair.primary.ask(DECIDED)
    await pair.standby.start()
    await sender.converge()

    assert seen == 0
    assert sender.replayed()


async def test_a_command_that_is_interrupted_leaves_its_commit_to_the_server(pair: Pair) -> None:
    """It has one connection of its own, which nobody takes back; Ctrl-C comes while its COMMIT waits."""
    connection = await connect(pair.primary.url, role=None, name="gongji tests")

    async def write() -> None:
        async with connection.transaction():
            await reach_standby(connection)

    await pair.standby.lose()
    writing = asyncio.create_task(write())
    await until(pair.primary.has_waiting_commits)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    # It would be cancelled long before the standby is back.
    await pair.standby.start()
    await until(pair.primary.has_no_waiting_commits)

    assert not pair.primary.has_said(GIVEN_UP)
