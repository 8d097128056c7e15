"""The process that starts the stack, keeps it running, and stops it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.devstack import plan, state
from deploy.devstack.failure import StackFailed
from deploy.devstack.identity import (
    ProcessRecord,
    adopt_orphans,
    descendants_of,
    end_adopted,
    end_all,
    ended_children,
    reap,
)
from deploy.devstack.installation import rabbitmq_server
from deploy.devstack.keys import KeyFiles
from deploy.devstack.lock import held
from deploy.devstack.postgres import Postgres, binaries
from deploy.devstack.processes import DESCENDANTS_PATIENCE_S, Command, ProcessSpec, SupervisedProcess, complete
from deploy.devstack.rabbitmq import Rabbit
from deploy.devstack.readiness import answers
from deploy.devstack.stack import AMQP, DATABASE, HTTP_PORT, Service, Stack, Step
from deploy.devstack.state import Phase, StackState, log_file

PROJECT = Path(__file__).resolve().parents[2]
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
OWNER_POLL_S = 0.5
ORPHAN_PATIENCE_S = 10.0
BURY_EVERY_S = 5.0


@dataclass(frozen=True)
class Options:
    """`pg` is a Debian major version, None the installed package; `postgres` are settings of that server's own.

    With `owner_pid` the stack lives no longer than that process. With `tls` its servers speak nothing else.
    """

    directory: Path
    pg: str | None = None
    owner_pid: int | None = None
    tls: bool = False
    postgres: Mapping[str, str] = field(default_factory=dict)
    started_with: tuple[str, ...] = ()


def supervise(options: Options, stack: Stack) -> int:
    """Run the stack until it is told to stop; returns the exit code of the process."""
    directory = options.directory.resolve()
    adopt_orphans()
    try:
        with held(directory / "supervisor.lock"):
            previous = state.load(directory)
            if previous is not None:
                end_orphans(previous)
            with plan.claimed_ports(stack, previous) as ports:
                initial = plan.first_state(
                    directory, stack, previous, ports, started_with=options.started_with, tls=options.tls
                )
                asyncio.run(Supervisor(directory, options, stack, initial).run())
    except StackFailed as failure:
        print(failure, file=sys.stderr, flush=True)
        return 1
    return 0


def end_orphans(previous: StackState) -> None:
    """End what an earlier supervisor started and, killed itself, could not stop."""
    for record in reversed(previous.processes):
        process = record.process()
        if process is not None:
            family = [process, *descendants_of(process.pid)]
            process.terminate()
            end_all(family, ORPHAN_PATIENCE_S)


class Supervisor:
    def __init__(self, directory: Path, options: Options, stack: Stack, initial: StackState) -> None:
        self._directory = directory
        self._options = options
        self._stack = stack
        self._state = initial
        self._running: list[SupervisedProcess] = []
        self._stop = asyncio.Event()
        self._certificates = plan.certificates_of(directory) if options.tls else None

    async def run(self) -> None:
        """Start everything, wait for the signal to stop, stop everything."""
        self._record()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        owner = asyncio.create_task(self._watch_owner())
        burying = asyncio.create_task(bury())
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        except StackFailed as failure:
            self._record(failure=str(failure))
            raise
        finally:
            owner.cancel()
            burying.cancel()
            stopping.cancel()
            await self._shut_down(starting)

    async def _start(self) -> None:
        began = time.monotonic()
        KeyFiles(self._state.keys_directory).create_missing()
        if self._certificates:
            self._certificates.create_missing()
        servers = []
        if plan.given(DATABASE) is None:
            servers.append(self._start_postgres())
        if plan.given(AMQP) is None:
            servers.append(self._start_rabbitmq())
        await together(*servers)
        for step in self._stack.steps:
            self._tell(f"{step.name}: running")
            await complete(self._command(step))
        await together(*(self._start_service(service) for service in self._stack.services))
        self._record(phase=Phase.READY)
        self._tell(f"the stack is ready after {time.monotonic() - began:.1f} s")

    async def _start_postgres(self) -> None:
        server = Postgres(
            directory=self._directory,
            bin=binaries(self._options.pg, tls=self._options.tls),
            port=self._state.ports[plan.POSTGRES],
            password=self._state.credentials.postgres_password,
            certificates=self._certificates,
            settings=self._options.postgres,
        )
        self._tell(f"postgres: starting on port {server.port}")
        await self._start_process(await server.prepare())
        await server.create_database()

    async def _start_rabbitmq(self) -> None:
        node = Rabbit(
            directory=self._directory,
            server=await asyncio.to_thread(rabbitmq_server, self._tell),
            ports=plan.rabbit_ports(self._state.ports),
            password=self._state.credentials.rabbitmq_password,
            certificates=self._certificates,
        )
        self._tell(f"rabbitmq: starting on port {node.ports.amqp}")
        await self._start_process(node.epmd())
        await self._start_process(node.node())

    async def _start_service(self, service: Service) -> None:
        port = self._state.ports[service.name]
        self._tell(f"{service.name}: starting on port {port}")
        url = self._state.urls.services[service.name] + service.ready_path
        await self._start_process(
            ProcessSpec(self._command(service, {HTTP_PORT: str(port)}), is_ready=lambda: answers(url))
        )

    async def _start_process(self, spec: ProcessSpec) -> None:
        process = SupervisedProcess(spec, tell=self._tell, changed=self._record)
        self._running.append(process)
        await process.start()

    async def _shut_down(self, starting: asyncio.Task[None]) -> None:
        self._record(phase=Phase.STOPPING)
        starting.cancel()
        await asyncio.wait({starting})
        try:
            for process in reversed(self._running):
                await process.stop()
        finally:
            for left in await asyncio.to_thread(end_adopted, DESCENDANTS_PATIENCE_S):
                self._tell(f"cannot be stopped: {left}")
        self._record(phase=Phase.STOPPED)
        self._tell("everything is stopped")

    async def _watch_owner(self) -> None:
        if self._options.owner_pid is None:
            return
        try:
            owner = ProcessRecord.of("owner", self._options.owner_pid)
            while owner.process() is not None:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(OWNER_POLL_S)
        except psutil.NoSuchProcess:
            pass
        self._tell("the owner of the stack is gone")
        self._stop.set()

    def _command(self, program: Step | Service, own: dict[str, str] | None = None) -> Command:
        return command_of(program, self._state, self._directory, own)

    def _record(self, *, phase: Phase | None = None, failure: str | None = None) -> None:
        self._state = self._state.model_copy(
            update={
                "phase": phase or self._state.phase,
                "failure": failure or self._state.failure,
                "processes": tuple(each.record for each in self._running if each.record),
            }
        )
        state.save(self._directory, self._state)

    def _tell(self, line: str) -> None:
        print(line, flush=True)


def command_of(
    program: Step | Service, stack: StackState, directory: Path, own: dict[str, str] | None = None
) -> Command:
    """How a program of the stack is run, told what it asks for and `own` besides; it logs under `directory`."""
    shared = stack.environment()
    told = {name: shared[name] for name in program.variables}
    if isinstance(program, Service):
        told |= program.settings
    return Command(
        name=program.name,
        argv=program.argv,
        environment={**os.environ, **told, **(own or {})},
        log=log_file(directory, program.name),
        directory=PROJECT,
    )


async def bury() -> None:
    """Reaps what was adopted and has ended: what this process waits for itself is no longer there at the next look."""
    before: set[int] = set()
    while True:
        ended = await asyncio.to_thread(ended_children)
        reap(ended & before)
        before = ended
        await asyncio.sleep(BURY_EVERY_S)


async def together(*coroutines: Coroutine[None, None, None]) -> None:
    """Run all; when one fails the others are cancelled and its failure is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
