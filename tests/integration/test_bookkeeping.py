"""The bookkeeper: the chain, the events and the months. ADR 10."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.bookkeeping import seals
from services.bookkeeping.app import run
from services.bookkeeping.handler import Handler
from services.bookkeeping.relay import NotTaken
from services.bookkeeping.rules import EVENTS as TOLD
from services.bookkeeping.settings import BookkeepingSettings
from services.settlement.handler import Handler as SettlementHandler
from shared.domain.roles import Role
from shared.domain.times import system_clock
from shared.messages.event import EventName
from shared.postgres.pool import connect as connect_to_database
from shared.postgres.pool import create_pool
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.topology import EVENTS
from tests.support.bookkeepers import bookkeeping
from tests.support.builders import incoming
from tests.support.listener import Listener
from tests.support.world import AGENCY, World, bill, envelope, until


@pytest.fixture
async def bookkeeper(world: World) -> AsyncIterator[Handler]:
    async with bookkeeping(world) as handler:
        yield handler


async def seal_all(bookkeeper: Handler) -> None:
    while await bookkeeper.seal():
        pass


async def tell_all(bookkeeper: Handler) -> None:
    await seal_all(bookkeeper)
    while await bookkeeper.tell():
        pass
    while await bookkeeper.tell_of_bindings():
        pass


async def day(world: World) -> dict[str, Any]:
    """A family's day: paid, paid in part again, declined, cancelled in advance. Returns the settlement."""
    world.start_worker()
    await world.family("MOTHER", "FATHER")
    settled = await world.settle(amount_fen=4_000, request_id="S")
    await world.refund("S", 1_500, request_id="R")
    await world.settle(amount_fen=900_000, request_id="TOO-MUCH")
    await world.cancel("NEVER-CAME", request_id="C")
    return settled


# ---- the chain ----


async def test_everything_that_was_written_is_sealed_once(world: World, bookkeeper: Handler) -> None:
    """Decisions that moved nothing too; afterwards no page waits."""
    await day(world)

    await seal_all(bookkeeper)
    written = await world.db.fetch(
        "SELECT decision_id FROM ledger.decisions UNION SELECT movement_id FROM ledger.entries"
    )
    sealed = await world.db.fetch("SELECT unnest(ids) AS id FROM ledger.seals")

    assert await world.count("ledger.pages") == 0
    assert sorted(row["id"] for row in sealed) == sorted(row["decision_id"] for row in written)


async def test_a_seal_can_be_computed_by_anybody(world: World, bookkeeper: Handler) -> None:
    """The digest is SHA-256 of the rows as sorted JSON lines; the hash chains it to the seal before. docs/operations.md."""
    await day(world)
    await bookkeeper.seal()
    await world.credit("MOTHER", 7)
    await bookkeeper.seal()

    found = await world.db.fetch("SELECT * FROM ledger.seals ORDER BY seal_no")

    assert [row["seal_no"] for row in found] == [1, 2]
    previous = b""
    for row in found:
        lines = [*await entry_lines(world, row["ids"]), *await decision_lines(world, row["ids"])]
        digest = sha256("\n".join(sorted(lines, key=str.encode)).encode()).digest()
        previous = sha256(previous + digest + row["seal_no"].to_bytes(8)).digest()
        assert (row["digest"], row["hash"]) == (digest, previous)


async def entry_lines(world: World, ids: list[Any]) -> list[str]:
    fields = (
        "movement_id, person_id, kind, institution_id, request_id, binding_id, current_year_fen, prior_years_fen, wallet_fen, "
        "contra, contra_fen, original_id, insured_region, care_region, moved_at"
    )
    rows = await world.db.fetch(f"SELECT {fields} FROM ledger.entries WHERE movement_id = ANY($1)", ids)  # noqa: S608
    return [line("entry", row) for row in rows]


async def decision_lines(world: World, ids: list[Any]) -> list[str]:
    fields = (
        "decision_id, institution_id, request_id, operation, outcome, reason, moved, "
        "request::jsonb, record::jsonb, answer::jsonb, decided_at"
    )
    rows = await world.db.fetch(f"SELECT {fields} FROM ledger.decisions WHERE decision_id = ANY($1)", ids)  # noqa: S608
    return [line("decision", row) for row in rows]


