"""A database that answers nothing and closes nothing, seen by a pool of little patience."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from random import Random

import asyncpg
import orjson
import pytest

from services.settlement.handler import Handler, Result, ServersAway
from services.settlement.incoming import Incoming
from services.settlement.model import Resolution
from shared.domain.times import system_clock
from shared.messages.lookup import LookupRequest
from shared.postgres.pool import create_pool
from shared.postgres.trouble import Trouble, trouble_of
from shared.rabbit.topology import SETTLEMENT
from tests.conftest import Database
from tests.support.correspondence import waiting
from tests.support.proxy import Proxy
from tests.support.world import World, bill, envelope, until

PATIENCE_S = 0.5
# Less than it once, more than it twice.
A_WHILE = "SELECT pg_sleep(0.3)"

Pool = asyncpg.Pool


@pytest.fixture
async def proxy(database: Database) -> AsyncIterator[Proxy]:
    async with Proxy.before(database.url, Random(0)) as before:  # noqa: S311 nothing is drawn
        yield before


@pytest.fixture
async def pool(proxy: Proxy) -> AsyncIterator[Pool]:
    made = await create_pool(proxy.url, role="gongji_settlement", name="tests", size_max=2, lent_s_max=PATIENCE_S)
    yield made
    made.terminate()


async def test_whoever_is_kept_waiting_loses_the_connection(pool: Pool) -> None:
    """As if the server were away; the next one is a new one."""
    with pytest.raises(Exception, match="closed") as lost:
        await pool.execute("SELECT pg_sleep(60)")
    found = await pool.fetchval("SELECT 1")

    assert trouble_of(lost.value) is Trouble.AWAY
    assert found == 1


async def test_a_connection_that_was_given_back_in_time_is_kept(pool: Pool) -> None:
    """However often it is lent."""
    sessions = set()
    for _ in range(4):
        async with pool.acquire() as connection:
            sessions.add(await connection.fetchval("SELECT pg_backend_pid()"))
            await connection.execute(A_WHILE)

    assert len(sessions) == 1


async def test_no_connection_of_before_a_silence_is_used_after_it(pool: Pool, proxy: Proxy) -> None:
    """The first that is given up stands for all: each of the others would cost as long a wait."""
    handler = Handler(pool, system_clock)
    body = orjson.dumps(envelope(original_request_id="R1"))
    question = Incoming(LookupRequest.model_validate_json(body))
    await asyncio.gather(*(pool.execute(A_WHILE) for _ in range(2)))

    proxy.fall_silent()
    with pytest.raises(ServersAway):
        await handler.handle([question])
    proxy.speak()
    (result,) = await handler.handle([question])

    assert isinstance(result, Resolution)


async def test_a_batch_that_is_too_much_for_its_time_is_decided_in_smaller_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that needs longer for a batch than a connection is lent: the same batch would never be through."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    handle, tried = Handler.handle, []

    async def slow(self: Handler, batch: Sequence[Incoming], *, wait: bool = True) -> list[Result]:
        tried.append(len(batch))
        if len(batch) > 2:
            raise ServersAway("the connection was given up")
        return await handle(self, batch, wait=wait)

    monkeypatch.setattr(Handler, "handle", slow)
    asking = [asyncio.create_task(world.settle(amount_fen=1)) for _ in range(8)]
    await until(partial(_holds_eight, world))

    world.start_worker(batch_max=8)
    answers = await asyncio.gather(*asking)

    assert {answer["outcome"] for answer in answers} == {"settled"}
    assert max(tried) > 2
    assert (await world.balances())["MOTHER"] == (100_000 - 8, 0, 0)


async def test_a_batch_is_tried_whole_again_between_its_smaller_parts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the way to the server breaks every other time, many small ones would never come through in one attempt."""
    world.start_worker(batch_max=8)
    await world.family("MOTHER")
    handle, tried = Handler.handle, []

    async def every_other_time(self: Handler, batch: Sequence[Incoming], *, wait: bool = True) -> list[Result]:
        tried.append(len(batch))
        if len(tried) % 2:
            raise ServersAway("the connection was reset")
        return await handle(self, batch, wait=wait)

    monkeypatch.setattr(Handler, "handle", every_other_time)
    answer = await world.ask("settle_bulk", envelope(settlements=[bill(amount_fen=1) for _ in range(8)]))

    assert {each["outcome"] for each in answer["answers"]} == {"settled"}
    assert tried == [8, 4, 4, 8]


async def _holds_eight(world: World) -> bool:
    return await waiting(world, SETTLEMENT) == 8


async def test_a_session_whose_other_end_is_gone_ends_by_the_network(database: Database) -> None:
    """Between a statement's preparation and its execution it is active to PostgreSQL, which waits for more: no limit of its own ends it."""
    pool = await create_pool(database.url, role="gongji_settlement", name="tests", size_max=1)

    said = [await pool.fetchval(f"SHOW tcp_keepalives_{what}") for what in ("idle", "interval", "count")]
    pool.terminate()

    assert said == ["10", "5", "3"]
