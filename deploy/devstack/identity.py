"""Which process is meant: a pid may be used again, a pid with its start time is not."""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterable

import psutil
from pydantic import BaseModel, ConfigDict

# The start time is derived from the wall clock, which may be stepped while a process runs.
START_TIME_TOLERANCE_S = 2.0
POLL_S = 0.05
KILLED_WITHIN_S = 5.0
ROUNDS_MAX = 3
# Of prctl(2).
PR_SET_CHILD_SUBREAPER = 36


class ProcessRecord(BaseModel):
    """A process as it can be recognised later; `started` is in seconds since the epoch."""

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    started: float

    @classmethod
    def of(cls, name: str, pid: int) -> "ProcessRecord":
        """Raises psutil.NoSuchProcess when there is no such process."""
        return cls(name=name, pid=pid, started=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The recorded process while it runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < START_TIME_TOLERANCE_S
        except psutil.NoSuchProcess:
            return None
        return process if same and runs(process) else None


def runs(process: psutil.Process) -> bool:
    """Whether it still executes: one that only waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def ended(processes: Iterable[psutil.Process], within_s: float) -> bool:
    """Wait until none of the processes runs any more; False if some do after this time."""
    deadline = time.monotonic() + within_s
    remaining = [process for process in processes if runs(process)]
    while remaining and time.monotonic() < deadline:
        time.sleep(POLL_S)
        remaining = [process for process in remaining if runs(process)]
    return not remaining


def end_all(processes: Iterable[psutil.Process], patience_s: float) -> None:
    """Let processes end by themselves for a while, then kill those that have not."""
    processes = list(processes)
    if not ended(processes, patience_s):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        ended(processes, KILLED_WITHIN_S)


def adopt_orphans() -> None:
    """From now on whatever is started below this process, and loses its parent, is a child of this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def ended_children() -> set[int]:
    """Children of this process that only wait to be reaped."""
    ended: set[int] = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() == psutil.STATUS_ZOMBIE:
                ended.add(child.pid)
    return ended


def reap(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def end_adopted(patience_s: float) -> list[psutil.Process]:
    """Ends whatever runs below this process, once it has stopped all that it knows; returns what goes on all the same.

    Who looks for a server's children and then kills the server misses one that is started in between.
    """
    for _ in range(ROUNDS_MAX):
        # What is ended may leave children of its own.
        left = [each for each in descendants_of(os.getpid()) if runs(each)]
        if not left:
            break
        for each in left:
            with contextlib.suppress(psutil.Error):
                each.terminate()
        end_all(left, patience_s)
    return [each for each in descendants_of(os.getpid()) if runs(each)]
