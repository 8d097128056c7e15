"""Private servers, workers as processes, and the load generator's process. Everything ends with the bench."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from deploy.devstack import launch, ports, processes
from deploy.devstack.failure import StackFailed, last_lines
from deploy.devstack.readiness import answers
from deploy.devstack.stack import HTTP_PORT, gongji
from deploy.devstack.state import StackState
from deploy.devstack.supervisor import command_of

P = ParamSpec("P")
T = TypeVar("T")

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
WORKERS_MAX = 8
STOP_SIGNALS = ((signal.SIGTERM, 30.0),)


@dataclass(frozen=True, slots=True)
class Worker:
    """A settlement worker that can be made to hold still."""

    process: Process
    log: Path

    @contextmanager
    def held_still(self) -> Iterator[None]:
        """Stops the process where it is and lets it go on: warm, connected, and with nothing begun meanwhile.

        Not for longer than the broker waits for a heartbeat.
        """
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def check(self) -> None:
        """Raises StackFailed where it has ended by itself."""
        if self.process.returncode is not None:
            raise StackFailed(f"the worker ended with {self.process.returncode}:\n{last_lines(self.log)}")


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

    async def prepare(self) -> None:
        """Migrates the database and declares the queues, as `gongji up` does."""
        for step in gongji(workers=1).steps:
            await processes.complete(command_of(step, self.state, self.directory))

    @asynccontextmanager
    async def worker(self, name: str) -> AsyncIterator[Worker]:
        """A worker as `gongji up` runs it, by its name there, ready to work. Nobody starts it again."""
        (service,) = (each for each in gongji(workers=WORKERS_MAX).services if each.name == name)
        port = ports.assign([service.name], {})[service.name]
        command = command_of(service, self.state, self.directory, {HTTP_PORT: str(port)})
        worker = Worker(await processes.launch(command), command.log)
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not await answers(f"http://{ports.LOOPBACK}:{port}{service.ready_path}"):
                    worker.check()
                    await asyncio.sleep(LOOK_EVERY_S)
            yield worker
        finally:
            # A worker that died says more than the answers that did not come of it.
            try:
                worker.check()
            finally:
                await processes.end(worker.process, STOP_SIGNALS)

    async def load(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Has something done by the load generator."""
        submitted = self.generator.submit(work, *args, **kwargs)
        return await asyncio.wrap_future(submitted)


@contextmanager
def stage(directory: Path, tell: Callable[[str], None]) -> Iterator[Stage]:
    """A PostgreSQL and a RabbitMQ of the bench's own, with nothing in them."""
    launch.forget(directory)
    # Spawned, not forked: nothing of the bench's own memory and threads comes along. It ends after the servers: load
    # that is still being sent when the bench is interrupted fails at once.
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as generator:
        state = launch.up(directory, servers_only=True, owner_pid=os.getpid(), progress=tell)
        try:
            yield Stage(directory, state, generator)
        finally:
            launch.down(directory, progress=lambda _: None)
