import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.devstack.launch import down, up
from deploy.devstack.state import StackState


@pytest.fixture(autouse=True, scope="session")
def no_given_servers() -> Iterator[None]:
    """The variables of a surrounding stack would keep these tests from starting their own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("GONGJI_"):
                patch.delenv(name)
        yield


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests were started in the background, whose shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A state directory of its own; whatever still runs there is stopped afterwards."""
    yield tmp_path / "stack"
    down(tmp_path / "stack", progress=print)


@pytest.fixture(scope="module")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def servers(shared_directory: Path, no_given_servers: None) -> Iterator[StackState]:
    yield up(shared_directory, servers_only=True, owner_pid=os.getpid(), progress=print)
    down(shared_directory, progress=print)
