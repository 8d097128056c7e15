"""Two PostgreSQL servers of a test's own: a primary, and the standby that its commits wait for."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil

from deploy.devstack.identity import descendants_of, end_all
from deploy.devstack.ports import claimed
from deploy.devstack.postgres import Postgres, binaries, database_url
from deploy.devstack.privileges import Account
from deploy.devstack.processes import Command, complete, end, inherited_environment, launch
from deploy.devstack.state import log_file
from shared.postgres.migrate import migrate, shipped_migrations
from shared.postgres.pool import connect
from tests.support.world import until

PASSWORD = "private"
STANDBY = "standby"
CHILDREN_PATIENCE_S = 10.0
# Sessions that wait in a commit for the standby.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%{of}%'"
CUT_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'gongji%'"
INTERRUPT_COMMITS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
CANCEL_COMMITS = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@dataclass(frozen=True, kw_only=True)
class Copy(Postgres):
    """A server that begins as a copy of another, and follows it."""

    of: Postgres

    async def _initialise(self, home: Path, data: Path, account: Account | None) -> None:
        followed = database_url(self.of.port, self.of.password, "") + f"?application_name={STANDBY}"
        await complete(
            Command(
                name="pg_basebackup",
                argv=(
                    str(self.bin / "pg_basebackup"),
                    *(f"--pgdata={data}", f"--dbname={followed}", "--write-recovery-conf", "--checkpoint=fast"),
                ),
                environment=inherited_environment(),
                log=log_file(self.directory, "pg_basebackup"),
                account=account,
            )
        )


@dataclass
class Server:
    """One of the two, which can be lost and come back as it was."""

    postgres: Postgres
    process: Process | None = None

    @property
    def url(self) -> str:
        return database_url(self.postgres.port, self.postgres.password)

    @property
    def address(self) -> str:
        return self.url.rpartition("@")[2].partition("/")[0]

    async def start(self) -> None:
        """Returns once it lets clients in."""
        spec = await self.postgres.prepare()
        self.process = await launch(spec.command)
        await until(spec.is_ready, timeout_s=60)

    async def lose(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Returns once nothing of it is left."""
        assert self.process is not None
        children = descendants_of(self.process.pid)
        self.process.send_signal(how)
        await self.process.wait()
        await asyncio.to_thread(end_all, children, CHILDREN_PATIENCE_S)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.resume_following()
            await end(self.process, ((signal.SIGQUIT, CHILDREN_PATIENCE_S),))

    async def ask(self, query: str) -> int:
        connection = await asyncpg.connect(self.url)
        try:
            return int(await connection.fetchval(query) or 0)
        finally:
            await connection.close()

    async def has(self, query: str) -> bool:
        return await self.ask(query) > 0

    async def execute(self, *statements: str) -> None:
        """Each by itself: some of them allow no transaction around them."""
        connection = await asyncpg.connect(self.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def promote(self) -> None:
        """Returns once it accepts writes."""
        assert await self.ask("SELECT pg_promote()")

    async def cut_sessions(self) -> None:
        """As a network that forgets: every session of Gongji's is gone, also those that wait in a commit."""
        await self.execute(CUT_SESSIONS)

    async def interrupt_commits(self) -> None:
        """As an administrator does who ends what does not end by itself: what waited is committed, on this server alone."""
        await self.execute(INTERRUPT_COMMITS)

    async def cancel_commits(self) -> None:
        """The gentler way to the same: the session stays, and its commit succeeds with a warning."""
        await self.execute(CANCEL_COMMITS)

    def has_said(self, text: str, times: int = 1) -> bool:
        """Whether so many lines of its log have this in them."""
        lines = log_file(self.postgres.directory, "postgres").read_text(encoding="utf-8").splitlines()
        return sum(text in line for line in lines) >= times

    async def next_transaction(self) -> int:
        """The number of the next transaction that writes something."""
        return await self.ask("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")

    async def waiting_commits(self, of: str = "") -> int:
        """Those whose last statement has this in it."""
        return await self.ask(WAITING.format(of=of))

    async def has_waiting_commits(self, at_least: int = 1, of: str = "") -> bool:
        return await self.waiting_commits(of) >= at_least

    async def has_no_waiting_commits(self) -> bool:
        return await self.waiting_commits() == 0

    def stop_following(self) -> None:
        """It stays, but takes nothing more of the primary's log."""
        self._receiver().suspend()

    def resume_following(self) -> None:
        """Whatever of it stands still goes on."""
        assert self.process is not None
        for child in descendants_of(self.process.pid):
            if child.status() == psutil.STATUS_STOPPED:
                child.resume()

    def _receiver(self) -> psutil.Process:
        assert self.process is not None
        return next(each for each in descendants_of(self.process.pid) if "walreceiver" in " ".join(each.cmdline()))


@dataclass
class Pair:
    """`url` names both, the primary first."""

    primary: Server
    standby: Server
    url: str = field(init=False)

    def __post_init__(self) -> None:
        both = f"{self.primary.address},{self.standby.address}"
        self.url = self.primary.url.replace(self.primary.address, both)

    @classmethod
    @asynccontextmanager
    async def build(cls, directory: Path, version: str | None) -> AsyncIterator["Pair"]:
        """Migrated, and every commit waits for the standby; both end with the block, however it ends."""
        programs = binaries(version)
        async with AsyncExitStack() as running:
            ports = running.enter_context(claimed(("primary", STANDBY), {}))
            first = Postgres(directory / "primary", programs, ports["primary"], PASSWORD)
            second = Copy(directory / STANDBY, programs, ports[STANDBY], PASSWORD, of=first)
            pair = cls(Server(first), Server(second))
            for server in (pair.primary, pair.standby):
                running.push_async_callback(server.stop)
            await pair.primary.start()
            await first.create_database()
            connection = await connect(pair.primary.url, role=None, name="tests")
            await migrate(connection, shipped_migrations())
            await connection.close()
            await pair.standby.start()
            await pair.primary.execute(
                # Nothing but what is asked for takes a transaction's number.
                "ALTER SYSTEM SET autovacuum = off",
                f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'",
                "SELECT pg_reload_conf()",
            )
            await until(pair.is_in_step)
            yield pair

    async def is_in_step(self) -> bool:
        """Whether the primary's commits wait for the standby, and are answered by it."""
        return bool(await self.primary.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"))
