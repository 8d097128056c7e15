"""Processes of the stack: run to their end, or kept running until they are stopped."""

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.devstack.failure import StackFailed, last_lines
from deploy.devstack.identity import ProcessRecord, descendants_of, end_all
from deploy.devstack.privileges import Account, dying_with_parent

POLL_S = 0.1
START_ATTEMPTS = 3
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0
STEADY_AFTER_S = 10.0
DESCENDANTS_PATIENCE_S = 5.0
UNUSED_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Command:
    """One program: what is executed, where its output goes, and as whom it runs."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    directory: Path = Path("/")
    account: Account | None = None
    death_signal: str = "KILL"


@dataclass(frozen=True)
class ProcessSpec:
    """A program that is kept running.

    `stop_signals` are sent one after the other, each with the seconds it is given to take effect.
    """

    command: Command
    is_ready: Callable[[], Awaitable[bool]]
    ready_within_s: float = 60.0
    stop_signals: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 20.0),)


async def launch(command: Command) -> Process:
    command.log.parent.mkdir(parents=True, exist_ok=True)
    argv = dying_with_parent(command.argv, death_signal=command.death_signal, account=command.account)
    with command.log.open("ab") as log:
        try:
            # Its own session: Ctrl-C in the supervisor's terminal is the supervisor's to handle.
            return await asyncio.create_subprocess_exec(
                *argv,
                env=command.environment,
                cwd=command.directory,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise StackFailed(f"{command.name} cannot be started: {error}") from error


async def complete(command: Command) -> None:
    """Run a program to its end; raises StackFailed unless it exits with 0."""
    process = await launch(command)
    try:
        exit_code = await process.wait()
    finally:
        if process.returncode is None:
            await end(process, ())
    if exit_code != 0:
        raise StackFailed(
            f"{command.name} failed with exit code {exit_code}, see {command.log}:\n" + last_lines(command.log)
        )


async def end(process: Process, signals: Iterable[tuple[signal.Signals, float]]) -> None:
    """Stop a child and whatever it leaves behind."""
    descendants = descendants_of(process.pid)
    for number, patience_s in signals:
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.send_signal(number)
            await asyncio.wait_for(process.wait(), patience_s)
        if process.returncode is not None:
            break
    else:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()
    # A server's own children notice within moments that it is gone.
    await asyncio.to_thread(end_all, descendants, DESCENDANTS_PATIENCE_S)


class SupervisedProcess:
    """A program that is started again, on the same terms, whenever it dies."""

    def __init__(self, spec: ProcessSpec, *, tell: Callable[[str], None], changed: Callable[[], None]) -> None:
        self.record: ProcessRecord | None = None
        self._spec = spec
        self._name = spec.command.name
        self._tell = tell
        self._changed = changed
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it is ready; raises StackFailed when it will not be."""
        began = time.monotonic()
        for attempt in range(START_ATTEMPTS):
            await asyncio.sleep(backoff_s(attempt))
            process = await self._launch()
            if await self._becomes_ready(process):
                self._tell(f"{self._name}: ready after {time.monotonic() - began:.1f} s")
                self._keeper = asyncio.create_task(self._keep(process))
                return
            if process.returncode is None:
                reason = f"is not ready after {self._spec.ready_within_s:g} s"
                break
            reason = f"ended with exit code {process.returncode}"
        log = self._spec.command.log
        raise StackFailed(f"{self._name} {reason}, see {log}:\n{last_lines(log)}")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._process is not None and self._process.returncode is None:
            self._tell(f"{self._name}: stopping")
            await end(self._process, self._stop_signals())
        self.record = None
        self._changed()

    def _stop_signals(self) -> Iterable[tuple[signal.Signals, float]]:
        if self._keeper is not None:
            return self._spec.stop_signals
        # Never ready, so nobody used it; and servers may not heed a signal this early.
        return [(number, UNUSED_PATIENCE_S) for number, _ in self._spec.stop_signals]

    async def _keep(self, process: Process) -> None:
        failures = 0
        while True:
            since = time.monotonic()
            await process.wait()
            self._tell(f"{self._name}: ended with {process.returncode}, starting it again")
            failures = 0 if time.monotonic() - since > STEADY_AFTER_S else failures
            failures += 1
            await asyncio.sleep(backoff_s(failures))
            try:
                process = await self._launch()
                if await self._becomes_ready(process):
                    self._tell(f"{self._name}: ready again")
            except (OSError, StackFailed) as error:
                # A full disk, say: it may pass, and the next attempt will tell.
                self._tell(f"{self._name}: {error}")

    async def _launch(self) -> Process:
        self._process = process = await launch(self._spec.command)
        try:
            self.record = ProcessRecord.of(self._name, process.pid)
        except psutil.NoSuchProcess:
            self.record = None
        self._changed()
        return process

    async def _becomes_ready(self, process: Process) -> bool:
        deadline = time.monotonic() + self._spec.ready_within_s
        while process.returncode is None and time.monotonic() < deadline:
            if await self._spec.is_ready():
                return process.returncode is None
            await asyncio.sleep(POLL_S)
        return False


def backoff_s(failures: int) -> float:
    """How long to wait before the next start: at once, then twice as long each time."""
    return min(FIRST_BACKOFF_S * 2 ** (failures - 1), LONGEST_BACKOFF_S) if failures else 0.0


def inherited_environment() -> dict[str, str]:
    """What a server gets of the user's environment: nothing that configures it."""
    names = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
    return {name: os.environ[name] for name in names if name in os.environ}
