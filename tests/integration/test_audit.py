"""The audit finds whatever was done to the ledger behind the services' backs: each corruption by the invariant it breaks."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from cli.audit import ROWS_SHOWN, Head, prove
from services.bookkeeping.handler import Handler
from services.bookkeeping.relay import Relay
from services.settlement.handler import Handler as SettlementHandler
from services.settlement.incoming import Incoming
from shared.domain.times import SHANGHAI
from shared.messages.catalogue import parse
from shared.messages.envelope import Request
from shared.postgres.pool import create_pool
from tests.conftest import Database
from tests.support.calendar import Clock
from tests.support.world import AGENCY, HOSPITAL, World, bill, envelope

NOON = datetime(2026, 11, 22, 12, tzinfo=SHANGHAI)
NOW: dict[str, Any] = {"occurred_at": NOON.isoformat()}


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path]) -> AsyncIterator[World]:
    """A family's day, sealed, and a payment afterwards that is not sealed yet."""
    clock = Clock(NOON)
    async with World.build(database.url, amqp_url, keys, clock) as built:
        pool = await create_pool(database.url, role="gongji_bookkeeping", name="tests", size_max=2)
        bookkeeper = Handler(pool, clock, Relay([amqp_url]), months_ahead=1, close_after=timedelta(minutes=5))
        built.start_worker()
        await built.institution(HOSPITAL)
        await built.institution(AGENCY, kind="agency")
        await built.person("CHILD", insurance="resident")
        for person, fen in (("MOTHER", 100_000), ("FATHER", 90_000)):
            await built.person(person)
            await built.bind(person, "CHILD", wallet=True, auto_accept=True)
            await built.credit(person, fen, **NOW)
        await built.settle(amount_fen=4_000, request_id="PAID", **NOW)
        await built.settle(amount_fen=900_000, request_id="TOO-MUCH", **NOW)
        assert await bookkeeper.seal() is False
        await built.refund("PAID", 1_500, request_id="GIVEN-BACK", **NOW)
        await bookkeeper.seal()
        await built.cancel("NEVER-CAME", request_id="STOPPED", **NOW)
        gift = {"from_person_id": "MOTHER", "to_person_id": "CHILD", "to_insured_region": "130100", **NOW}
        await built.ask("transfer", envelope(institution_id=AGENCY, request_id="GIFT", amount_fen=2_000, **gift))
        await bookkeeper.seal()
        await built.settle(amount_fen=500, request_id="UNSEALED", **NOW)
        pool.terminate()
        yield built


async def test_an_honest_ledger_is_proven_up_to_the_last_seal(world: World) -> None:
    """And what waits to be sealed is said; the head can be given back later."""
    found = await prove(world.database_url)

    assert found["holds"], found["broken"]
    (head,) = found["proven_up_to"]
    assert (head["province"], head["seal_no"], head["unsealed_transactions"]) == (13, 3, 1)
    again = await prove(world.database_url, [Head(13, 3, head["hash"])])
    assert again["holds"]


# What somebody with every right in the database does, and which invariants notice.


def place_of(payer_id: str) -> str:
    """Where a record has a candidate: in no order that anybody promises."""
    return f"""(
        SELECT (place - 1)::text
        FROM jsonb_array_elements(record::jsonb -> 'considered') WITH ORDINALITY AS considered (said, place)
        WHERE said ->> 'payer_id' = '{payer_id}'
    )"""  # noqa: S608 a test's own words


