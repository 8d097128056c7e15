"""Which of several hosts is used, what is not told before the others have it, and what is forgotten with a primary."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import asyncpg
import pytest

from services.settlement import handler as handling
from services.settlement.handler import Handler, Result
from services.settlement.incoming import Incoming
from services.settlement.model import Resolution
from shared.domain.times import system_clock
from shared.postgres import primary
from shared.postgres.connection import Connection
from shared.postgres.pool import connect, create_pool
from shared.postgres.primary import Primary, Succeeded, each_host
from shared.postgres.standby import reach_standby
from shared.postgres.trouble import Trouble, trouble_of
from tests.conftest import Database
from tests.support.builders import incoming
from tests.support.proxy import Link, Proxy, Towards
from tests.support.stand_in import StartingUp
from tests.support.world import World, bill, envelope, until

# asyncpg's types do not know what our connections know.
Pool = Any
A_LATER_ONE = "SELECT 9"


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    made = await create_pool(database.url, role="gongji_settlement", name="tests", size_max=2)
    yield made
    made.terminate()


# ---- hosts ----


def test_a_url_names_hosts() -> None:
    """Each with its port, all with the same login, database and parameters."""
    url = "postgresql://me:p%40ss@one:5432,[::1]:5433,three/gongji?sslmode=verify-full"

    assert each_host(url) == [
        "postgresql://me:p%40ss@one:5432/gongji?sslmode=verify-full",
        "postgresql://me:p%40ss@[::1]:5433/gongji?sslmode=verify-full",
        "postgresql://me:p%40ss@three/gongji?sslmode=verify-full",
    ]
    assert each_host("postgresql:///gongji?host=/run/postgresql") == ["postgresql:///gongji?host=/run/postgresql"]


async def test_where_no_host_can_be_used_the_first_says_why() -> None:
    """All of them are asked, by a command of one connection as by a service."""
    async with StartingUp.server() as first, StartingUp.server() as second:
        url = f"postgresql://me@127.0.0.1:{first.port},127.0.0.1:{second.port}/none"

        with pytest.raises(asyncpg.CannotConnectNowError):
            await connect(url, role=None, name="tests")

        assert (first.refused, second.refused) == (1, 1)


async def test_a_session_that_ends_while_it_begins_says_nothing_of_its_host(database: Database) -> None:
    """It is asked again: else a moment's trouble at the primary would make whoever else accepts writes the primary."""
    async with Proxy.before(database.url, Random(0)) as proxy:  # noqa: S311 nothing is drawn

        def cut_the_first(link: Link, _: Towards, data: bytes) -> bytes:
            if proxy.asked == 1:
                link.cut()
            return data

        proxy.passage = cut_the_first
        connection = await connect(proxy.url, role=None, name="tests")
        await connection.close()

        assert proxy.asked == 2


