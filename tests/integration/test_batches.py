"""Batches against the real database: halved until the culprit is alone, neighbours unharmed."""

import asyncio
from collections.abc import Sequence
from random import Random

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.settlement.handler import Busy, Handler, Poisoned, Result, ServersAway
from services.settlement.incoming import Incoming
from services.settlement.model import Resolution
from shared.domain.times import system_clock
from shared.messages.settle import SettleAnswer
from shared.postgres.authority import take_exclusively
from shared.postgres.pool import connect, create_pool
from tests.support.builders import incoming
from tests.support.proxy import Proxy
from tests.support.reading import read, said_again
from tests.support.world import World, bill, until


async def handler_of(world: World) -> Handler:
    return Handler(
        await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=4), system_clock
    )


async def scene(world: World) -> Handler:
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    return await handler_of(world)


async def test_a_poisonous_request_is_found_alone(world: World) -> None:
    """One of sixteen makes the database fail: fifteen are decided, it alone is not."""
    handler = await scene(world)
    await world.db.execute(
        "ALTER TABLE ledger.decisions ADD CONSTRAINT no_sevens CHECK (request ->> 'amount_fen' <> '7')"
    )
    batch = [incoming("settle", bill(amount_fen=number)) for number in range(1, 17)]

    results = await handler.handle(batch)

    kinds = [type(result) for result in results]
    assert kinds == [Resolution] * 6 + [Poisoned] + [Resolution] * 9
    assert (await world.balances())["MOTHER"] == (100_000 - (sum(range(1, 17)) - 7), 0, 0)


async def test_each_request_sees_what_those_before_it_took(world: World) -> None:
    """A batch on one account acts in the order of arrival: the last one finds too little."""
    handler = await scene(world)

    results = await handler.handle(
        [incoming("settle", bill(amount_fen=fen)) for fen in (60_000, 30_000, 20_000, 10_000)]
    )

    outcomes = [result.answer.outcome for result in results if isinstance(result, Resolution)]
    assert outcomes == ["settled", "settled", "declined", "settled"]
    assert (await world.balances())["MOTHER"] == (0, 0, 0)


async def test_two_patients_of_one_batch_ask_the_same_payer(world: World) -> None:
    """The second finds what the first has left: another relative is the richest by then, or nobody pays enough."""
    handler = await scene(world)
    world.start_worker()
    await world.person("SISTER", insurance="resident")
    await world.person("FATHER")
    await world.bind("MOTHER", "SISTER", "daughter")
    await world.bind("FATHER", "SISTER", "daughter")
    await world.credit("FATHER", 90_000)
    await world.stop_workers()
    asked = [("CHILD", 60_000), ("SISTER", 60_000), ("CHILD", 60_000), ("SISTER", 40_000)]

    results = await handler.handle(
        [incoming("settle", bill(person_id=person_id, amount_fen=fen)) for person_id, fen in asked]
    )

    answers = [read(result.answer) for result in results if isinstance(result, Resolution)]
    assert [(answer.payer_id, answer.reason) for answer in answers if isinstance(answer, SettleAnswer)] == [
        ("MOTHER", None),
        ("FATHER", None),
        (None, "richest_payer_insufficient"),
        ("MOTHER", None),
    ]
    assert await world.balances() == {"MOTHER": (0, 0, 0), "FATHER": (30_000, 0, 0)}


async def test_a_copy_in_the_same_batch_is_answered_from_the_first(world: World) -> None:
    """Two copies in one batch: one decision, the second marked as sent again."""
    handler = await scene(world)
    request = incoming("settle", bill(amount_fen=5))

    first, second = await handler.handle([request, request])

    assert isinstance(first, Resolution)
    assert isinstance(second, Resolution)
    assert read(second.answer) == said_again(read(first.answer))


async def test_a_row_held_from_outside_delays_its_own_request_only(world: World) -> None:
    """Somebody's open transaction holds an account: that request waits, the rest of the batch goes on."""
    handler = await scene(world)
    await world.person("OTHER", insurance="resident")
    outside = await asyncpg.connect(world.database_url)
    holding = outside.transaction()
    await holding.start()
    await outside.execute("SELECT * FROM ledger.accounts WHERE person_id = 'MOTHER' FOR UPDATE")

    held, free = await handler.handle([incoming("settle", bill()), incoming("settle", bill(person_id="OTHER"))])
    await holding.rollback()
    await outside.close()
    (again,) = await handler.handle([held.incoming])

    assert isinstance(held, Busy)
    assert isinstance(free, Resolution)
    assert isinstance(again, Resolution)
    assert again.answer.outcome == "settled"


async def test_a_policy_of_a_later_release_refuses_nobody(world: World) -> None:
    """What is not understood is no request's fault, and nothing is decided by what stood before it: all wait until it is."""
    handler = await scene(world)
    await world.policy("33")
    await world.db.execute("""UPDATE registry.region_policies SET policy = policy || '{"of_tomorrow": 1}'""")

    with pytest.raises(ServersAway, match=r"UnreadablePolicy: .* version 1 of the policy of 33 \(of_tomorrow\)"):
        await handler.handle([incoming("settle", bill())])
    await world.db.execute("UPDATE registry.region_policies SET policy = policy - 'of_tomorrow'")
    (settled,) = await handler.handle([incoming("settle", bill())])

    assert isinstance(settled, Resolution)
    assert settled.answer.outcome == "settled"


class Counting(Handler):
    """A handler that counts its transactions."""

    attempts = 0

    async def _attempt(self, batch: Sequence[Incoming], *, wait: bool) -> list[Result]:
        self.attempts += 1
        return await super()._attempt(batch, wait=wait)