def line(kind: str, row: Any) -> str:
    """A row as PostgreSQL writes a JSON array: nulls, numbers and objects as they are, times as microseconds."""

    def text(name: str, value: Any) -> str:
        match value:
            case None:
                return "null"
            case bool():
                return str(value).lower()
            case int():
                return str(value)
            case datetime():
                return str(round((value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000))
        return str(value) if name in {"request", "record", "answer"} else f'"{value}"'

    return f'["{kind}", ' + ", ".join(text(name, value) for name, value in row.items()) + "]"


async def test_two_bookkeepers_make_one_chain(world: World) -> None:
    """They take turns by province; nothing is sealed twice and the chain has no fork."""
    await day(world)
    async with bookkeeping(world) as one, bookkeeping(world) as other:
        for number in range(20):
            await world.credit("MOTHER", number + 1)
            await asyncio.gather(one.seal(), other.seal(), one.seal(), other.seal())

    sealed = await world.db.fetch("SELECT unnest(ids) AS id FROM ledger.seals")
    numbers = [row["seal_no"] for row in await world.db.fetch("SELECT seal_no FROM ledger.seals ORDER BY seal_no")]

    assert await world.count("ledger.pages") == 0
    assert len(sealed) == len({row["id"] for row in sealed}) == await world.count("ledger.decisions")
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_page_that_comes_late_is_not_skipped(world: World, bookkeeper: Handler) -> None:
    """A transaction that wrote first and commits last: its page has a smaller number than what is sealed already."""
    await day(world)
    late = await world.db.fetchrow("SELECT province, decision_id FROM ledger.decisions WHERE request_id = 'S'")
    assert late
    await seal_all(bookkeeper)
    slow = await connect_to_database(world.database_url, role=None, name="tests")
    async with slow.transaction():
        await slow.execute("INSERT INTO ledger.pages (province, ids) VALUES (13, $1)", [late["decision_id"]])
        await world.credit("MOTHER", 7)
        await seal_all(bookkeeper)
        tops = await world.db.fetchval("SELECT max(seal_no) FROM ledger.seals")
    await slow.close()

    await seal_all(bookkeeper)
    last = await world.db.fetchrow("SELECT * FROM ledger.seals ORDER BY seal_no DESC LIMIT 1")

    assert last
    assert (last["seal_no"], list(last["ids"])) == (tops + 1, [late["decision_id"]])


# ---- events ----


async def test_every_movement_is_told(world: World, bookkeeper: Handler) -> None:
    """With its person, its funds, and where it stands in the chain; what moved nothing is not told."""
    async with Listener.on(world.amqp_url) as listener:
        settled = await day(world)
        await tell_all(bookkeeper)
        await until(lambda: len(listener.events) == 6)

    debited = next(event for event in listener.events if event["event"] == "account.debited")
    refunded = next(event for event in listener.events if event["event"] == "account.refunded")
    assert sorted(listener.names()) == [
        "account.credited",
        "account.credited",
        "account.debited",
        "account.refunded",
        "binding.made",
        "binding.made",
    ]
    assert "account.debited.130100" in listener.keys
    assert (debited["movement_id"], debited["person_id"]) == (settled["settlement_id"], settled["payer_id"])
    assert (debited["current_year_fen"], debited["care_region"]) == (-4_000, "130100")
    assert (refunded["original_id"], refunded["current_year_fen"]) == (settled["settlement_id"], 1_500)
    assert refunded["seal_no"] >= debited["seal_no"] >= 1


async def test_what_undoes_is_told_after_what_it_undoes_within_a_batch_too(world: World, bookkeeper: Handler) -> None:
    """Thirty bills, each with a refund behind it, decided in one transaction."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=1)
    asked = []
    for number in range(30):
        asked += [
            incoming("settle", bill(amount_fen=100, request_id=f"S-{number}")),
            incoming("refund", envelope(request_id=f"R-{number}", original_request_id=f"S-{number}")),
        ]
    await SettlementHandler(pool, system_clock).handle(asked)
    await pool.close()

    async with Listener.on(world.amqp_url, "account.#") as listener:
        await tell_all(bookkeeper)
        await until(lambda: len(listener.events) == 61)

    told = [event["request_id"] for event in listener.events if event["event"] != "account.credited"]
    assert told == [request.name.request_id for request in asked]


async def test_each_date_of_an_end_is_told(world: World, bookkeeper: Handler) -> None:
    """An end that is brought forward is another event; whoever drops copies must not drop it."""
    await world.person("MOTHER")
    await world.person("CHILD")
    binding_id = await world.bind("MOTHER", "CHILD")
    dates = [f"{system_clock().date() + timedelta(days=days)}" for days in (30, 20)]
    async with Listener.on(world.amqp_url, "binding.ended.*") as listener:
        for date_ in dates:
            await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding_id}/end", {"end_date": date_})
        await tell_all(bookkeeper)
        await until(lambda: len(listener.events) == 2)

    assert [event["valid_until"] for event in listener.events] == dates
    assert len(listener.first_heard()) == 2


async def test_a_binding_that_ends_by_itself_is_told_with_its_cause(world: World, bookkeeper: Handler) -> None:
    """Whatever ends it: a clerk, or what the feed says of the payer."""
    world.start_worker()
    async with Listener.on(world.amqp_url, "binding.ended.*") as listener:
        await world.family("MOTHER", "FATHER")
        binding_id = (await world.call(Role.CLERK, "GET", "/v1/bindings?payer_id=FATHER")).json()["items"][0][
            "binding_id"
        ]
        await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding_id}/end")
        await world.person("MOTHER", status="ended")
        await tell_all(bookkeeper)
        await until(lambda: len(listener.events) == 2)

    causes = {event["payer_id"]: event["cause"] for event in listener.events}
    assert causes == {"FATHER": "asked_by_clerk", "MOTHER": "payer_left_employee_insurance"}
    assert set(listener.keys) == {"binding.ended.130000"}


async def test_an_event_that_a_queue_refuses_is_told_later(world: World, bookkeeper: Handler) -> None:
    """A full queue holds the relay up; as soon as it takes messages again, nothing is missing."""
    connection = await connect([world.amqp_url], name="tests")
    channel = await open_channel(connection, confirms=False)
    await channel.queue_declare("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    await channel.queue_bind("full", EVENTS, routing_key="#")
    await day(world)
    await seal_all(bookkeeper)

    with pytest.raises(NotTaken):
        await bookkeeper.tell()
    told = await world.count("ledger.relayed")
    await channel.queue_delete("full")
    async with Listener.on(world.amqp_url, "account.#") as listener:
        await tell_all(bookkeeper)
        await until(lambda: len(listener.events) == 4)
    await close(connection)

    assert told == 0


async def test_every_kind_of_movement_has_an_event(world: World) -> None:
    """What the ledger's constraint allows is what the relay knows how to tell."""
    constraint = await world.db.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conname = 'kind_is_known' AND conrelid = 'ledger.entries'::regclass"
    )

    assert set(re.findall(r"'(\w+)'", constraint)) == set(TOLD)
    assert set(TOLD.values()) | {EventName.BINDING_MADE, EventName.BINDING_ENDED} == set(EventName)


