"""`python -m shared.postgres migrate`: brings the database of GONGJI_DATABASE_URL up to date."""

import asyncio
import os
import sys

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.postgres.migrate import MigrationRefused, migrate, shipped_migrations
from shared.postgres.pool import connect


class MigrateSettings(BaseSettings):
    """The environment, or files of the same names under GONGJI_SECRETS_DIR."""

    model_config = SettingsConfigDict(
        env_prefix="GONGJI_", extra="ignore", secrets_dir=os.environ.get("GONGJI_SECRETS_DIR")
    )

    database_url: str = Field(min_length=1)


async def main(settings: MigrateSettings) -> None:
    connection = await connect(settings.database_url, role=None, name="gongji-migrate")
    try:
        applied = await migrate(connection, shipped_migrations())
    finally:
        await connection.close()
    for migration in applied:
        print(f"applied {migration.number:04d} {migration.name}")  # noqa: T201 a command speaks on stdout
    print("the database is up to date")  # noqa: T201


if __name__ == "__main__":
    usage = "usage: GONGJI_DATABASE_URL=postgresql://... python -m shared.postgres migrate"
    if sys.argv[1:] != ["migrate"]:
        sys.exit(usage)
    try:
        asyncio.run(main(MigrateSettings()))
    except ValidationError:
        sys.exit(usage)
    except (MigrationRefused, OSError) as error:
        sys.exit(f"migration refused: {error}")
