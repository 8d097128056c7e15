"""The faults that the nemesis draws from: each is injected into the running stack, and healed again."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg
import psutil

from deploy.devstack import state
from tests.nemesis.town import FAMILIES

CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"


@dataclass(frozen=True, slots=True)
class Target:
    """The stack as an operator with bad luck sees it."""

    directory: Path

    def processes(self, beginning: str) -> list[psutil.Process]:
        current = state.load(self.directory)
        assert current is not None
        named = (each.process() for each in current.processes if each.name.startswith(beginning))
        return [process for process in named if process]

    @property
    def database_url(self) -> str:
        current = state.load(self.directory)
        assert current is not None
        return current.urls.database


Fault = Callable[[Target, random.Random], AbstractAsyncContextManager[None]]
# Of an outsider; None while the server is away, which is a fault of its own.
Session: TypeAlias = "asyncpg.Connection[asyncpg.Record] | None"
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


def killed(beginning: str) -> Fault:
    """One of these processes dies at once; its supervisor starts another."""

    @asynccontextmanager
    async def fault(target: Target, chance: random.Random) -> AsyncIterator[None]:
        found = target.processes(beginning)
        if found:
            _send(chance.choice(found), signal.SIGKILL)
        yield

    return fault


@asynccontextmanager
async def worker_stopped(target: Target, chance: random.Random) -> AsyncIterator[None]:
    """It stands still, holding what it holds, and goes on."""
    found = target.processes("settlement-")
    process = chance.choice(found) if found else None
    if process:
        _send(process, signal.SIGSTOP)
    try:
        yield
    finally:
        if process:
            _send(process, signal.SIGCONT)


@asynccontextmanager
async def postgres_crashes(target: Target, _: random.Random) -> AsyncIterator[None]:
    """As `pg_ctl stop -m immediate`: every session ends in the middle, and the log is read back at the start."""
    for process in target.processes("postgres"):
        _send(process, signal.SIGQUIT)
    yield


@asynccontextmanager
async def sessions_ended(target: Target, _: random.Random) -> AsyncIterator[None]:
    async with _database(target) as session:
        await _say(
            session, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gongji%'"
        )
    yield


@asynccontextmanager
async def rows_held(target: Target, chance: random.Random) -> AsyncIterator[None]:
    """Somebody outside holds some accounts' rows in an open transaction."""
    async with _database(target) as session:
        await _say(session, "BEGIN")
        family = f"F{chance.randrange(FAMILIES)}-%"
        await _say(session, "SELECT FROM ledger.accounts WHERE person_id LIKE $1 FOR UPDATE", family)
        yield


@asynccontextmanager
async def broker_alarm(target: Target, _: random.Random) -> AsyncIterator[None]:
    """The broker has too little memory and blocks who publishes."""
    await _watermark(target, "absolute", "1000")
    try:
        yield
    finally:
        await _watermark(target, "0.6")


FAULTS: dict[str, Fault] = {
    "worker killed": killed("settlement-"),
    "worker stopped": worker_stopped,
    "inquiry worker killed": killed("inquiry"),
    "binding service killed": killed("binding"),
    "bookkeeper killed": killed("bookkeeping"),
    "PostgreSQL crashes": postgres_crashes,
    "PostgreSQL sessions ended": sessions_ended,
    "account rows held": rows_held,
    "broker killed": killed("rabbitmq"),
    "broker alarm": broker_alarm,
}


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


@asynccontextmanager
async def _database(target: Target) -> AsyncIterator[Session]:
    session: Session = None
    with suppress(*AWAY):
        session = await asyncpg.connect(target.database_url, timeout=3)
    try:
        yield session
    finally:
        if session:
            session.terminate()


async def _say(session: Session, statement: str, *values: str) -> None:
    """Whatever the server, which may be going away, makes of it."""
    if session:
        with suppress(*AWAY):
            await session.execute(statement, *values)


async def _watermark(target: Target, *value: str) -> None:
    for process in target.processes("rabbitmq"):
        try:
            environment = process.environ()
        except psutil.NoSuchProcess:
            return
        control = await asyncio.create_subprocess_exec(
            *(CONTROL, "-q", "-n", environment["RABBITMQ_NODENAME"], "set_vm_memory_high_watermark", *value),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        # A broker that is not there has no alarm either, and starts with the usual watermark.
        await control.wait()
