"""Private servers, workers as processes, and the load generator's process. Everything ends with the bench."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from bench import machine
from bench.peers.environment import READY
from bench.processor import BROKER, OWN, POSTGRESQL
from deploy.devstack import launch, ports, processes
from deploy.devstack.failure import StackFailed, last_lines
from deploy.devstack.processes import Command
from deploy.devstack.rabbitmq import EMULATOR_ARGUMENTS
from deploy.devstack.readiness import answers
from deploy.devstack.stack import AMQP, DATABASE, HTTP_PORT, Service, Step, gongji, python
from deploy.devstack.state import StackState
from deploy.devstack.supervisor import command_of
from services.settlement.consumer import BULK_PREFETCH
from services.settlement.settings import Consumes, SettlementSettings

P = ParamSpec("P")
T = TypeVar("T")

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
STOP_SIGNALS = ((signal.SIGTERM, 30.0),)
# One sends the load; a second is started only where the engine is measured in two.
GENERATORS_MAX = 2
# Under which names deploy/devstack runs what is measured beside its clients.
SERVERS = {BROKER: "rabbitmq", POSTGRESQL: "postgres"}
# What a worker's speed depends on.
TOLD = ("consumes", "lanes", "batch_max", "prefetch", "authenticate_senders")


@dataclass(frozen=True, slots=True)
class Running:
    """A worker or a peer, as a process of its own; a worker tells what it counts at `url`."""

    process: Process
    log: Path
    url: str | None = None

    def send(self, number: signal.Signals) -> None:
        """A signal to it and to the processes that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def check(self) -> None:
        """Raises StackFailed where it has ended by itself."""
        if self.process.returncode is not None:
            raise StackFailed(f"{self.log.stem} ended with {self.process.returncode}:\n{last_lines(self.log)}")


@contextmanager
def held_still(*running: Running) -> Iterator[None]:
    """Stops processes where they are and lets them go on: warm, connected, and with nothing begun meanwhile.

    Not for longer than the broker waits for a heartbeat.
    """
    for each in running:
        each.send(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in running:
            each.send(signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers that are ready, and a process to send load from."""

    directory: Path
    state: StackState
    generator: ProcessPoolExecutor

    @property
    def database_url(self) -> str:
        return self.state.urls.database

    @property
    def amqp_url(self) -> str:
        return self.state.urls.amqp

    def at(self, database: str) -> "Stage":
        """The same stage with another database of the same server."""
        url = urlsplit(self.database_url)._replace(path=f"/{database}").geturl()
        urls = self.state.urls.model_copy(update={"database": url})
        return replace(self, state=self.state.model_copy(update={"urls": urls}))

    def broker_settings(self) -> dict[str, str]:
        """What the broker was started with, of that what its speed may depend on; nothing where it is a given one."""
        if SERVERS[BROKER] not in {each.name for each in self.state.processes}:
            return {}
        written = (self.directory / "rabbitmq" / "rabbitmq.conf").read_text(encoding="utf-8")
        emulator, _, _ = EMULATOR_ARGUMENTS.partition(" -kernel")
        return {**machine.settings_of_speed(written), "emulator": emulator}

    async def prepare(self) -> None:
        """Migrates the database and declares the queues, as `gongji up` does."""
        for step in gongji(1).steps:
            await processes.complete(command_of(step, self.state, self.directory))

    @asynccontextmanager
    async def worker(self, name: str, *, of: int = 1) -> AsyncIterator[Running]:
        """A worker as `gongji up` runs it, by its name there, one of so many settlement workers, ready to work. Nobody starts it again."""
        service = _service(name, of)
        with ports.claimed([service.name], {}) as claimed:
            port = claimed[service.name]
            command = command_of(service, self.state, self.directory, {HTTP_PORT: str(port)})
            url = f"http://{ports.LOOPBACK}:{port}"
            async with _running(command, lambda: answers(f"{url}{service.ready_path}"), url) as worker:
                yield worker

    @asynccontextmanager
    async def peer(self, name: str, number: int = 1) -> AsyncIterator[Running]:
        """A peer of bench/peers, ready to work; `number` tells two of a kind apart."""
        program = Step(f"{name}-{number}", python(f"bench.peers.{name}"), (DATABASE, AMQP))
        command = command_of(program, self.state, self.directory)
        # What an earlier one has said is not to be taken for this one's.
        command.log.unlink(missing_ok=True)

        async def is_ready() -> bool:
            return READY in command.log.read_text(encoding="utf-8").splitlines()

        async with _running(command, is_ready) as peer:
            yield peer

    def parties(self, running: Sequence[Running]) -> dict[str, list[int]]:
        """Whose processor time is told apart: these, and the servers where they are the bench's own."""
        own = {OWN: [each.process.pid for each in running]} if running else {}
        pids = {each.name: each.pid for each in self.state.processes}
        return own | {party: [pids[name]] for party, name in SERVERS.items() if name in pids}

    async def load(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Has something done by the load generator."""
        submitted = self.generator.submit(work, *args, **kwargs)
        return await asyncio.wrap_future(submitted)


@asynccontextmanager
async def together(*contexts: AbstractAsyncContextManager[Running]) -> AsyncIterator[list[Running]]:
    """All of them, started together, or none."""
    async with AsyncExitStack() as running:
        async with asyncio.TaskGroup() as starting:
            started = [starting.create_task(running.enter_async_context(context)) for context in contexts]
        yield [each.result() for each in started]


def settings_of(name: str, *, of: int = 1) -> dict[str, Any]:
    """What a worker of this name works by, one of so many settlement workers, of that what its speed depends on."""
    told = _service(name, of).settings
    own: dict[str, Any] = {variable.removeprefix("GONGJI_").lower(): value for variable, value in told.items()}
    settings = SettlementSettings(database_url="postgres://none", amqp_url="amqp://none", **own)
    found = settings.model_dump(mode="json", include=set(TOLD))
    if settings.consumes is Consumes.BULK:
        found["prefetch"] = BULK_PREFETCH
    return {each: found[each] for each in TOLD}


def _service(name: str, of: int) -> Service:
    (service,) = (each for each in gongji(of).services if each.name == name)
    return service


@asynccontextmanager
async def _running(
    command: Command, is_ready: Callable[[], Awaitable[bool]], url: str | None = None
) -> AsyncIterator[Running]:
    """A process that is ready, until the block ends. Raises StackFailed where it ends before."""
    running = Running(await processes.launch(command), command.log, url)
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while not await is_ready():
                running.check()
                await asyncio.sleep(LOOK_EVERY_S)
        yield running
    finally:
        # A process that died says more than the answers that did not come of it.
        try:
            running.check()
        finally:
            await processes.end(running.process, STOP_SIGNALS)


@contextmanager
def stage(directory: Path, postgres: Mapping[str, str], tell: Callable[[str], None]) -> Iterator[Stage]:
    """A PostgreSQL, with these settings in place of its usual ones, and a RabbitMQ of the bench's own, with nothing in them."""
    launch.forget(directory)
    # Spawned, not forked: nothing of the bench's own memory and threads comes along. It ends after the servers: load
    # that is still being sent when the bench is interrupted fails at once.
    with ProcessPoolExecutor(max_workers=GENERATORS_MAX, mp_context=get_context("spawn")) as generator:
        state = launch.up(directory, servers_only=True, postgres=postgres, owner_pid=os.getpid(), progress=tell)
        try:
            yield Stage(directory, state, generator)
        finally:
            launch.down(directory, progress=lambda _: None)