CORRUPTIONS = {
    "a changed amount": (
        """
        UPDATE ledger.entries SET current_year_fen = -3999, contra_fen = 3999 WHERE movement_id = (SELECT
        decision_id FROM ledger.names WHERE request_id = 'PAID')
        """,
        {"balances_equal_entries", "every_decision_moved_what_it_says", "every_seal_covers_what_it_covered"},
    ),
    "a deleted entry": (
        """
        DELETE FROM ledger.entries WHERE movement_id = (SELECT decision_id FROM ledger.names WHERE request_id =
        'PAID')
        """,
        {"balances_equal_entries", "every_decision_moved_what_it_says", "every_seal_covers_what_it_covered"},
    ),
    "an entry that nobody decided": (
        """
        INSERT INTO ledger.entries SELECT province, gen_random_uuid(), 'MOTHER', 'credit', 'A1', 'FORGED', NULL,
        7, 0, 0, 'contribution', -7, NULL, '130100', NULL, now() FROM ledger.names WHERE request_id = 'PAID'
        """,
        {"balances_equal_entries", "every_movement_was_decided", "everything_is_sealed_once"},
    ),
    "a swapped payer in the entry": (
        """
        UPDATE ledger.entries SET person_id = 'FATHER' WHERE movement_id = (SELECT decision_id FROM ledger.names
        WHERE request_id = 'PAID')
        """,
        {"balances_equal_entries", "every_decision_moved_what_it_says", "every_seal_covers_what_it_covered"},
    ),
    "a swapped payer in the answer": (
        """
        UPDATE ledger.decisions SET answer = jsonb_set(answer::jsonb, '{payer_id}', '"FATHER"') WHERE request_id =
        'PAID'
        """,
        {"every_decision_moved_what_it_says", "the_payer_was_the_richest", "every_seal_covers_what_it_covered"},
    ),
    "a raised balance": (
        """
        UPDATE ledger.accounts SET current_year_fen = current_year_fen + 1 WHERE person_id = 'MOTHER'
        """,
        {"balances_equal_entries"},
    ),
    "two payers": (
        """
        INSERT INTO ledger.entries SELECT province, movement_id, 'FATHER', kind, institution_id, request_id,
        gen_random_uuid(), -1, 0, 0, contra, 1, NULL, insured_region, care_region, moved_at FROM ledger.entries
        WHERE movement_id = (SELECT decision_id FROM ledger.names WHERE request_id = 'PAID')
        """,
        {"one_payer_per_settlement", "balances_equal_entries", "every_seal_covers_what_it_covered"},
    ),
    "a record in which another was richer": (
        f"""
        UPDATE ledger.decisions SET record = jsonb_set(
            record::jsonb, ARRAY['considered', {place_of("FATHER")}, 'usable_fen'], '999999999'
        )
        WHERE request_id = 'PAID'
        """,  # noqa: S608 a test's own words
        {"the_payer_was_the_richest", "every_seal_covers_what_it_covered"},
    ),
    "a payer who was out": (
        """
        UPDATE ledger.decisions SET record = jsonb_set(record::jsonb, '{considered}', '[]') WHERE request_id = 'PAID'
        """,
        {"the_payer_was_a_candidate", "every_seal_covers_what_it_covered"},
    ),
    "a second decision on a request": (
        """
        INSERT INTO ledger.decisions SELECT province, gen_random_uuid(), institution_id, request_id, operation,
        outcome, reason, false, request, record, answer, decided_at FROM ledger.decisions WHERE request_id =
        'TOO-MUCH'
        """,
        {"one_decision_per_request", "everything_is_sealed_once"},
    ),
    "a deleted decision": (
        "DELETE FROM ledger.decisions WHERE request_id = 'TOO-MUCH'",
        {"one_decision_per_request", "everything_is_sealed_once", "every_seal_covers_what_it_covered"},
    ),
    "an answer that was not sent": (
        """
        UPDATE ledger.decisions SET answer = jsonb_set(answer::jsonb, '{outcome}', '"settled"') WHERE request_id =
        'TOO-MUCH'
        """,
        {"every_decision_was_answered", "every_seal_covers_what_it_covered"},
    ),
    "more given back than is written down": (
        "UPDATE ledger.remainders SET current_year_fen = current_year_fen + 1500",
        {"nothing_is_given_back_twice"},
    ),
    "a cancel that never was": (
        """
        INSERT INTO ledger.cancellations SELECT province, institution_id, request_id, 'X', now() FROM
        ledger.names WHERE request_id = 'PAID'
        """,
        {"nothing_cancelled_has_an_effect"},
    ),
    "a transfer that says another sum": (
        "UPDATE ledger.transfers SET current_year_fen = 1",
        {"every_transfer_moved_what_it_says"},
    ),
    "a broken chain": (
        "UPDATE ledger.seals SET hash = digest WHERE seal_no = 2",
        {"the_chain_is_unbroken"},
    ),
    "a seal taken out": (
        "DELETE FROM ledger.seals WHERE seal_no = 2",
        {"the_chain_is_unbroken", "everything_is_sealed_once"},
    ),
    "the last seal taken off": (
        "DELETE FROM ledger.seals WHERE seal_no = 3",
        {"everything_is_sealed_once"},
    ),
    "a page torn out": (
        "DELETE FROM ledger.pages",
        {"everything_is_sealed_once"},
    ),
    "a settled bill made small after the fact": (
        """
        UPDATE ledger.decisions SET request = jsonb_set(request::jsonb, '{amount_fen}', '40') WHERE request_id = 'PAID'
        """,
        {"answers_add_up", "every_seal_covers_what_it_covered"},
    ),
    "a refund to somebody else": (
        """
        INSERT INTO ledger.accounts (province, person_id, prior_years_fen, balances_year) VALUES (13, 'MALLORY', 1000, 2026);
        INSERT INTO ledger.names VALUES (13, 'H1', 'FORGED', '019aaaaa-0000-7000-8000-000000000001');
        INSERT INTO ledger.decisions SELECT province, '019aaaaa-0000-7000-8000-000000000001', institution_id, 'FORGED',
            operation, outcome, reason, true, request::jsonb || '{"request_id": "FORGED"}', record::jsonb - 'returned',
            answer::jsonb || '{"request_id": "FORGED", "own_account_fen": 1000, "mutual_aid_fen": 0, "payer_id": null}', decided_at
        FROM ledger.decisions WHERE request_id = 'GIVEN-BACK';
        INSERT INTO ledger.entries SELECT province, '019aaaaa-0000-7000-8000-000000000001', 'MALLORY', kind, institution_id,
            'FORGED', NULL, 0, 1000, 0, contra, -1000, original_id, insured_region, care_region, moved_at
        FROM ledger.entries WHERE kind = 'refund';
        INSERT INTO ledger.pages (province, ids) VALUES (13, ARRAY['019aaaaa-0000-7000-8000-000000000001'::uuid])
        """,
        {"whatever_undoes_has_its_original"},
    ),
    "a refund that says another sum": (
        """
        UPDATE ledger.decisions SET answer = jsonb_set(answer::jsonb, '{mutual_aid_fen}', '1') WHERE request_id = 'GIVEN-BACK'
        """,
        {"every_refund_moved_what_it_says", "every_seal_covers_what_it_covered"},
    ),
    "a cancel that was forgotten": (
        "DELETE FROM ledger.cancellations",
        {"every_cancel_is_written_down"},
    ),
    "a cancel of a credit that never was": (
        """
        INSERT INTO ledger.cancellations SELECT province, institution_id, request_id, 'X', now() FROM ledger.decisions
        WHERE operation = 'credit' LIMIT 1
        """,
        {"every_cancel_is_written_down"},
    ),
    "a settlement that can never be refunded": (
        """
        INSERT INTO ledger.remainders SELECT province, movement_id, person_id, 0, 0, 0 FROM ledger.entries
        WHERE request_id = 'UNSEALED'
        """,
        {"what_is_left_is_what_was_not_given_back"},
    ),
    "more left to refund than was paid": (
        """
        INSERT INTO ledger.remainders SELECT province, movement_id, person_id, 9000000, 0, 0 FROM ledger.entries
        WHERE request_id = 'UNSEALED'
        """,
        {"what_is_left_is_what_was_not_given_back"},
    ),
    "what is left in another part": (
        "UPDATE ledger.remainders SET prior_years_fen = current_year_fen, current_year_fen = 0",
        {"what_is_left_is_what_was_not_given_back"},
    ),
    "a balance of last year": (
        "UPDATE ledger.accounts SET balances_year = 2025 WHERE person_id = 'MOTHER'",
        {"no_balance_is_of_a_year_gone_by"},
    ),
    "a transfer that goes to somebody else": (
        "UPDATE ledger.transfers SET to_person_id = 'FATHER'",
        {"every_transfer_moved_what_it_says"},
    ),
    "a payer who had less than is said": (
        f"""
        UPDATE ledger.decisions SET record = jsonb_set(
            record::jsonb, ARRAY['considered', {place_of("MOTHER")}, 'account', 'current_year_fen'],
            to_jsonb((record::jsonb #>> ARRAY['considered', {place_of("MOTHER")}, 'account', 'current_year_fen'])::bigint + 1)
        )
        WHERE request_id = 'PAID'
        """,  # noqa: S608 a test's own words
        {"what_was_seen_was_there", "every_seal_covers_what_it_covered"},
    ),
    "a relative who was not there to be asked": (
        """
        UPDATE ledger.decisions SET record = jsonb_set(record::jsonb, '{locked}', '["CHILD"]') WHERE request_id = 'PAID'
        """,
        {"what_was_seen_was_there", "every_seal_covers_what_it_covered"},
    ),
    "a balance that never was in what was declined": (
        """
        UPDATE ledger.decisions SET record = jsonb_set(record::jsonb, '{considered,0,account,current_year_fen}', '1')
        WHERE request_id = 'TOO-MUCH'
        """,
        {"what_was_seen_was_there", "every_seal_covers_what_it_covered"},
    ),
    "a patient whose wallet was empty": (
        """
        UPDATE ledger.decisions SET record = record::jsonb #- '{seen,account}' WHERE request_id = 'UNSEALED'
        """,
        {"what_was_seen_was_there"},
    ),
    "a payment that is said to have come before": (
        """
        UPDATE ledger.seals SET ids = (
            SELECT array_agg(one.id ORDER BY one.id = paid.decision_id DESC, one.place)
            FROM ledger.names AS paid CROSS JOIN LATERAL unnest(seals.ids) WITH ORDINALITY AS one (id, place)
            WHERE paid.request_id = 'PAID'
        )
        WHERE seal_no = 1
        """,
        {"what_was_seen_was_there"},
    ),
    "a closed day taken out": (
        """
        INSERT INTO ledger.clearings SELECT 13, '2026-11-20'::date + n, '2026-11-26' FROM unnest(ARRAY[0, 1, 3]) AS n
        """,
        {"days_are_closed_without_a_gap"},
    ),
    "a closed day with a line too many": (
        """
        INSERT INTO ledger.clearings VALUES (13, '2026-11-20', '2026-11-26');
        INSERT INTO ledger.clearing_lines VALUES (13, '2026-11-20', '130100', 'H1', '130100', 1, 5, 0)
        """,
        {"every_closed_day_is_as_it_was"},
    ),
}


