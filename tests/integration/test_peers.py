"""The peers of the bench settle by the same rule: what they are measured at is the same work."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
import pytest

from bench.peers.environment import session_of
from bench.peers.one_by_one import settle
from bench.peers.plain import NotPlain, Plain
from cli.audit import prove
from services.settlement.handler import Handler
from services.settlement.incoming import Incoming, Sender
from services.settlement.model import Resolution, Written
from shared.domain.times import system_clock
from shared.messages.catalogue import parse
from shared.messages.settle import SettleRequest
from shared.postgres.pool import create_pool
from tests.support.reading import read, said_again
from tests.support.world import World, bill

# What differs between two decisions on one bill.
OF_THE_MOMENT = {"decided_at", "settlement_id"}


@asynccontextmanager
async def peer(world: World) -> "AsyncIterator[asyncpg.Pool[asyncpg.Record]]":
    """The pool of a peer, in a worker's role."""
    async with asyncpg.create_pool(
        world.database_url, min_size=1, max_size=2, server_settings=session_of("tests")
    ) as pool:
        yield pool


def request(**more: Any) -> SettleRequest:
    parsed = parse("settle", "settle.130100", None, orjson.dumps(bill(**more)))
    assert isinstance(parsed, SettleRequest)
    return parsed


async def scene(world: World) -> list[SettleRequest]:
    """A family in which each bill ends differently: own money, the richest, a limit, nobody, a stranger."""
    world.start_worker()
    await world.family("MOTHER", "FATHER")
    await world.person("GRANNY")
    await world.bind("GRANNY", "CHILD", "grandson", annual_limit_fen=3_000)
    await world.credit("GRANNY", 900_000)
    await world.credit("FATHER", 50_000, fund="prior_years")
    await world.stop_workers()
    asked: Sequence[tuple[str, int, dict[str, Any]]] = (
        ("MOTHER", 2_500, {}),
        ("CHILD", 2_000, {}),
        ("CHILD", 120_000, {}),
        ("CHILD", 90_000, {"require_full": True}),
        ("CHILD", 120_000, {}),
        ("MOTHER", 70_000, {"use_mutual_aid": False}),
        ("CHILD", 500, {"expense_type": "fitness"}),
        ("NOBODY", 500, {}),
        ("CHILD", 500, {"institution_id": "NOWHERE"}),
    )
    return [
        request(request_id=f"R-{place}", person_id=who, amount_fen=fen, **more)
        for place, (who, fen, more) in enumerate(asked)
    ]


def told(answers: Sequence[Written]) -> list[dict[str, Any]]:
    return [read(answer).model_dump(exclude=OF_THE_MOMENT) for answer in answers]


async def written(world: World) -> dict[str, Any]:
    """What is in the books, but for what is of the moment."""
    entries = await world.db.fetch(
        "SELECT request_id, person_id, kind, binding_id, current_year_fen, prior_years_fen, wallet_fen, contra, contra_fen,"
        " insured_region, care_region FROM ledger.entries WHERE kind = 'settlement' ORDER BY request_id, person_id"
    )
    decisions = await world.db.fetch(
        "SELECT request_id, outcome, reason, moved, request, record FROM ledger.decisions WHERE operation = 'settle'"
        " ORDER BY request_id"
    )
    return {
        "balances": await world.balances(),
        "entries": entries,
        "decisions": [{**row, "record": _in_one_order(row["record"])} for row in decisions],
    }


def _in_one_order(record: str) -> dict[str, Any]:
    """A record with its candidates by their ids: the rule ranks them, whatever order they come in."""
    told: dict[str, Any] = orjson.loads(record)
    return {**told, "considered": sorted(told["considered"], key=lambda seen: str(seen["binding_id"]))}


async def undo(world: World) -> None:
    """The books are as before the bills."""
    await world.db.execute(
        "UPDATE ledger.accounts SET current_year_fen = accounts.current_year_fen - moved.current_year_fen,"
        " prior_years_fen = accounts.prior_years_fen - moved.prior_years_fen FROM (SELECT person_id,"
        " sum(current_year_fen) AS current_year_fen, sum(prior_years_fen) AS prior_years_fen FROM ledger.entries"
        " WHERE kind = 'settlement' GROUP BY person_id) AS moved WHERE moved.person_id = accounts.person_id"
    )
    await world.db.execute("DELETE FROM ledger.entries WHERE kind = 'settlement'")
    await world.db.execute("DELETE FROM ledger.names WHERE request_id LIKE 'R-%'")
    await world.db.execute("DELETE FROM ledger.pages")
    await world.db.execute("DELETE FROM ledger.decisions WHERE request_id LIKE 'R-%'")


async def test_a_peer_decides_and_writes_what_the_worker_does(world: World) -> None:
    """The same bills on the same books, once by the worker's handler, once one by one."""
    bills = await scene(world)
    pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=2)
    handler = Handler(pool, system_clock)
    results = [result for each in bills for result in await handler.handle([Incoming(each)])]
    ours = [result.answer for result in results if isinstance(result, Resolution)]
    ours_written = await written(world)
    await undo(world)

    async with peer(world) as connections:
        theirs = [await settle(connections, Plain(), each, Sender()) for each in bills]

    assert told(theirs) == told(ours)
    assert await written(world) == ours_written
    assert len({(answer.outcome, answer.reason) for answer in ours}) >= 6


async def test_what_a_peer_has_written_can_be_proven(world: World) -> None:
    bills = await scene(world)

    async with peer(world) as connections:
        for each in bills:
            await settle(connections, Plain(), each, Sender())

    assert (await prove(world.database_url))["holds"]


async def test_a_peer_answers_a_copy_from_what_was_stored(world: World) -> None:
    bills = await scene(world)

    async with peer(world) as connections:
        first, again = [await settle(connections, Plain(), bills[0], Sender()) for _ in range(2)]

    assert read(again) == said_again(read(first))


async def test_a_peer_does_not_pretend_to_know_of_transfers(world: World) -> None:
    """Money on its way to the patient is the worker's to take in; a peer that left it out would do less work."""
    bills = await scene(world)
    await world.db.execute(
        "INSERT INTO ledger.transfers (province, transfer_id, from_person_id, to_province, to_person_id, binding_id,"
        " current_year_fen, prior_years_fen, state, made_at, accept_by) VALUES (13, gen_random_uuid(), 'FATHER', 13, 'CHILD',"
        " gen_random_uuid(), 5, 0, 'pending', now(), now())"
    )

    async with peer(world) as connections:
        with pytest.raises(NotPlain):
            await settle(connections, Plain(), bills[1], Sender())