async def test_nor_does_one_that_has_ended_before_it_is_asked_anything(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's last word came with its first: the library refuses the next question by itself, in other words."""

    async def end(session: Any) -> None:
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await session.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    begun = ending_the_first(monkeypatch, end)
    connection = await connect(database.url, role=None, name="tests")
    await connection.close()

    assert len(begun) == 2


async def test_nor_does_one_whose_last_word_has_come_and_whose_end_has_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is at a loss then, in other words again."""
    admin = await asyncpg.connect(database.url)

    async def end(session: Any) -> None:
        await admin.execute("SELECT pg_terminate_backend($1, 5000)", session.get_server_pid())
        await until(lambda: any(link.silent for link in proxy.links))
        # It lies in the session's socket: read in the loop's next turns, before the session asks for anything. Read as an answer it would
        # be another case, a server that falls silent in the midst of one.
        for _ in range(3):
            await asyncio.sleep(0)

    def silent_after_the_last_word(link: Link, towards: Towards, data: bytes) -> bytes:
        link.silent = towards is Towards.CLIENT and b"57P01" in data
        return data

    begun = ending_the_first(monkeypatch, end)
    async with Proxy.before(database.url, Random(0)) as proxy:  # noqa: S311 nothing is drawn
        proxy.passage = silent_after_the_last_word
        connection = await connect(proxy.url, role=None, name="tests")
        await connection.close()
    await admin.close()

    assert len(begun) == 2


def ending_the_first(monkeypatch: pytest.MonkeyPatch, end: Callable[[Any], Awaitable[None]]) -> list[Any]:
    """Ends the first session just after it has begun; the sessions that begin from now on."""
    begin, begun = asyncpg.connect, []

    async def begin_and_end(*args: Any, **options: Any) -> Any:
        begun.append(await begin(*args, **options))
        if len(begun) == 1:
            await end(begun[0])
        return begun[-1]

    monkeypatch.setattr(asyncpg, "connect", begin_and_end)
    return begun


async def test_an_open_connection_to_a_server_that_was_succeeded_is_not_lent(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its successor has been met: whoever asks for it is told to wait, and has the successor next."""
    async with pool.acquire():
        monkeypatch.setattr(primary, "TIMELINE", A_LATER_ONE)
        async with pool.acquire() as successor:
            met = successor.timeline
    with pytest.raises(Succeeded, match=r"timeline 1, and timeline 9 .* must be shut off") as refused:
        async with pool.acquire():
            pass
    async with pool.acquire() as connection:
        found = connection.timeline

    assert (met, found) == (9, 9)
    assert trouble_of(refused.value) is Trouble.AWAY


async def test_an_old_primary_gets_no_new_connection(database: Database) -> None:
    """Whoever has used a later one has no use for it, even where it alone answers."""
    with pytest.raises(Succeeded):
        await Primary(timeline=9).connect(database.url, connection_class=Connection)


# ---- what is told ----


def ask(operation: str, **body: Any) -> Incoming:
    told = bill(**body) if operation in ("settle", "quote") else envelope(**body)
    return incoming(operation, told)


def reasons(results: list[Result]) -> list[tuple[str, str | None]]:
    return [(each.answer.outcome, each.answer.reason) for each in results if isinstance(each, Resolution)]


KNOWN = ask("settle", request_id="KNOWN")
TOLD: dict[str, tuple[Incoming, tuple[str, str | None], int]] = {
    "the same again": (KNOWN, ("settled", None), 1),
    "another content": (ask("settle", request_id="KNOWN", amount_fen=2), ("rejected", "request_conflict"), 1),
    "a name that is over": (ask("settle", request_id="OVER"), ("rejected", "request_cancelled"), 1),
    "a lookup": (ask("lookup", original_request_id="KNOWN"), ("found", None), 1),
    "a day": (
        ask("reconcile", date="2026-01-01", count=0, account_fen=0, mutual_aid_fen=0, refunded_fen=0),
        ("balanced", None),
        1,
    ),
    "a quote": (ask("quote"), ("settled", None), 0),
}


@pytest.mark.parametrize(("asked", "outcome", "writes"), TOLD.values(), ids=TOLD)
async def test_what_was_decided_earlier_is_told_after_a_write(
    world: World,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
    asked: Incoming,
    outcome: tuple[str, str | None],
    writes: int,
) -> None:
    """It may be committed on this server alone, and a write waits for the standby; a quote says nothing of the past."""
    world.start_worker()
    await world.family("MOTHER")
    await world.cancel("OVER")
    await world.stop_workers()
    handler = Handler(pool, system_clock)
    await handler.handle([KNOWN])
    written = []

    async def written_down(connection: Any) -> None:
        written.append(connection)
        await reach_standby(connection)

    monkeypatch.setattr(handling, "reach_standby", written_down)
    results = await handler.handle([asked])

    assert reasons(results) == [outcome]
    assert len(written) == writes


# ---- what is forgotten ----


async def test_policies_are_read_anew_from_another_primary(
    world: World, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one primary had as a policy's third version, which its standby did not have, another may have otherwise."""
    world.start_worker()
    await world.policy("1301", keep_fen=0)
    await world.family("MOTHER")
    await world.stop_workers()
    handler = Handler(pool, system_clock)
    before = await handler.handle([ask("quote")])

    await world.db.execute("UPDATE registry.region_policies SET policy = policy || '{\"keep_fen\": 100000}'")
    monkeypatch.setattr(primary, "TIMELINE", A_LATER_ONE)
    await pool.expire_connections()
    after = await handler.handle([ask("quote")])

    assert reasons(before) == [("settled", None)]
    assert reasons(after) == [("declined", "payer_balance_zero")]
