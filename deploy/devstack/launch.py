"""Starting the stack in the background, and stopping it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from deploy.devstack import state
from deploy.devstack.failure import StackFailed, last_lines
from deploy.devstack.identity import ended
from deploy.devstack.lock import held
from deploy.devstack.stack import started_with
from deploy.devstack.state import Phase, StackState, log_file
from deploy.devstack.supervisor import PROJECT

POLL_S = 0.1
STOPPED_WITHIN_S = 60.0
UP_LOCK = "up.lock"

# Supervisors outlive the call that started them: kept here so that they are reaped, when they end,
# and not complained about.
_supervisors: list[subprocess.Popen[bytes]] = []


def up(
    directory: Path,
    *,
    workers: int = 1,
    servers_only: bool = False,
    pg: str | None = None,
    owner_pid: int | None = None,
    tls: bool = False,
    postgres: Mapping[str, str] | None = None,
    progress: Callable[[str], None],
    timeout_s: float = 180,
) -> StackState:
    """Start the stack of this directory and return when it is ready.

    A stack that is ready already is returned as it is, if it was started with the same. `postgres` are
    settings of that server in place of the usual ones. With `owner_pid` the stack stops when that process ends. Raises StackFailed with the end of the
    log of whatever failed. However else this call is left, it leaves nothing running.
    """
    deadline = time.monotonic() + timeout_s
    options = [f"--workers={workers}"]
    if servers_only:
        options.append("--servers-only")
    if pg is not None:
        options.append(f"--pg={pg}")
    if tls:
        options.append("--tls")
    options += [f"--postgres={name}={value}" for name, value in (postgres or {}).items()]
    with held(directory / UP_LOCK, timeout_s=timeout_s):
        running = settled(directory, deadline)
        if running is not None:
            if running.started_with != (wanted := started_with(options)):
                raise StackFailed(
                    f"a stack is running here that was started with {' '.join(running.started_with)}, "
                    f"not with {' '.join(wanted)}: stop it first (`gongji down`)"
                )
            return running
        options.append(f"--state={directory.resolve()}")
        if owner_pid is not None:
            options.append(f"--owner={owner_pid}")
        return start(directory, options, progress, deadline)


def down(directory: Path, *, progress: Callable[[str], None], timeout_s: float = STOPPED_WITHIN_S) -> bool:
    """Stop the stack of this directory and wait until it is gone; False if none was running."""
    running = state.read(directory)
    supervisor = running and running.supervisor.process()
    if not supervisor:
        return False
    progress("stopping the stack")
    supervisor.terminate()
    if not ended([supervisor], timeout_s):
        raise StackFailed(f"the stack did not stop within {timeout_s:g} s: see {directory / 'logs'}, or try again")
    for started_here in _supervisors:
        # Reaped, if it was a child of ours.
        started_here.poll()
    return True


def forget(directory: Path) -> None:
    """Removes what an earlier stack has left behind: data, keys, logs. What is running or starting stays untouched."""
    with held(directory / UP_LOCK, timeout_s=STOPPED_WITHIN_S):
        if state.read(directory) is not None:
            return
        for left in directory.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != UP_LOCK:
                left.unlink()


def settled(directory: Path, deadline: float) -> StackState | None:
    """The stack that runs here once it is ready; None when there is none, or no longer."""
    while (running := state.read(directory)) is not None and running.phase is not Phase.READY:
        if time.monotonic() > deadline:
            raise StackFailed(f"the stack is still {running.phase}: stop it, then try again")
        time.sleep(POLL_S)
    return running


def start(directory: Path, options: list[str], progress: Callable[[str], None], deadline: float) -> StackState:
    log = log_file(directory, "supervisor")
    log.parent.mkdir(parents=True, exist_ok=True)
    supervisor: subprocess.Popen[bytes] | None = None
    ready = None
    with log.open("ab") as output, log.open() as lines:
        lines.seek(0, os.SEEK_END)
        try:
            with interrupts_held_back():
                supervisor = launch(options, output)
            ready = wait_until_ready(directory, supervisor, lines, progress, deadline)
        finally:
            if ready is None and supervisor is not None:
                stop(supervisor)
    return ready


def launch(options: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    supervisor = subprocess.Popen(  # noqa: S603 - this very package
        [sys.executable, "-m", "deploy.devstack", *options],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    _supervisors.append(supervisor)
    return supervisor


def wait_until_ready(
    directory: Path,
    supervisor: subprocess.Popen[bytes],
    lines: IO[str],
    progress: Callable[[str], None],
    deadline: float,
) -> StackState:
    while True:
        exit_code = supervisor.poll()
        for line in lines:
            progress(line.rstrip())
        current = state.load(directory)
        ours = current is not None and current.supervisor.pid == supervisor.pid
        if exit_code is not None:
            reason = current.failure if ours and current else None
            raise StackFailed(reason or last_lines(log_file(directory, "supervisor")))
        if ours and current and current.phase is Phase.READY:
            return current
        if time.monotonic() > deadline:
            raise StackFailed(f"the stack is not ready in time, see {directory / 'logs'}")
        time.sleep(POLL_S)


def stop(supervisor: subprocess.Popen[bytes]) -> None:
    """Stop a supervisor of our own; a second Ctrl-C makes it short."""
    supervisor.terminate()
    try:
        supervisor.wait(STOPPED_WITHIN_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        supervisor.kill()
        supervisor.wait()
        raise


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C take effect only afterwards: a process just started is then known."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread is ever interrupted.
        yield
        return
    interrupted = False

    def remember(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if interrupted:
            signal.raise_signal(signal.SIGINT)
