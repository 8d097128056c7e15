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


async def test_a_failing_migration_leaves_no_trace(database: Database) -> None:
    """Each file is one transaction."""
    connection = await connect(database.url, role=None, name="tests")
    broken = Migration(len(shipped_migrations()) + 1, "broken", "CREATE TABLE ledger.half (); SELECT 1/0;")

    with pytest.raises(Exception, match="division by zero"):
        await migrate(connection, [*shipped_migrations(), broken])
    half = await connection.fetchval("SELECT to_regclass('ledger.half')")
    await connection.close()

    assert half is None


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
