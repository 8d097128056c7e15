"""However a stack ends, nothing of it goes on running."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from deploy.devstack import state
from deploy.devstack.failure import StackFailed
from deploy.devstack.launch import down, forget, up
from deploy.devstack.state import Phase
from tests.devstack.observation import family, message, none_runs, row, started_for, until, write

UP = """
import os, sys
from pathlib import Path
from deploy.devstack.failure import StackFailed
from deploy.devstack.launch import up
up(Path(sys.argv[1]), servers_only=True, owner_pid=os.getpid(), progress=print)
input()
"""


def test_down_stops_everything_and_keeps_data_and_ports(directory: Path) -> None:
    first = up(directory, servers_only=True, progress=print)
    write(first, "kept")
    everything = family(first)
    assert down(directory, progress=print)
    assert none_runs(everything)
    assert state.read(directory) is None
    assert not down(directory, progress=print)

    second = up(directory, servers_only=True, progress=print)
    assert second.ports == first.ports
    assert (row(second), message(second)) == ("kept", "kept")

    everything = family(second)
    os.kill(second.supervisor.pid, signal.SIGKILL)
    until(lambda: none_runs(everything), 10)
    assert state.read(directory) is None

    third = up(directory, servers_only=True, progress=print)
    assert third.ports == first.ports
    assert (row(third), message(third)) == ("kept", "kept")


def test_stack_ends_with_its_owner(directory: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", UP, str(directory)], stdin=subprocess.PIPE)
    until(lambda: ready(directory), 120)
    stack = state.read(directory)
    assert stack is not None
    everything = family(stack)
    owner.kill()
    owner.wait()
    until(lambda: none_runs(everything), 60)
    assert owner.stdin is not None
    owner.stdin.close()


# An interrupt may come between a file's opening and the block that closes it: then it is Python's collector that closes it, and says so.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("moment", [0.0, 0.002, 0.3, "postgres", "rabbitmq"])
def test_interrupted_up_leaves_nothing(directory: Path, moment: float | str) -> None:
    """After so many seconds, or as soon as that server has been started and is not ready yet, however fast the machine."""
    seen: list[psutil.Process] = []
    stop_looking = threading.Event()

    def look() -> None:
        while not stop_looking.wait(0.02):
            seen.extend(process for process in started_for(directory) if process not in seen)

    def interrupt() -> None:
        if isinstance(moment, str):
            until(lambda: moment in names(directory) or stop_looking.is_set(), 60)
        if not stop_looking.wait(0 if isinstance(moment, str) else moment):
            os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor(2) as looking:
        looking.submit(look)
        try:
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the interrupt belongs to the call
                looking.submit(interrupt)
                up(directory, servers_only=True, progress=print)
        finally:
            stop_looking.set()
    assert none_runs(seen)
    assert state.read(directory) is None


def test_failed_up_says_why_and_leaves_nothing(directory: Path) -> None:
    with pytest.raises(StackFailed, match=r"install the package postgresql-9\.4"):
        up(directory, servers_only=True, pg="9.4", progress=print)
    assert state.read(directory) is None
    assert none_runs(started_for(directory))


def test_two_at_once_get_the_same_stack(directory: Path) -> None:
    def start() -> state.StackState:
        return up(directory, servers_only=True, progress=print)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(start), pool.submit(start)
        assert one.result().supervisor == other.result().supervisor


def test_terminated_while_starting_leaves_nothing(directory: Path) -> None:
    supervisor = subprocess.Popen([sys.executable, "-m", "deploy.devstack", "--servers-only", f"--state={directory}"])
    until(lambda: "rabbitmq" in names(directory), 60)
    everything = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children(recursive=True)]
    supervisor.terminate()
    assert supervisor.wait(60) == 0
    assert none_runs(everything)
    last = state.load(directory)
    assert last is not None
    assert last.phase is Phase.STOPPED


def ready(directory: Path) -> bool:
    current = state.read(directory)
    return current is not None and current.phase is Phase.READY


def names(directory: Path) -> set[str]:
    current = state.read(directory)
    return {process.name for process in current.processes} if current else set()


def test_what_an_earlier_stack_left_is_forgotten_but_not_what_runs(directory: Path) -> None:
    """Data of another release may not fit: a demo begins with nothing."""
    first = up(directory, servers_only=True, progress=print)
    write(first, "kept")
    forget(directory)
    assert row(first) == "kept"

    down(directory, progress=print)
    forget(directory)
    assert [left.name for left in directory.iterdir()] == ["up.lock"]
