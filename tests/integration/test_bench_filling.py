"""The bench's people in a real database: those that Python tells of, in books that hold, under the schema as it was."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bench import filling
from bench.population import Population
from cli.audit import prove
from shared.domain.times import shanghai_date
from shared.postgres.pool import connect
from tests.conftest import Database
from tests.support.people import families_of

COUPLES = Population(families=12, seed=1, relatives=(0, 1, 1, 2), years_before=2)
LARGE = Population(families=3, seed=1, payers=1, relatives=(8,), credit_min_fen=7, credit_max_fen=7, name="large")


@pytest.fixture
async def filled(database: Database) -> str:
    await filling.fill(database.url, COUPLES, lambda _: None)
    await filling.add(database.url, LARGE)
    return database.url


async def test_there_are_as_many_of_everything_as_was_said(filled: str) -> None:
    found = await prove(filled)

    said = [(each.accounts, each.entries, each.decisions) for each in (COUPLES, LARGE)]
    totals = found["totals"]
    assert [totals[name] for name in ("accounts", "entries", "decisions")] == [
        sum(each) for each in zip(*said, strict=True)
    ]
    assert COUPLES.entries == 5 * COUPLES.accounts


async def test_the_ledger_holds(filled: str) -> None:
    found = await prove(filled)

    assert found["holds"], found["broken"]


async def test_the_bindings_are_those_of_the_families(filled: str) -> None:
    connection = await connect(filled, role=None, name="tests")
    rows = await connection.fetch("SELECT payer_id, beneficiary_id FROM registry.bindings")
    told = await connection.fetchval("SELECT count(*) FROM registry.notices")
    await connection.close()

    expected = [*pairs(COUPLES), *pairs(LARGE)]
    assert sorted(tuple(row) for row in rows) == sorted(expected)
    assert len(expected) == COUPLES.bindings + LARGE.bindings
    assert told == 0


async def test_no_index_is_missing_afterwards(database: Database) -> None:
    """What fill takes away it makes again, in every partition: the parents are as they were, and a month has its own."""
    connection = await connect(database.url, role=None, name="tests")
    before = await connection.fetch(INDEXES)

    await filling.fill(database.url, COUPLES, lambda _: None)

    after = await connection.fetch(INDEXES)
    month, *_ = filling.months(COUPLES, shanghai_date(datetime.now(UTC)))
    of_a_month = await connection.fetchval(
        "SELECT array_agg(indexdef) FROM pg_indexes WHERE schemaname = 'ledger' AND tablename = $1",
        f"entries_{month:%Y_%m}",
    )
    await connection.close()
    assert after == before
    assert len(of_a_month) == 2


async def test_a_database_that_is_in_use_is_left_alone(filled: str) -> None:
    with pytest.raises(filling.NotEmpty):
        await filling.fill(filled, COUPLES, lambda _: None)


async def test_segments_of_the_log_are_made_though_nothing_is_written(database: Database) -> None:
    connection = await connect(database.url, role=None, name="tests")
    segment = await connection.fetchval("SELECT pg_size_bytes(current_setting('wal_segment_size'))")
    before = await connection.fetchval("SELECT pg_current_wal_lsn()")

    await filling.make_log_segments(database.url, 3)

    further = await connection.fetchval("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1)", before)
    await connection.close()
    assert further > 2 * segment


def pairs(people: Population) -> Iterator[tuple[str, str]]:
    for payers, relatives in families_of(people):
        for payer in payers:
            yield from ((payer, other) for other in payers if other != payer)
            yield from ((payer, relative) for relative in relatives)


INDEXES = """
SELECT indexdef FROM pg_indexes
WHERE schemaname IN ('ledger', 'registry') AND tablename !~ '_(before|[0-9]{4}_[0-9]{2})$'
ORDER BY indexdef
"""
