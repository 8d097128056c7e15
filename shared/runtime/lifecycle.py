"""A service's life: settings, signals, the loop."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import uvloop
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

# Checked at the door, so that a wrong one is named before anything starts. Several brokers are separated by commas.
DatabaseUrl = Annotated[str, Field(pattern=r"^postgres(ql)?://[^\s]+$")]
AmqpUrls = Annotated[str, Field(pattern=r"^amqps?://[^\s,]+(,\s*amqps?://[^\s,]+)*$")]


class ServiceSettings(BaseSettings):
    """What every service is told: GONGJI_… variables, or files of the same names under GONGJI_SECRETS_DIR."""

    model_config = SettingsConfigDict(env_prefix="GONGJI_", extra="ignore", frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=0, ge=0, le=65_535)
    drain_timeout_s: float = Field(default=20.0, ge=0, le=600)


Settings = TypeVar("Settings", bound=BaseSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings from the environment; where one is wrong, says which and ends the process with 2."""
    secrets = os.environ.get("GONGJI_SECRETS_DIR")
    try:
        return kind(_secrets_dir=Path(secrets)) if secrets else kind()
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            # What is wrong between several settings names them itself.
            name = "GONGJI_" + "_".join(map(str, each["loc"])).upper() + ": " if each["loc"] else ""
            problem = each["msg"].removeprefix("Value error, ")
            print(f"{name}{problem}. See docs/operations.md.", file=sys.stderr)  # noqa: T201 no log yet
        sys.exit(2)


def run(service: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs a service until it ends. SIGTERM and SIGINT set the event: finish what is in hand, then return."""

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop.set)
        await service(stop)

    rarely_collect_garbage()
    uvloop.run(supervised())


def rarely_collect_garbage() -> None:
    """Batches make many objects that live for a moment and form no cycles: looking for cycles in them cost a tenth of a worker's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
