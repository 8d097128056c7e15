"""The facts without which a figure says nothing: the machine, the servers as they tell of themselves, the code."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from bench.report import Measures
from shared.postgres.pool import connect as connect_database
from shared.postgres.queries import load_queries
from shared.rabbit.connection import close, hosts
from shared.rabbit.connection import connect as connect_broker

SQL = load_queries("bench", "machine.sql")
PROJECT = Path(__file__).resolve().parent.parent
# An interpreter counts for as much as the machine: with the compiler told by profiles Python takes three fifths of the time.
INTERPRETER = str(Path(sys.executable).resolve())
# As a worker connects: its session's settings count, not those of the file.
WORKER_ROLE = "gongji_settlement"
MEASURED = ("*.py", "*.sql", "*.yaml", "uv.lock")
# Where a broker listens and whom it lets in.
NOT_OF_SPEED = ("listeners.", "management.", "default_", "ssl_", "auth_mechanisms.", "log.")
IN_MEMORY = ("tmpfs", "ramfs")
CHANGED = " with changes"
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class NotDurable(Exception):
    """The servers would lose what they have confirmed: their speed is not what is asked for."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is told of a round besides what it measures, as it stands now."""

    checkpoints: int
    log_segments: int
    load_average_1min: float


async def moment(database_url: str) -> Moment:
    """How many checkpoints there have been, how many segments the log has, and how busy the machine is."""
    connection = await connect_database(database_url, role=None, name="bench")
    try:
        counted = "checkpoints" if connection.get_server_version().major >= 17 else "checkpoints_before_17"
        checkpoints: int = await connection.fetchval(SQL[counted])
        log_segments: int = await connection.fetchval(SQL["log_segments"])
    finally:
        await connection.close()
    return Moment(checkpoints, log_segments, round(os.getloadavg()[0], 2))


def between(before: Moment, after: Moment) -> Measures:
    """What went on from one moment to the other."""
    return {
        "checkpoints": after.checkpoints - before.checkpoints,
        "log_segments_made": max(0, after.log_segments - before.log_segments),
        "load_average_1min_before": before.load_average_1min,
        "load_average_1min_after": after.load_average_1min,
    }


async def facts(database_url: str, amqp_url: str, broker_settings: dict[str, str], data: Path) -> dict[str, Any]:
    """Everything that is recorded with a result, with what the broker was started with and where the bench's own servers keep their data.

    Raises NotDurable.
    """
    return {
        "cores": psutil.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "file_system": durable_file_system(data),
        "python": platform.python_version(),
        "interpreter": INTERPRETER,
        "postgresql": await _postgresql(database_url),
        "rabbitmq": {**await _rabbitmq(amqp_url), "settings": broker_settings},
        "commit": commit(),
    }


def durable_file_system(data: Path, mounted: Mapping[str, str] | None = None) -> str:
    """The file system in which a path lies, of what is mounted where. Raises NotDurable where it is kept in memory."""
    kinds = mounted or {each.mountpoint: each.fstype for each in psutil.disk_partitions(all=True)}
    kind = next((kinds[str(place)] for place in (data, *data.parents) if str(place) in kinds), "unknown")
    if kind in IN_MEMORY:
        raise NotDurable(f"{data} lies in memory ({kind})")
    return kind


def settings_of_speed(configuration: str) -> dict[str, str]:
    """Of a broker's configuration what its speed may depend on."""
    pairs = (line.partition(" = ") for line in configuration.splitlines())
    return {name: value for name, equals, value in pairs if equals and not name.startswith(NOT_OF_SPEED)}


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
    """Its version and what it runs on."""
    connection = await connect_broker(hosts(url), name="bench")
    try:
        told = connection.server_properties
        version_, platform_ = told["version"], told["platform"]
    finally:
        await close(connection)
    return {"version": _text(version_), "platform": _text(platform_)}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def commit() -> str:
    """The commit that is measured; marked where the code differs from it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", *MEASURED)
    return f"{head}{CHANGED}" if changed else head


def still(at_first: dict[str, Any]) -> dict[str, Any]:
    """The same facts after something was measured: every process was started from the code as it then was."""
    unchanged = at_first["commit"] == commit()
    return at_first if unchanged else {**at_first, "commit": f"{at_first['commit'].removesuffix(CHANGED)}{CHANGED}"}


def _git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - git itself, on this checkout
        ("/usr/bin/env", "git", *arguments), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or ("" if done.returncode == 0 else "unknown")
