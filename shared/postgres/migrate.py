"""Migrations: numbered SQL files, forward only, each applied once and never changed afterwards.

One advisory lock lets several start at once; each file runs in its own transaction with a lock and a statement
time-out, so that a migration gives up rather than hold up settlements.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Any

import asyncpg

MIGRATE_ROLE = "gongji_migrate"
MIGRATION_LOCK = 0x676F6E67  # "gong"
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")

HISTORY = """
CREATE SCHEMA IF NOT EXISTS migrations;
CREATE TABLE IF NOT EXISTS migrations.applied (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""


class MigrationRefused(Exception):
    """The database and these files do not belong together; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return sha256(self.sql.encode()).hexdigest()


def shipped_migrations() -> list[Migration]:
    """The files of `migrations/`, in order. Raises MigrationRefused on a gap or a bad name."""
    found = []
    for file in resources.files("shared.postgres").joinpath("migrations").iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = FILE_NAME.match(file.name)
        if match is None:
            raise MigrationRefused(f"{file.name} is not named NNNN_what_it_does.sql")
        found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationRefused(f"migrations must count 1, 2, 3, ...; found {numbers}")
    return found


async def migrate(connection: Any, migrations: Sequence[Migration]) -> list[Migration]:
    """Brings the database up to date; returns what was applied now.

    The connection's user must be able to create roles, or the roles must be there (roles.sql) and it a member.
    Raises MigrationRefused.
    """
    await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
    try:
        await _prepare(connection)
        applied = {
            row["number"]: row["checksum"]
            for row in await connection.fetch("SELECT number, checksum FROM migrations.applied")
        }
        check(applied, migrations)
        pending = [migration for migration in migrations if migration.number not in applied]
        for migration in pending:
            await _apply(connection, migration)
        return pending
    finally:
        await connection.execute("RESET ROLE")
        await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)


def check(applied: dict[int, str], migrations: Sequence[Migration]) -> None:
    """Refuses a database that another history has made. `applied`: checksum by number."""
    known = {migration.number: migration for migration in migrations}
    for number, checksum in sorted(applied.items()):
        if number not in known:
            raise MigrationRefused(
                f"the database has migration {number}, which this release does not know: deploy a newer release"
            )
        if known[number].checksum != checksum:
            raise MigrationRefused(
                f"migration {number} ({known[number].name}) was changed after it was applied: restore the file, and put "
                "the change into a new migration"
            )


async def _prepare(connection: Any) -> None:
    try:
        await connection.execute(resources.files("shared.postgres").joinpath("roles.sql").read_text(encoding="utf-8"))
        database = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"GRANT CREATE ON DATABASE {database} TO {MIGRATE_ROLE}")
        await connection.execute(f"SET ROLE {MIGRATE_ROLE}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationRefused(
            f"{error}. The user of GONGJI_DATABASE_URL may neither create the roles nor act as {MIGRATE_ROLE}: let an "
            "administrator run shared/postgres/roles.sql and GRANT CREATE ON DATABASE to it"
        ) from error
    await connection.execute(HISTORY)


async def _apply(connection: Any, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        try:
            await connection.execute(migration.sql)
        except asyncpg.UniqueViolationError as error:
            raise MigrationRefused(
                f"what is stored does not keep to {error.constraint_name}: the first lines of migration {migration.number} "
                f"({migration.name}) say how to find it; nothing was changed"
            ) from error
        await connection.execute(
            "INSERT INTO migrations.applied (number, name, checksum) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.checksum,
        )
