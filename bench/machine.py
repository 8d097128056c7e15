"""The facts without which a figure says nothing: the machine, the servers as they tell of themselves, the code."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from shared.postgres.pool import connect as connect_database
from shared.postgres.queries import load_queries
from shared.rabbit.connection import close, hosts
from shared.rabbit.connection import connect as connect_broker

SQL = load_queries("bench", "machine.sql")
PROJECT = Path(__file__).resolve().parent.parent
# As a worker connects: its session's settings count, not those of the file.
WORKER_ROLE = "gongji_settlement"
MEASURED = ("*.py", "*.sql", "*.yaml", "uv.lock")
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class NotDurable(Exception):
    """The servers would lose what they have confirmed: their speed is not what is asked for."""


async def facts(database_url: str, amqp_url: str) -> dict[str, Any]:
    """Everything that is recorded with a result. Raises NotDurable."""
    return {
        "cores": psutil.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": await _postgresql(database_url),
        "rabbitmq": await _rabbitmq(amqp_url),
        "commit": _commit(),
    }


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Of what is installed of these."""
    return {name: version(name) for name in libraries}


async def _postgresql(url: str) -> dict[str, str]:
    connection = await connect_database(url, role=WORKER_ROLE, name="bench")
    try:
        told = {row["name"]: row["setting"] for row in await connection.fetch(SQL["settings"])}
    finally:
        await connection.close()
    if lax := sorted(name for name, setting in DURABLE.items() if told[name] != setting):
        raise NotDurable(f"PostgreSQL runs with {', '.join(lax)} off")
    return told


async def _rabbitmq(url: str) -> dict[str, str]:
    """Its version; that queues are quorum queues is declared by the worker, which would not start on others."""
    connection = await connect_broker(hosts(url), name="bench")
    try:
        told = connection.server_properties
        version_, platform_ = told["version"], told["platform"]
    finally:
        await close(connection)
    return {
        "version": _text(version_),
        "platform": _text(platform_),
        "queues": "quorum",
        "messages": "persistent",
        "confirms": "all",
    }


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _commit() -> str:
    """The commit that is measured; marked where the code differs from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", *MEASURED)
    return f"{commit} with changes" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - git itself, on this checkout
        ("/usr/bin/env", "git", *arguments), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or ("" if done.returncode == 0 else "unknown")