@pytest.mark.parametrize(("statement", "noticed"), CORRUPTIONS.values(), ids=CORRUPTIONS)
async def test_a_corruption_is_found(world: World, statement: str, noticed: set[str]) -> None:
    """By every invariant that it breaks, with the rows."""
    await world.db.execute(statement)

    found = await prove(world.database_url)

    broken = {name for name, rows in found["broken"].items() if rows}
    assert not found["holds"]
    assert noticed <= broken


@pytest.mark.parametrize(
    ("said_fen", "holds"),
    [
        pytest.param(9_000, True, id="as it was when its batch began"),
        pytest.param(7_000, True, id="as it was within its batch, which is the truth"),
        pytest.param(4_000, True, id="as it was when its batch ended"),
        pytest.param(10_000, False, id="as it was before the batch"),
        pytest.param(8_000, False, id="as it never was"),
    ],
)
async def test_what_was_declined_may_have_seen_any_moment_of_its_batch(
    world: World, said_fen: int, holds: bool
) -> None:
    """The chain names it behind whatever moved in its batch, also behind what came after it."""
    assert isinstance(world.clock, Clock)
    pool = await create_pool(world.database_url, role="gongji_settlement", name="tests", size_max=2)
    handler = SettlementHandler(pool, world.clock)
    await world.person("UNCLE")
    await world.person("NEPHEW", insurance="resident")
    await world.bind("UNCLE", "NEPHEW")
    await world.credit("UNCLE", 10_000, **NOW)
    for bills in ({"FIRST": 1_000}, {"SECOND": 2_000, "DECLINED": 7_500, "THIRD": 3_000}):
        world.clock.now += timedelta(minutes=1)
        await handler.handle([a_bill("NEPHEW", fen, request_id=name) for name, fen in bills.items()])
    pool.terminate()
    truth = await prove(world.database_url)

    await world.db.execute(
        "UPDATE ledger.decisions SET record = jsonb_set(record::jsonb, '{considered,0,account,current_year_fen}', $1)"
        " WHERE request_id = 'DECLINED'",
        str(said_fen),
    )
    found = await prove(world.database_url)

    assert truth["holds"], truth["broken"]
    assert found["holds"] is holds
    assert bool(found["broken"]["what_was_seen_was_there"]) is not holds


