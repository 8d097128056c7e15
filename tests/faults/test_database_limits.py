"""A database that has run out of something: requests wait, and are answered once there is enough again."""

import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import asyncpg
import pytest
from yarl import URL

from deploy.devstack import state
from shared.rabbit.topology import SETTLEMENT
from tests.conftest import Database
from tests.support.correspondence import Correspondence, bills, waiting
from tests.support.processes import GROWTH_MIB_MAX, IN_HAND_MAX, LANES, MEMORY_MIB_MAX, Worker
from tests.support.proxy import Link, Proxy, Towards
from tests.support.servers import Servers
from tests.support.world import World, until


@pytest.fixture
def small_disk(tmp_path: Path, run_servers: Servers) -> Iterator[Path]:
    """A disk of a few megabytes that the server may write to."""
    disk = tmp_path / "disk"
    disk.mkdir()
    owner = run_servers.process("postgres").uids().effective
    subprocess.run(
        ["/usr/bin/mount", "-t", "tmpfs", "-o", f"size=64m,uid={owner},mode=0700", "tmpfs", disk], check=True
    )
    yield disk
    subprocess.run(["/usr/bin/umount", "--lazy", disk], check=True)


@pytest.fixture
async def small_database(servers: state.StackState, template: str, small_disk: Path) -> AsyncIterator[Database]:
    """A database all of whose tables lie on the small disk."""
    space, name = (f"test_{secrets.token_hex(6)}" for _ in range(2))
    admin = await asyncpg.connect(servers.urls.database)
    await admin.execute(f"CREATE TABLESPACE {space} LOCATION '{small_disk}'")
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} TABLESPACE {space}")
    yield Database(servers.urls.database.rpartition("/")[0] + f"/{name}", name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.execute(f"DROP TABLESPACE {space}")
    await admin.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a disk")
async def test_a_worker_waits_while_the_disk_is_full(
    small_database: Database, amqp_url: str, keys: dict[str, Path], small_disk: Path, stack: AsyncExitStack
) -> None:
    """Nothing more can be written: requests wait, not in its memory, it says so, and they are answered once there is room again."""
    town = await stack.enter_async_context(World.build(small_database.url, amqp_url, keys))
    town.start_worker()
    await town.family("MOTHER")
    await town.stop_workers()
    sender = await stack.enter_async_context(Correspondence.of(town))
    worker = Worker(town)
    stack.callback(worker.kill)
    ballast = small_disk / "ballast"

    _fill(ballast)
    await sender.send(bills(2_000))
    await until(partial(worker.has_logged, "database_away"))
    await until(worker.has_paused)
    said, memory_mib = await worker.page("/readyz"), worker.memory_mib()
    tried = await worker.metric("gongji_batch_requests_count")
    await sender.send(bills(3_000))
    await until(partial(_has_tried, worker, tried + 3))
    grown_mib = worker.memory_mib() - memory_mib
    ballast.unlink()
    await sender.converge()

    assert "PostgreSQL cannot be used: DiskFullError" in said
    assert grown_mib <= GROWTH_MIB_MAX
    assert worker.most_memory_mib() <= MEMORY_MIB_MAX
    assert await worker.is_ready()
    told = [line["error"].partition(":")[0] for line in worker.logged("database_away")]
    assert told == ["DiskFullError"] * LANES, "each lane says it once"
    assert await worker.metric("gongji_broker_sessions_total") == 1


async def _has_tried(worker: Worker, times: float) -> bool:
    return await worker.metric("gongji_batch_requests_count") >= times


def _fill(ballast: Path) -> None:
    """To the last page."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


@pytest.mark.long
async def test_what_waits_for_a_slow_database_waits_in_the_queue(
    town: World, sender: Correspondence, run_servers: Servers, stack: AsyncExitStack, dice: Random
) -> None:
    """Each word of it takes its time, and thousands of requests wait: the worker holds no more than it may, and catches up."""
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    proxy.delay_s_max = 0.2
    worker = Worker(town, GONGJI_DATABASE_URL=proxy.url)
    stack.callback(worker.kill)
    before = await town.count("ledger.decisions")

    await sender.send(bills(1_500))
    await until(partial(town.has, "ledger.decisions", before + 200))
    memory_mib = worker.memory_mib()
    await sender.send(bills(3_000))
    await until(partial(town.has, "ledger.decisions", before + 600))
    await until(partial(run_servers.held, town.amqp_url, SETTLEMENT))
    grown_mib, held = worker.memory_mib() - memory_mib, await run_servers.held(town.amqp_url, SETTLEMENT)
    ready = await worker.is_ready()
    proxy.delay_s_max = 0.0
    await sender.converge(timeout_s=100)

    assert ready
    assert held <= IN_HAND_MAX
    assert grown_mib <= GROWTH_MIB_MAX
    assert worker.most_memory_mib() <= MEMORY_MIB_MAX
    assert not sender.replayed()


async def test_a_worker_that_pauses_again_and_again_holds_no_more(
    town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random
) -> None:
    """Every third commit is cut off, whichever lane's. A prefetch counts anew with each subscription, so none is begun with hands full."""
    proxy = await stack.enter_async_context(Proxy.before(town.database_url, dice))
    commits = count()

    def cut_every_third(link: Link, towards: Towards, data: bytes) -> bytes:
        if towards is Towards.SERVER and b"COMMIT\0" in data and next(commits) % 3 == 2:
            link.cut()
        return data

    as_it_was, proxy.passage = proxy.passage, cut_every_third
    worker = Worker(town, GONGJI_DATABASE_URL=proxy.url, GONGJI_BATCH_MAX="10", GONGJI_PREFETCH="20")
    stack.callback(worker.kill)
    await sender.send(bills(400))
    await until(partial(worker.has_logged, "database_away", 8))
    proxy.go_away()
    await until(worker.has_paused)
    in_the_queue = await waiting(town, SETTLEMENT)
    await sender.collect()
    in_hand = 400 - in_the_queue - len(sender.told)
    proxy.passage = as_it_was
    proxy.come_back()
    await sender.converge()

    # In each lane so many of one subscription, and half as many that were left of the one before.
    assert in_hand <= LANES * (20 + 10)
    assert await worker.metric("gongji_broker_sessions_total") == 1


@pytest.fixture
async def login(database: Database) -> AsyncIterator[str]:
    """A worker's login of its own, which may have two sessions: its url."""
    name, password = f"test_{secrets.token_hex(6)}", secrets.token_hex(16)
    admin = await asyncpg.connect(database.url)
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' CONNECTION LIMIT 2 IN ROLE gongji_settlement")
    yield str(URL(database.url).with_user(name).with_password(password))
    await admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1", name)
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()


async def test_a_worker_waits_while_no_connection_is_left(
    town: World, sender: Correspondence, login: str, stack: AsyncExitStack
) -> None:
    """Idle sessions have taken all: requests stay in the queue, and are answered once one is free."""
    idle = [await asyncpg.connect(login) for _ in range(2)]
    worker = Worker(town, GONGJI_DATABASE_URL=login)
    stack.callback(worker.kill)

    await sender.send(bills(300))
    await until(partial(worker.has_logged, "database_away"))
    paused = {line["error"].partition(":")[0] for line in worker.logged("database_away")}
    for session in idle:
        await session.close()
    await sender.converge()

    assert paused == {"TooManyConnectionsError"}
    assert await worker.metric("gongji_broker_sessions_total") == 1