# ---- months ----


async def test_months_are_prepared_ahead(world: World, bookkeeper: Handler) -> None:
    """This month and as many as are wanted; asked again, nothing happens; payments go on into them."""
    await day(world)

    made = 0
    while await bookkeeper.prepare_months():
        made += 1
    await world.settle(amount_fen=5, request_id="AFTERWARDS")
    again = await bookkeeper.prepare_months()
    months = [row["month"] for row in await world.db.fetch("SELECT month FROM ledger.months ORDER BY month")]
    to_come = await world.count("ledger.entries_to_come")

    this = system_clock().date().replace(day=1)
    assert (made, again, to_come) == (3, False, 0)
    assert months[0] in {this, date(this.year + this.month // 12, this.month % 12 + 1, 1)}
    assert len(months) == 3


async def test_a_month_does_not_keep_payments_waiting_for_a_long_reader(world: World, bookkeeper: Handler) -> None:
    """Somebody reads everything: the month is given up at once, payments go on, and it is prepared afterwards."""
    world.start_worker()
    await world.family("MOTHER")
    async with world.db.transaction():
        await world.db.execute("SELECT count(*) FROM ledger.entries")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await bookkeeper.prepare_months()
        paid = await world.settle(amount_fen=5)
    made = await bookkeeper.prepare_months()

    assert (paid["outcome"], made) == ("settled", True)


async def test_a_bookkeeper_seals_as_much_as_comes(world: World, bookkeeper: Handler) -> None:
    """However many transactions wait, they are sealed some at a time."""
    world.start_worker()
    await world.institution(AGENCY, kind="agency")
    await world.person("MOTHER")
    for number in range(seals.PAGES_MAX + 1):
        await world.ask(
            "credit", envelope(institution_id=AGENCY, person_id="MOTHER", fund="current_year", amount_fen=number + 1)
        )

    more = [await bookkeeper.seal(), await bookkeeper.seal()]

    assert more == [True, False]
    assert await world.count("ledger.seals") == 2


async def test_what_does_not_end_is_left_when_the_deadline_has_passed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that has raised an alarm is waited for without an end; whoever stops the bookkeeper is not."""
    at_it = asyncio.Event()

    async def endless(_: Handler) -> bool:
        at_it.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(Handler, "tell", endless)
    stop = asyncio.Event()
    told = BookkeepingSettings(database_url=world.database_url, amqp_url=world.amqp_url, drain_timeout_s=0.1)
    running = asyncio.create_task(run(told, stop))
    await at_it.wait()

    with capture_logs() as logs:
        stop.set()
        await asyncio.wait_for(running, 10)

    assert {"event": "drain_deadline_passed", "duty": "tell", "log_level": "warning"} in logs
