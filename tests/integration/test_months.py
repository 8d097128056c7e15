"""The books by month: where rows lie, what stays unique, and how little of two years a query touches."""

from datetime import date

import asyncpg
import pytest

from shared.postgres.pool import connect
from shared.postgres.queries import load_queries
from tests.conftest import Database
from tests.support.months import prepare_two_years, timed_id
from tests.support.plans import plan_of, relations_read

LEDGER = load_queries("services.settlement", "ledger.sql")
DECISIONS = load_queries("services.settlement", "decisions.sql")
ROWS = 120_000
BOOKS = f"""
INSERT INTO ledger.decisions (
    province, decision_id, institution_id, request_id, operation, outcome, moved, request, record, answer, decided_at
)
SELECT 13, {timed_id("n", ROWS)}, 'H' || n % 50, 'R' || n, 'settle', 'settled', true, '{{}}', '{{}}', '{{}}', now()
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO ledger.names SELECT province, institution_id, request_id, decision_id FROM ledger.decisions;
INSERT INTO ledger.entries (
    province, movement_id, person_id, kind, institution_id, request_id, binding_id, current_year_fen, prior_years_fen,
    wallet_fen, contra, contra_fen, insured_region, care_region, moved_at
)
SELECT
    province, decision_id, 'P' || substr(request_id, 2)::integer % 3000, 'settlement', institution_id, request_id,
    lpad(substr(request_id, 2)::integer % 3000 || '', 32, '0')::uuid, -1, 0, 0, 'payable', 1, '130100', '130100', now()
FROM ledger.decisions;
ANALYZE;
"""  # noqa: S608 a test's own words
# Each with the months that it may look into.
HOT = {
    "a replay": (
        DECISIONS["decided"],
        "ARRAY[13]::smallint[], ARRAY['{moved}'::uuid]",
        {"decisions_2025_12"},
    ),
    "what an original moved": (
        LEDGER["movements"],
        "ARRAY[13]::smallint[], ARRAY['{moved}'::uuid]",
        {"entries_2025_12"},
    ),
    "a day's totals": (
        LEDGER["day_totals"],
        "13::smallint, 'H1', ledger.earliest_id('2026-03-05 00:00+08'), ledger.earliest_id('2026-03-06 00:00+08')",
        {"entries_2026_03"},
    ),
    "a day's lines": (
        LEDGER["compare_day"],
        "13::smallint, 'H1', ledger.earliest_id('2026-03-05 00:00+08'), ledger.earliest_id('2026-03-06 00:00+08'), ARRAY['R1'], ARRAY[1], ARRAY[0], 5000",
        {"entries_2026_03"},
    ),
    "what a binding has used this year": (
        LEDGER["used_this_year"],
        "ARRAY[13]::smallint[], ARRAY['P7'], ARRAY[lpad('7', 32, '0')::uuid], ledger.earliest_id('2026-01-01 00:00+08')",
        {f"entries_2026_{month:02d}" for month in range(1, 13)} | {"entries_to_come"},
    ),
}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_hot_query_looks_only_into_the_months_that_it_is_about(database: Database, mode: str) -> None:
    """With two years of books, by an index; whether PostgreSQL plans for these very values or for any."""
    connection = await connect(database.url, role=None, name="tests")
    await prepare_two_years(connection)
    await connection.execute(BOOKS)
    await connection.execute(f"SET plan_cache_mode = {mode}")

    moved = await connection.fetchval("SELECT decision_id FROM ledger.names WHERE request_id = 'R60000'")

    read = {}
    for number, (name, (query, values, _)) in enumerate(HOT.items()):
        await connection.execute(f"PREPARE hot_{number} AS {query}")
        read[name] = await plan_of(connection, f"EXECUTE hot_{number} ({values.format(moved=moved)})")
    await connection.close()

    for name, (_, _, months) in HOT.items():
        books = {each for each in relations_read(read[name]) if each.startswith(("entries_", "decisions_"))}
        assert books, name
        assert books <= months, name
        scanned = {node["Relation Name"] for node in read[name] if node["Node Type"] == "Seq Scan"}
        assert not {each for each in scanned if each.startswith(("entries_2", "decisions_2"))}, name


async def test_what_has_come_already_moves_into_its_month(database: Database) -> None:
    """The first month takes with it what it finds, and everything before it has a place too."""
    connection = await connect(database.url, role=None, name="tests")
    await connection.execute(BOOKS)
    before = await connection.fetchval("SELECT count(*) FROM ledger.entries_to_come")

    made = [await connection.fetchval("SELECT ledger.prepare_month($1)", date(2026, 3, 17)) for _ in range(2)]
    counted = await connection.fetch(
        "SELECT tableoid::regclass::text AS book, count(*) FROM ledger.entries GROUP BY 1 ORDER BY 1"
    )
    await connection.close()

    books = {row["book"].removeprefix("ledger."): row["count"] for row in counted}
    assert made == [date(2026, 3, 1), date(2026, 4, 1)]
    assert set(books) == {"entries_before", "entries_2026_03", "entries_2026_04", "entries_to_come"}
    assert sum(books.values()) == before == ROWS
    assert books["entries_2026_03"] > 4_900


async def test_a_key_is_unique_over_all_months(database: Database) -> None:
    """The same name is never decided twice, whatever the month; nor is an id used twice."""
    connection = await connect(database.url, role=None, name="tests")
    await prepare_two_years(connection)
    await connection.execute(BOOKS)

    for again in (
        f"INSERT INTO ledger.names VALUES (13, 'H1', 'R1', {timed_id('119999', ROWS)})",  # noqa: S608 a test's own words
        "INSERT INTO ledger.entries SELECT * FROM ledger.entries WHERE request_id = 'R1'",
        "INSERT INTO ledger.decisions SELECT * FROM ledger.decisions WHERE request_id = 'R1'",
    ):
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(again)

    await connection.close()
