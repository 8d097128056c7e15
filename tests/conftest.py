"""Private servers for the whole run; a database and a vhost of its own for each test that asks."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.devstack import launch
from deploy.devstack.state import StackState
from shared.postgres.migrate import migrate, shipped_migrations
from shared.postgres.pool import connect
from tests.support.world import World

# Nothing of the caller's own stack may leak into a test.
TEST_PG = os.environ.get("GONGJI_TEST_PG") or None
for name in [name for name in os.environ if name.startswith("GONGJI_")]:
    del os.environ[name]

TEMPLATE = "gongji_template"

# Their files take minutes, and a file stays with one process: begun last, they would keep one at work long after the other.
BEGUN_FIRST = ("acceptance", "faults", "devstack")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the order has been drawn, so that chance still decides within each part."""
    folders = {item: item.path.relative_to(Path(__file__).parent).parts[0] for item in items}
    items.sort(key=lambda item: folders[item] not in BEGUN_FIRST)


@dataclass(frozen=True)
class Database:
    """A migrated database; the url's user may do everything, so tests can look from outside."""

    url: str
    name: str


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackState]:
    """A PostgreSQL and a RabbitMQ for this run alone; they end with it, however it ends."""
    directory = tmp_path_factory.mktemp("servers")
    yield launch.up(directory, servers_only=True, pg=TEST_PG, owner_pid=os.getpid(), progress=lambda _: None)
    launch.down(directory, progress=lambda _: None)


@pytest.fixture(scope="session")
def keys(servers: StackState) -> dict[str, Path]:
    """The key files of the run, by the name of their variable."""
    environment = servers.environment()
    return {name: Path(environment[name]) for name in environment if name.endswith(("_KEY_FILE", "_RING_FILE"))}


@pytest.fixture(scope="session")
def template(servers: StackState) -> str:
    """The name of a migrated database that others are cloned from."""

    async def make() -> None:
        await _administer(servers.urls.database, f"CREATE DATABASE {TEMPLATE}")
        connection = await connect(_database(servers.urls.database, TEMPLATE), role=None, name="tests")
        await migrate(connection, shipped_migrations())
        await connection.close()

    asyncio.run(make())
    return TEMPLATE


@pytest.fixture
async def database(servers: StackState, template: str) -> AsyncIterator[Database]:
    """A clone of the template."""
    async with clone(servers, template) as database:
        yield database


@asynccontextmanager
async def clone(servers: StackState, template: str) -> AsyncIterator[Database]:
    """A database of its own, for as long as the block runs."""
    name = f"test_{secrets.token_hex(6)}"
    await _administer(servers.urls.database, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield Database(_database(servers.urls.database, name), name)
    await _administer(servers.urls.database, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def amqp_url(servers: StackState) -> AsyncIterator[str]:
    """A vhost of its own."""
    vhost = f"test-{secrets.token_hex(6)}"
    assert servers.urls.rabbitmq_management
    async with httpx.AsyncClient(base_url=servers.urls.rabbitmq_management, timeout=30) as management:
        (await management.put(f"/api/vhosts/{vhost}")).raise_for_status()
        yield f"{servers.urls.amqp.rstrip('/')}/{vhost}"
        (await management.delete(f"/api/vhosts/{vhost}")).raise_for_status()


@pytest.fixture
async def world(database: Database, amqp_url: str, keys: dict[str, Path]) -> AsyncIterator[World]:
    """Both services in this process, on servers of their own, with somebody to talk to them."""
    async with World.build(database.url, amqp_url, keys) as built:
        yield built


def _database(url: str, name: str) -> str:
    return url.rpartition("/")[0] + f"/{name}"


async def _administer(url: str, statement: str) -> None:
    connection = await connect(url, role=None, name="tests")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
