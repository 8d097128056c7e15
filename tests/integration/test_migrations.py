"""Migrations: equal to schema.sql, applied once, refused when tampered with, safe to start together."""

import asyncio
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.devstack.state import StackState
from shared.postgres.migrate import Migration, MigrationRefused, check, migrate, shipped_migrations
from shared.postgres.pool import connect
from tests.conftest import Database
from tests.support.postgres import program, without_noise

# A thousand bills in September that moved something, a thousand in October that did not.
OLD_BOOKS = """
INSERT INTO ledger.decisions (
    province, institution_id, request_id, operation, outcome, reason, movement_id, request, record, answer, decided_at
)
SELECT
    13, 'H1', 'R' || n, 'settle', CASE WHEN n <= 1000 THEN 'settled' ELSE 'declined' END,
    CASE WHEN n > 1000 THEN 'no_binding' END,
    CASE WHEN n <= 1000 THEN (lpad(to_hex(1789000000000 + n), 12, '0') || lpad(n::text, 20, '7'))::uuid END,
    '{"insured_region": "130100", "care_region": "330100"}', '{}', '{}',
    CASE WHEN n <= 1000 THEN to_timestamp(1789000000 + n / 1000.0) ELSE timestamptz '2026-10-15 12:00+08' END
FROM generate_series(1, 2000) AS n;
INSERT INTO ledger.entries (
    province, movement_id, person_id, kind, institution_id, request_id, current_year_fen, prior_years_fen, wallet_fen,
    contra, contra_fen, moved_at
)
SELECT province, movement_id, 'P', 'settlement', institution_id, request_id, -1, 0, 0, 'payable', 1, decided_at
FROM ledger.decisions WHERE movement_id IS NOT NULL;
"""
SCHEMA = Path("shared/postgres/schema.sql")


def test_the_migrations_add_up_to_the_schema(database: Database) -> None:
    """What the migrations make is what schema.sql shows, to the letter."""
    dumped = subprocess.run(
        [
            program("pg_dump"),
            "--schema-only",
            "--no-owner",
            "--schema=registry",
            "--schema=ledger",
            f"--dbname={database.url}",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert without_noise(dumped) == without_noise(SCHEMA.read_text(encoding="utf-8"))


async def test_a_second_run_applies_nothing(database: Database) -> None:
    """The template was migrated; nothing is left to do."""
    connection = await connect(database.url, role=None, name="tests")

    applied = await migrate(connection, shipped_migrations())
    await connection.close()

    assert applied == []


async def test_several_starting_together_apply_each_migration_once(servers: StackState) -> None:
    """One advisory lock; the others wait and find nothing to do."""
    url = servers.urls.database
    connection = await connect(url, role=None, name="tests")
    await connection.execute("CREATE DATABASE migrated_together")
    together = url.rpartition("/")[0] + "/migrated_together"

    async def one() -> int:
        each = await connect(together, role=None, name="tests")
        try:
            return len(await migrate(each, shipped_migrations()))
        finally:
            await each.close()

    counts = await asyncio.gather(*(one() for _ in range(4)))
    await connection.execute("DROP DATABASE migrated_together WITH (FORCE)")
    await connection.close()

    assert sorted(counts) == [0, 0, 0, len(shipped_migrations())]


async def test_old_books_go_into_their_months(servers: StackState) -> None:
    """What an earlier release has decided lies in the partition of its month, on pages of bearable size, and is all there."""
    server = await connect(servers.urls.database, role=None, name="tests")
    await server.execute("CREATE DATABASE of_an_earlier_release")
    old = await connect(servers.urls.database.rpartition("/")[0] + "/of_an_earlier_release", role=None, name="tests")
    shipped = shipped_migrations()
    await migrate(old, [each for each in shipped if each.number <= 10])
    await old.execute(OLD_BOOKS)

    await migrate(old, shipped)
    months = await old.fetch(
        "SELECT tableoid::regclass::text AS book, count(*) FROM ledger.decisions GROUP BY 1 ORDER BY 1"
    )
    kept = await old.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM ledger.names) AS names,
            (SELECT count(*) FROM ledger.entries WHERE insured_region = '130100' AND care_region = '330100') AS entries,
            (SELECT max(cardinality(ids)) FROM ledger.pages) AS largest_page,
            (SELECT sum(cardinality(ids)) FROM ledger.pages) AS on_pages,
            (SELECT max(month) >= date_trunc('month', now() AT TIME ZONE 'Asia/Shanghai') FROM ledger.months) AS up_to_now
        """
    )
    await old.close()
    await server.execute("DROP DATABASE of_an_earlier_release WITH (FORCE)")
    await server.close()

    assert kept is not None
    assert {row["book"]: row["count"] for row in months} == {
        "ledger.decisions_2026_09": 1_000,
        "ledger.decisions_2026_10": 1_000,
    }
    assert tuple(kept) == (2_000, 1_000, 500, 2_000, True)


async def test_a_failing_migration_leaves_no_trace(database: Database) -> None:
    """Each file is one transaction."""
    connection = await connect(database.url, role=None, name="tests")
    broken = Migration(len(shipped_migrations()) + 1, "broken", "CREATE TABLE ledger.half (); SELECT 1/0;")

    with pytest.raises(Exception, match="division by zero"):
        await migrate(connection, [*shipped_migrations(), broken])
    half = await connection.fetchval("SELECT to_regclass('ledger.half')")
    await connection.close()

    assert half is None


async def test_rows_that_a_migration_does_not_allow_are_named(database: Database) -> None:
    """An operator is told which rule they break and where to look, and nothing has changed."""
    connection = await connect(database.url, role=None, name="tests")
    strict = Migration(
        len(shipped_migrations()) + 1,
        "strict",
        "-- One of a kind.\nCREATE UNIQUE INDEX one_of_a_kind ON registry.institutions (kind);",
    )
    await connection.execute(
        """
        INSERT INTO registry.institutions (institution_id, name, kind, region_code, status, registered_at, changed_at)
        SELECT id, id, 'hospital', '130100', 'active', now(), now() FROM unnest(ARRAY['H1', 'H2']) AS id
        """
    )

    with pytest.raises(MigrationRefused, match="does not keep to one_of_a_kind: the first lines of"):
        await migrate(connection, [*shipped_migrations(), strict])
    applied = await connection.fetchval("SELECT max(number) FROM migrations.applied")
    await connection.close()

    assert applied == len(shipped_migrations())


def test_a_changed_migration_is_refused() -> None:
    """History is not rewritten."""
    first, *rest = shipped_migrations()
    applied = {first.number: first.checksum}

    with pytest.raises(MigrationRefused, match="was changed after it was applied"):
        check(applied, [replace(first, sql=first.sql + "-- oh"), *rest])


def test_a_newer_database_is_refused() -> None:
    """An old release does not touch what a newer one has made."""
    with pytest.raises(MigrationRefused, match="does not know"):
        check({999: "x"}, shipped_migrations())
