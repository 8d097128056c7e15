"""The faults that the nemesis draws from: each is injected into the running stack, and healed again.

Between the services and their servers stand proxies; those outside, and whoever injects a fault, go to the servers themselves.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import asyncpg
import psutil

from deploy.devstack import state
from shared.rabbit import wire
from tests.nemesis.town import FAMILIES
from tests.support.proxy import Link, Proxy, Towards, everything, losing

CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
END_OF_SERVICES = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gongji%'"
# More than the stack's PostgreSQL has.
SESSIONS_MAX = 250
SLOW_S_MAX = 0.3
# The first keepalive after 10 s, three more 5 s apart. A proxy answers them itself.
KEPT_ALIVE_S = 25.0


@dataclass(frozen=True, slots=True)
class Target:
    """The stack as an operator with bad luck sees it: its servers, its services, and the way from these to those."""

    servers: Path
    services: Path
    database: Proxy
    broker: Proxy

    def processes(self, beginning: str) -> list[psutil.Process]:
        found = []
        for directory in (self.servers, self.services):
            current = state.load(directory)
            assert current is not None
            found += [each.process() for each in current.processes if each.name.startswith(beginning)]
        return [process for process in found if process]

    @property
    def database_url(self) -> str:
        return str(self.database.target)


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
        await _say(session, END_OF_SERVICES)
    yield


@asynccontextmanager
async def connections_exhausted(target: Target, _: random.Random) -> AsyncIterator[None]:
    """Somebody outside has every session that PostgreSQL gives away."""
    async with AsyncExitStack() as held:
        for _n in range(SESSIONS_MAX):
            session = await held.enter_async_context(_database(target))
            if session is None:
                break
            # What a service had is taken too, before it can come back for it.
            await _say(session, END_OF_SERVICES)
        yield


@asynccontextmanager
async def rows_held(target: Target, chance: random.Random) -> AsyncIterator[None]:
    """Somebody outside holds some accounts' rows in an open transaction."""
    async with _database(target) as session:
        await _say(session, "SET idle_in_transaction_session_timeout = 0")
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


# ---- on the way between a service and a server ----

# Whose way it is: of a target, its proxy.
Way = Callable[[Target], Proxy]


def silent(way: Way) -> Fault:
    """Nothing is closed and nothing passes; what was open stays so for good, as after a router has forgotten it."""

    @asynccontextmanager
    async def fault(target: Target, _: random.Random) -> AsyncIterator[None]:
        way(target).fall_silent()
        for link in way(target).links:
            soon_noticed(link)
        try:
            yield
        finally:
            way(target).speak()

    return fault


def soon_noticed(link: Link) -> None:
    """Nobody keeps the link alive, so the server gives it up; the service hears nothing of that."""
    asyncio.get_running_loop().call_later(KEPT_ALIVE_S, link.server.transport.abort)


def one_link_silent(way: Way) -> Fault:
    """One connection is half open, for good; the others know nothing of it."""

    @asynccontextmanager
    async def fault(target: Target, chance: random.Random) -> AsyncIterator[None]:
        if links := list(way(target).links):
            link = chance.choice(links)
            link.silent = True
            soon_noticed(link)
        yield

    return fault


def cut(way: Way) -> Fault:
    """Everything that is open ends at once; what is new passes."""

    @asynccontextmanager
    async def fault(target: Target, _: random.Random) -> AsyncIterator[None]:
        way(target).cut()
        yield

    return fault


def away(way: Way) -> Fault:
    """Nobody is let in."""

    @asynccontextmanager
    async def fault(target: Target, _: random.Random) -> AsyncIterator[None]:
        way(target).go_away()
        try:
            yield
        finally:
            way(target).come_back()

    return fault


def slow(way: Way) -> Fault:
    """Whatever passes takes a while."""

    @asynccontextmanager
    async def fault(target: Target, _: random.Random) -> AsyncIterator[None]:
        way(target).delay_s_max = SLOW_S_MAX
        try:
            yield
        finally:
            way(target).delay_s_max = 0.0

    return fault


@asynccontextmanager
async def confirms_lost(target: Target, chance: random.Random) -> AsyncIterator[None]:
    """The broker confirms what is published, some times or always, and nobody hears of it."""
    times = chance.choice((1, 3, 1_000_000))
    target.broker.passage = losing(wire.BASIC_ACK, Towards.CLIENT, times)
    try:
        yield
    finally:
        target.broker.passage = everything
        # Half a frame may have been held back.
        target.broker.cut()


def to_database(target: Target) -> Proxy:
    return target.database


def to_broker(target: Target) -> Proxy:
    return target.broker


FAULTS: dict[str, Fault] = {
    "worker killed": killed("settlement-"),
    "worker stopped": worker_stopped,
    "bulk worker killed": killed("bulk"),
    "inquiry worker killed": killed("inquiry"),
    "binding service killed": killed("binding"),
    "bookkeeper killed": killed("bookkeeping"),
    "PostgreSQL crashes": postgres_crashes,
    "PostgreSQL sessions ended": sessions_ended,
    "account rows held": rows_held,
    "broker killed": killed("rabbitmq"),
    "broker alarm": broker_alarm,
    "PostgreSQL without sessions": connections_exhausted,
    "PostgreSQL silent": silent(to_database),
    "a link to PostgreSQL silent": one_link_silent(to_database),
    "links to PostgreSQL cut": cut(to_database),
    "PostgreSQL away": away(to_database),
    "PostgreSQL slow": slow(to_database),
    "broker silent": silent(to_broker),
    "a link to the broker silent": one_link_silent(to_broker),
    "links to the broker cut": cut(to_broker),
    "broker away": away(to_broker),
    "broker slow": slow(to_broker),
    "confirms lost": confirms_lost,
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