def a_bill(person_id: str, amount_fen: int, **more: Any) -> Incoming:
    request = parse("settle", "settle.130100", None, orjson.dumps(bill(person_id, amount_fen, **NOW, **more)))
    assert isinstance(request, Request)
    return Incoming(request)


async def test_a_chain_that_was_written_anew_is_found_by_its_old_head(world: World) -> None:
    """The owner of the database changes the past and seals it again without a seam: only who kept the head notices."""
    (head,) = (await prove(world.database_url))["proven_up_to"]
    await world.db.execute(
        "UPDATE ledger.decisions SET record = record::jsonb || '{\"x\": 1}' WHERE request_id = 'TOO-MUCH'"
    )
    previous = None
    for row in await world.db.fetch("SELECT province, seal_no, ids FROM ledger.seals ORDER BY seal_no"):
        previous = await world.db.fetchval(
            "UPDATE ledger.seals SET digest = ledger.digest(province, ids), "
            "hash = ledger.chained($2, ledger.digest(province, ids), seal_no) WHERE seal_no = $1 RETURNING hash",
            row["seal_no"],
            previous,
        )

    unseen = await prove(world.database_url)
    seen = await prove(world.database_url, [Head(13, head["seal_no"], head["hash"])])

    assert unseen["holds"]
    assert seen["broken"]["heads_are_in_the_chain"]
    assert not seen["holds"]


async def test_of_many_broken_rows_some_are_shown(world: World) -> None:
    """However much is broken, what comes out of the database is little."""
    await world.db.execute(
        "INSERT INTO ledger.accounts (province, person_id, current_year_fen, balances_year) "
        "SELECT 13, 'X' || n, 5, 2026 FROM generate_series(1, 3000) AS n"
    )

    found: dict[str, Any] = await prove(world.database_url)

    assert len(found["broken"]["balances_equal_entries"]) == ROWS_SHOWN
