"""`python -m shared.rabbit declare`: makes the exchanges and queues that are missing."""

import asyncio
import os
import sys

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.rabbit.connection import close, connect, hosts, open_channel
from shared.rabbit.topology import Differs, declare


class DeclareSettings(BaseSettings):
    """The environment, or files of the same names under GONGJI_SECRETS_DIR."""

    model_config = SettingsConfigDict(
        env_prefix="GONGJI_", extra="ignore", secrets_dir=os.environ.get("GONGJI_SECRETS_DIR")
    )

    amqp_url: str = Field(min_length=1)


async def main(settings: DeclareSettings) -> list[str]:
    connection = await connect(hosts(settings.amqp_url), name="gongji-declare")
    try:
        return await declare(await open_channel(connection, confirms=False))
    finally:
        await close(connection)


if __name__ == "__main__":
    usage = "usage: GONGJI_AMQP_URL=amqp://... python -m shared.rabbit declare"
    if sys.argv[1:] != ["declare"]:
        sys.exit(usage)
    try:
        unlimited = asyncio.run(main(DeclareSettings()))
    except ValidationError:
        sys.exit(usage)
    except Differs as differs:
        sys.exit(str(differs))
    if unlimited:
        made = ", ".join(unlimited)
        print(f"made by an earlier release, without a limit of its own: {made}. Set a policy: docs/deploy.md, Upgrade")  # noqa: T201 a command speaks on stdout
