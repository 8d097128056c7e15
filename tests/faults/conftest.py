"""What every fault test needs: a family to settle for, a sender that keeps everything, and chance that can be repeated."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random

import pytest

from deploy.devstack import state
from tests.support.correspondence import Correspondence
from tests.support.processes import Worker
from tests.support.servers import Servers
from tests.support.world import World, until


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have measured (`record_property`) is told at the end of the run; nothing is judged by it."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> Random:
    """Chance, of the run's seed and the test's name: `make faults SEED=n` draws the same again."""
    seed = f"{request.config.getoption('randomly_seed', 0)} {request.node.name}"
    print(f"seed: {seed}")  # noqa: T201 shown with a failure
    return Random(seed)  # noqa: S311 drawn to be drawn again


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes at the end of the test what the test put on it."""
    async with AsyncExitStack() as closing:
        yield closing


@pytest.fixture
def run_servers(servers: state.StackState) -> Servers:
    """The processes of the run's own servers."""
    return Servers(servers.keys_directory.parent)


@pytest.fixture
async def town(world: World) -> World:
    """A world in which MOTHER pays for CHILD; nobody works yet."""
    world.start_worker()
    await world.family("MOTHER")
    await world.stop_workers()
    return world


@pytest.fixture
async def sender(town: World) -> AsyncIterator[Correspondence]:
    """Somebody who settles for CHILD and keeps every answer."""
    async with Correspondence.of(town) as correspondence:
        yield correspondence


@pytest.fixture
async def worker(town: World) -> AsyncIterator[Worker]:
    """A ready worker; it ends with the test."""
    started = Worker(town)
    await until(started.is_ready)
    yield started
    started.kill()
