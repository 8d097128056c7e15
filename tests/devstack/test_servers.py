"""One stack of servers, looked at from outside and hurt."""

import asyncio
import os
import signal
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from deploy.devstack.failure import StackFailed
from deploy.devstack.launch import up
from deploy.devstack.postgres import SETTINGS, Postgres, binaries
from deploy.devstack.state import StackState, state_file
from tests.devstack.observation import family, message, recorded, restarted, row, until, write

STANDARD_PORTS = {5432, 5672, 4369, 15672, 25672}


@pytest.fixture(scope="module")
def written(servers: StackState) -> StackState:
    write(servers, "shall last")
    return servers


def test_servers_answer(written: StackState) -> None:
    assert row(written) == "shall last"
    assert message(written) == "shall last"
    url = written.environment()["GONGJI_RABBITMQ_MANAGEMENT_URL"]
    assert httpx.get(f"{url}/api/vhosts", trust_env=False).json()[0]["name"] == "/"
    credentials = urlsplit(url)
    assert credentials.password == written.credentials.rabbitmq_password


@pytest.mark.parametrize(
    ("asked", "senders"), [({"tls": True}, "false"), ({"workers": 2}, "false"), ({}, "true")], ids=repr
)
@pytest.mark.usefixtures("servers")
def test_a_stack_is_not_passed_off_as_another(
    shared_directory: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], senders: str
) -> None:
    """Whoever asks for TLS, or for senders to be authenticated, would believe to have it."""
    monkeypatch.setenv("GONGJI_AUTHENTICATE_SENDERS", senders)

    with pytest.raises(StackFailed, match=r"was started with .*=false, not with .*gongji down"):
        up(shared_directory, servers_only=True, progress=print, **asked)


async def test_no_books_are_begun_beside_others(tmp_path: Path) -> None:
    """RabbitMQ keeps its queues: what waits there would be decided by a ledger with nobody in it."""
    (tmp_path / "postgres" / "9" / "data").mkdir(parents=True)

    with pytest.raises(StackFailed, match="PostgreSQL 9's"):
        await Postgres(tmp_path, binaries(None), 1, "").prepare()


def test_postgres_runs_with_the_settings(servers: StackState) -> None:
    async def shown() -> dict[str, str]:
        connection = await asyncpg.connect(servers.urls.database)
        names = [name for name in SETTINGS if name != "log_line_prefix"]
        values = {name: await connection.fetchval(f"SHOW {name}") for name in names}
        await connection.close()
        return values

    assert asyncio.run(shown()) == {name: value for name, value in SETTINGS.items() if name != "log_line_prefix"}


def test_only_private_loopback_ports_are_used(servers: StackState) -> None:
    listening = [
        connection.laddr
        for process in family(servers)
        for connection in connections(process)
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}
    ports = {address.port for address in listening}
    assert ports == set(servers.ports.values())
    assert not ports & STANDARD_PORTS


def connections(process: psutil.Process) -> list[Any]:
    """None, where the process has ended in the meantime: PostgreSQL's workers come and go."""
    try:
        return list(process.net_connections(kind="inet"))
    except psutil.NoSuchProcess:
        return []


def test_state_is_for_its_owner_only(servers: StackState, shared_directory: Path) -> None:
    assert servers.environment().keys() >= {"GONGJI_DATABASE_URL", "GONGJI_AMQP_URL"}
    assert stat.S_IMODE(state_file(shared_directory).stat().st_mode) == 0o600


def test_up_again_is_the_same_stack(servers: StackState, shared_directory: Path) -> None:
    again = up(shared_directory, servers_only=True, progress=print)
    assert again.supervisor == servers.supervisor
    assert again.environment() == servers.environment()


@pytest.mark.parametrize(("name", "look"), [("postgres", row), ("rabbitmq", message)])
def test_killed_server_comes_back_with_its_data(
    written: StackState, shared_directory: Path, name: str, look: object
) -> None:
    assert callable(look)
    killed = recorded(shared_directory)[name]
    os.kill(killed, signal.SIGKILL)
    until(lambda: restarted(shared_directory, name, killed), 60)
    until(lambda: look(written) == "shall last", 60)


def test_killed_name_server_comes_back(servers: StackState, shared_directory: Path) -> None:
    killed = recorded(shared_directory)["epmd"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: restarted(shared_directory, "epmd", killed), 10)
    names = [process.name() for process in family(servers)]
    assert names.count("epmd") == 1
