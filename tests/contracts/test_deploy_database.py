"""The scripts that prepare the production database, on a private server: who may do what afterwards."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from deploy import credentials
from deploy.devstack.postgres import binaries
from deploy.devstack.privileges import owner_instead_of_root
from tests.support.compose import ROOT, SERVICES
from tests.support.ports import free_port

PROGRAMS = binaries(None)
STOP_TIMEOUT_S = 20


def init_scripts() -> list[Path]:
    """List what docker-compose.yml mounts for the image's first start, in the image's order."""
    mounts = [mount.split(":") for mount in SERVICES["postgres"]["volumes"]]
    scripts = {inside: ROOT / here for here, inside, *_ in mounts if "initdb.d" in inside}
    return [scripts[inside] for inside in sorted(scripts)]


@dataclass(frozen=True)
class Database:
    """A server that was prepared the way the postgres image does it."""

    port: int
    sockets: Path
    secrets: Path
    log: Path

    def prepare(self, secrets: Path) -> subprocess.CompletedProcess[str]:
        """Run the scripts with the options of the image's entrypoint."""
        files = [option for script in init_scripts() for option in ("--file", str(script))]
        return subprocess.run(
            [
                str(PROGRAMS / "psql"),
                *("-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--no-password"),
                *("--host", str(self.sockets), "--port", str(self.port)),
                *("--username", "postgres", "--dbname", credentials.DATABASE),
                *files,
            ],
            env={"PATH": os.environ["PATH"], "GONGJI_SECRETS_DIR": str(secrets)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def url(self, login: str) -> str:
        issued = (self.secrets / f"{login}_database_url").read_text(encoding="utf-8")
        assert "@postgres:5432/" in issued
        return issued.replace("@postgres:5432/", f"@127.0.0.1:{self.port}/")

    def migrate(self, run_secrets: Path) -> subprocess.CompletedProcess[str]:
        """Run the job's own command, its URL in a file as in the container."""
        (run_secrets / "gongji_database_url").write_text(self.url("migrate"), encoding="utf-8")
        return subprocess.run(
            [sys.executable, *SERVICES["migrate"]["command"][1:]],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "GONGJI_SECRETS_DIR": str(run_secrets)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A server of its own, as a user of its own where the tests run as root, which PostgreSQL refuses."""
    issued = tmp_path_factory.mktemp("issued") / "secrets"
    credentials.issue(issued)
    # Not under pytest's folder, which only its owner may enter; short, because a socket's path is.
    home = Path(tempfile.mkdtemp(prefix="gongji-"))
    home.chmod(0o755)
    account = owner_instead_of_root(home, PROGRAMS)
    as_owner = ("setpriv", *account.setpriv_options(), "--") if account else ()

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*as_owner, str(PROGRAMS / program), *arguments],
            cwd=home,
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )

    data, log, port = home / "data", home / "log", free_port()
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {home} -c fsync=off"
    try:
        # Of the image's options all but the one by which its own user comes in: here another one does.
        asked = SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].replace(
            "--auth-local=peer", "--auth-local=trust"
        )
        run("initdb", "-D", str(data), "-U", "postgres", *shlex.split(asked), "-N")
        run("pg_ctl", "-D", str(data), "-l", str(log), "-o", options, "-w", "start")
        try:
            run("createdb", "-h", str(home), "-p", str(port), "-U", "postgres", credentials.DATABASE)
            prepared = Database(port, home, issued, log)
            done = prepared.prepare(issued)
            assert done.returncode == 0, done.stderr
            migrated = prepared.migrate(tmp_path_factory.mktemp("run-secrets"))
            assert migrated.returncode == 0, migrated.stderr
            yield prepared
        finally:
            run("pg_ctl", "-D", str(data), "-m", "immediate", "-t", str(STOP_TIMEOUT_S), "-w", "stop")
    finally:
        shutil.rmtree(home)


async def refused(database: Database, login: str, statement: str, *, role: str | None = None) -> bool:
    """Tell whether PostgreSQL refuses a statement to a login for want of a right; it is undone otherwise."""
    settings = {"role": role} if role else {}
    try:
        session = await asyncpg.connect(database.url(login), server_settings=settings)
    except asyncpg.InsufficientPrivilegeError:
        return True
    try:
        transaction = session.transaction()
        await transaction.start()
        await session.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    else:
        return False
    finally:
        await session.close()


async def test_text_is_in_the_order_of_its_bytes(database: Database) -> None:
    """As in every database that is tested and measured; with a language's order an index would depend on the C library."""
    session = await asyncpg.connect(database.url("migrate"))
    found = await session.fetchrow(
        "SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype FROM pg_database"
        " WHERE datname = current_database()"
    )
    await session.close()

    assert dict(found or {}) == {"encoding": "UTF8", "datcollate": "C", "datctype": "C"}


def test_scripts_can_run_again(database: Database) -> None:
    """Run by hand after a password has changed, the scripts change nothing else."""
    again = database.prepare(database.secrets)

    assert again.returncode == 0, again.stderr


def test_missing_password_stops_the_script(database: Database, tmp_path: Path) -> None:
    """Without a password file no login is left without a password, or with an empty one."""
    stopped = database.prepare(tmp_path)

    assert stopped.returncode != 0
    assert "a password file in GONGJI_SECRETS_DIR is missing or empty" in stopped.stderr


def test_migrations_run_again_as_the_migrating_login(database: Database, tmp_path: Path) -> None:
    """The second start of the job finds the database up to date."""
    again = database.migrate(tmp_path)

    assert again.returncode == 0, again.stderr
    assert again.stdout == "the database is up to date\n"


def test_passwords_are_not_in_the_server_s_log(database: Database) -> None:
    """Statements with a password in them are not logged."""
    log = database.log.read_text(encoding="utf-8")

    assert log
    assert not [
        name
        for name in credentials.DATABASE_LOGINS
        if (database.secrets / f"{name}_password").read_text(encoding="utf-8") in log
    ]


@pytest.mark.parametrize("login", credentials.DATABASE_LOGINS)
async def test_login_is_a_member_of_its_role_alone(database: Database, login: str) -> None:
    """A login has no right of its own, and can act as one role."""
    session = await asyncpg.connect(database.url(login), server_settings={"role": f"gongji_{login}"})
    try:
        row = await session.fetchrow(
            """
            SELECT current_user AS acting,
                ARRAY(
                    SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_roles.oid
                ) AS groups,
                rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS special
            FROM pg_roles
            WHERE rolname = session_user
            """
        )
    finally:
        await session.close()

    assert row is not None
    assert row["acting"] == f"gongji_{login}"
    assert row["groups"] == [f"gongji_{login}"]
    assert row["special"] is False


@pytest.mark.parametrize(
    ("login", "statement"),
    [
        ("settlement", "SELECT FROM registry.persons"),
        ("settlement", "SELECT FROM registry.bindings"),
        ("settlement", "UPDATE ledger.entries SET wallet_fen = 0"),
        ("settlement", "DELETE FROM ledger.entries"),
        ("settlement", "DELETE FROM ledger.accounts"),
        ("settlement", "TRUNCATE ledger.decisions"),
        ("settlement", "CREATE TABLE ledger.mine ()"),
        ("settlement", "CREATE SCHEMA mine"),
        ("settlement", "SET ROLE gongji_migrate"),
        ("settlement", "SET ROLE gongji_binding"),
        ("binding", "SELECT FROM ledger.accounts"),
        ("binding", "UPDATE ledger.accounts SET wallet_fen = 0"),
        ("binding", "INSERT INTO ledger.accounts DEFAULT VALUES"),
        ("binding", "SELECT FROM ledger.entries"),
        ("binding", "DELETE FROM registry.persons"),
        ("binding", "CREATE TABLE public.mine ()"),
        ("binding", "CREATE TEMPORARY TABLE mine ()"),
        ("binding", "SET ROLE gongji_settlement"),
        ("keys", "SELECT FROM ledger.accounts"),
        ("keys", "SELECT insurance FROM registry.persons"),
        ("keys", "UPDATE registry.persons SET status = status"),
        ("keys", "DELETE FROM registry.sealing_keys"),
        ("keys", "SET ROLE gongji_binding"),
        ("binding", "UPDATE registry.sealing_keys SET active = active"),
        ("migrate", "SET ROLE gongji_settlement"),
        ("migrate", "CREATE ROLE mine"),
    ],
)
async def test_what_a_login_may_not_do(database: Database, login: str, statement: str) -> None:
    """Least privilege, as the login itself and as its role."""
    assert await refused(database, login, statement)
    assert await refused(database, login, statement, role=f"gongji_{login}")


@pytest.mark.parametrize(
    ("login", "statement"),
    [
        ("settlement", "SELECT FROM registry.settlement_enrolments"),
        ("settlement", "SELECT FROM ledger.accounts FOR NO KEY UPDATE"),
        ("settlement", "SELECT FROM ledger.entries"),
        ("settlement", "UPDATE ledger.accounts SET wallet_fen = 0"),
        ("binding", "SELECT FROM registry.persons"),
        ("binding", "UPDATE registry.persons SET status = status"),
        ("keys", "UPDATE registry.persons SET name_sealed = name_sealed"),
        ("keys", "UPDATE registry.sealing_keys SET active = active"),
        ("migrate", "CREATE SCHEMA mine"),
    ],
)
async def test_what_a_login_must_be_able_to_do(database: Database, login: str, statement: str) -> None:
    """The refusals above are refusals, and not a database that refuses everything."""
    assert not await refused(database, login, statement, role=f"gongji_{login}")


async def test_nobody_else_gets_in(database: Database) -> None:
    """A login without a role of this database cannot connect, with the right password either."""
    superuser = await asyncpg.connect(
        host=str(database.sockets), port=database.port, user="postgres", database="postgres"
    )
    try:
        await superuser.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    finally:
        await superuser.close()

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(f"postgresql://stranger:stranger@127.0.0.1:{database.port}/{credentials.DATABASE}")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://settlement_login:wrong@127.0.0.1:{database.port}/{credentials.DATABASE}")
