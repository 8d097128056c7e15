"""`python -m shared.postgres migrate`: brings the database of GONGJI_DATABASE_URL up to date."""

import asyncio
import os
import sys

from shared.postgres.migrate import MigrationRefused, migrate, shipped_migrations
from shared.postgres.pool import connect


async def main() -> None:
    connection = await connect(os.environ["GONGJI_DATABASE_URL"], role=None, name="gongji-migrate")
    try:
        applied = await migrate(connection, shipped_migrations())
    finally:
        await connection.close()
    for migration in applied:
        print(f"applied {migration.number:04d} {migration.name}")  # noqa: T201 a command speaks on stdout
    print("the database is up to date")  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1:] != ["migrate"] or "GONGJI_DATABASE_URL" not in os.environ:
        sys.exit("usage: GONGJI_DATABASE_URL=postgresql://... python -m shared.postgres migrate")
    try:
        asyncio.run(main())
    except (MigrationRefused, OSError) as error:
        sys.exit(f"migration refused: {error}")