async def test_a_province_whose_authority_is_held_delays_its_own_requests_only(world: World) -> None:
    """A change of who may pay takes long: whom it concerns wait together, in no smaller parts, and the others are decided."""
    handler = Counting((await scene(world)).pool, system_clock)
    theirs = [incoming("settle", bill(amount_fen=1)) for _ in range(40)]
    elsewhere = [incoming("settle", bill(insured_region="330100")) for _ in range(3)]
    outside = await asyncpg.connect(world.database_url)

    async with outside.transaction():
        await take_exclusively(outside, {13})
        results = await handler.handle([*theirs[:20], *elsewhere, *theirs[20:]])
    await outside.close()

    assert [type(result) for result in results] == [Busy] * 20 + [Resolution] * 3 + [Busy] * 20
    # One that waits, one that does not, and one for each province.
    assert handler.attempts == 4


async def test_who_only_asks_waits_for_a_table_that_is_altered_and_is_not_tried_in_smaller_parts(world: World) -> None:
    """Every quote needs the same tables."""
    handler = Counting((await scene(world)).pool, system_clock)
    outside = await asyncpg.connect(world.database_url)

    async with outside.transaction():
        await outside.execute("LOCK TABLE ledger.transfers IN ACCESS EXCLUSIVE MODE")
        results = await handler.handle([incoming("quote", bill(amount_fen=1)) for _ in range(10)])
    await outside.close()

    assert [type(result) for result in results] == [Busy] * 10
    assert handler.attempts == 2


@pytest.mark.parametrize("what", ["a batch", "whether the database is there"])
async def test_a_handler_that_is_cancelled_says_so_whatever_the_database_does(world: World, what: str) -> None:
    """Taken for a database that is away it would be waited for, and the lane whose session with the broker is lost never end."""
    await scene(world)
    async with Proxy.before(world.database_url, Random(1)) as proxy:  # noqa: S311 nothing is drawn here
        pool = await create_pool(proxy.url, role="gongji_settlement", name="tests", size_max=1)
        handler = Handler(pool, world.clock)
        await handler.ready()
        proxy.fall_silent()

        asked = asyncio.ensure_future(
            handler.handle([incoming("settle", bill())]) if what == "a batch" else handler.ready()
        )
        await until(lambda: pool.get_idle_size() == 0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asked, 30)


async def test_a_batch_that_meets_a_deadlock_is_tried_again_as_a_whole(world: World) -> None:
    """An outside session locks in the opposite order; whoever is the victim, everything is decided once."""
    handler = await scene(world)
    await world.person("AUNT")
    await world.bind("AUNT", "CHILD")
    await world.db.execute("INSERT INTO ledger.accounts (province, person_id, balances_year) VALUES (13, 'AUNT', 2026)")
    outside = await asyncpg.connect(world.database_url)
    await outside.execute("SET deadlock_timeout = '10s'")
    holding = outside.transaction()
    await holding.start()
    # Accounts are locked in the order AUNT, MOTHER; this session holds the last and asks for the first.
    await outside.execute("SELECT * FROM ledger.accounts WHERE person_id = 'MOTHER' FOR UPDATE")
    deciding = asyncio.create_task(handler.handle([incoming("settle", bill(amount_fen=9))]))
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    await until(lambda: world.db.fetchval(blocked))

    with capture_logs() as logs:
        await outside.execute("SELECT * FROM ledger.accounts WHERE person_id = 'AUNT' FOR UPDATE")
        await holding.rollback()
        await outside.close()
        (result,) = await deciding

    assert isinstance(result, Resolution)
    assert result.answer.outcome == "settled"
    assert await world.db.fetchval("SELECT count(*) FROM ledger.decisions WHERE operation = 'settle'") == 1
    assert (await world.balances())["MOTHER"] == (100_000 - 9, 0, 0)
    # Of who has let go a row and asks for it again, and who waits for it, either may get it: then they meet once more.
    assert {(line["event"], line["error"]) for line in logs} == {("batch_again", "DeadlockDetectedError")}


async def test_a_database_that_is_not_there_is_said_to_be_away() -> None:
    """Nothing is lost or poisoned: the caller keeps what it asked."""
    pool = await create_pool("postgresql://nobody@127.0.0.1:1/none", role=None, name="tests", size_max=1)

    with pytest.raises(ServersAway):
        await Handler(pool, system_clock).handle([incoming("settle", bill())])


async def test_a_policy_change_takes_effect_for_the_next_batch(world: World) -> None:
    """No restart: the worker sees by the epoch that its policies are old, and records which version decided."""
    world.start_worker()
    await world.family("MOTHER")
    await world.policy("1301", keep_fen=99_999)

    answer = await world.settle(amount_fen=2)

    assert answer["reason"] == "richest_payer_insufficient"
    record = "SELECT record ->> 'policy' FROM ledger.decisions WHERE request_id = $1"
    assert await world.db.fetchval(record, answer["request_id"]) == "1301@1"


async def test_a_yearly_limit_counts_what_the_binding_has_used(world: World) -> None:
    """The limit of the binding, across batches and within one."""
    world.start_worker()
    await world.family("MOTHER")
    await world.person("SON", insurance="resident")
    await world.bind("MOTHER", "SON", annual_limit_fen=1_000)

    answers = [await world.settle("SON", fen) for fen in (600, 500, 400, 1)]

    assert [answer["reason"] for answer in answers] == [
        None,
        "authorised_limit_exceeded",
        None,
        "authorised_limit_exceeded",
    ]


async def test_connections_keep_to_their_limits(world: World) -> None:
    """Every session gives up on a lock, on a statement and on an idle transaction."""
    connection = await connect(world.database_url, role="gongji_settlement", name="tests")

    limits = [
        await connection.fetchval(f"SHOW {name}")
        for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    ]

    await connection.close()
    assert limits == ["2s", "15s", "15s"]
