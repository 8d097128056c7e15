"""up, down, env, token, migrate: the stack on this machine."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from cli.environment import environment, state_directory
from cli.options import AsJson
from cli.speech import USAGE, console, errors, print_json
from deploy.devstack import launch, state
from shared.domain.roles import Role
from shared.postgres.migrate import migrate as apply_migrations
from shared.postgres.migrate import shipped_migrations
from shared.postgres.pool import connect
from shared.runtime.tokens import sign_token

TOKEN_LIFE_S = 12 * 3600


def up(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Settlement workers to run.")] = 1,
    pg: Annotated[str | None, typer.Option(help="PostgreSQL version to use, such as 15, if it is installed.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Let PostgreSQL and RabbitMQ speak TLS only.")] = False,
) -> None:
    """Start the whole stack in the background and return when it is ready.

    A private PostgreSQL and RabbitMQ on free loopback ports, the binding service and the settlement workers. What dies
    is started again. With GONGJI_DATABASE_URL or GONGJI_AMQP_URL set, that server is used instead.
    """
    forget_own_urls()
    launch.up(state_directory(), workers=workers, pg=pg, tls=tls, progress=console.print)
    console.print("ready; `gongji env` tells how to reach it, `gongji down` stops it")


def forget_own_urls() -> None:
    """After `eval "$(gongji env)"` the stack's own urls are in the environment; they are not given servers."""
    known = state.load(state_directory())
    for name, value in known.environment().items() if known else ():
        if os.environ.get(name) == value:
            del os.environ[name]


def down() -> None:
    """Stop what `gongji up` started. The data stays."""
    stopped = launch.down(state_directory(), progress=console.print)
    console.print("stopped" if stopped else "nothing was running")


def env(as_json: AsJson = False) -> None:
    """Print how to reach the stack, as lines for a shell's `eval` or as JSON."""
    running = state.read(state_directory())
    variables = dict(sorted(environment().variables.items()))
    if as_json:
        processes = [process.model_dump(include={"name", "pid"}) for process in running.processes] if running else []
        print_json({**variables, "processes": processes})
        return
    if not variables:
        errors.print(
            "[red]no stack is running here: run `gongji up`, or set GONGJI_DATABASE_URL and GONGJI_AMQP_URL[/]"
        )
        raise typer.Exit(USAGE)
    for name, value in variables.items():
        print(f"export {name}='{value}'")  # noqa: T201


def token(
    role: Annotated[Role, typer.Option(help="What the bearer may do.")],
    person: Annotated[str | None, typer.Option(help="The member's person id.")] = None,
    institution: Annotated[str | None, typer.Option(help="The institution the bearer works for.")] = None,
) -> None:
    """Print a bearer token for the binding service's HTTP API of the local stack."""
    if role is Role.MEMBER and person is None:
        errors.print("[red]a member is a person: add --person P[/]")
        raise typer.Exit(USAGE)
    if role is Role.INSTITUTION and institution is None:
        errors.print("[red]an institution has an id: add --institution I[/]")
        raise typer.Exit(USAGE)
    print(make_token(role, person, institution))  # noqa: T201


def make_token(role: Role, person: str | None = None, institution: str | None = None) -> str:
    """A token signed with the local stack's key, good for twelve hours."""
    key = Path(environment()["GONGJI_JWT_PRIVATE_KEY_FILE"]).read_bytes()
    return sign_token(key, role, person_id=person, institution_id=institution, life_s=TOKEN_LIFE_S)


def migrate() -> None:
    """Bring the database up to date. Safe to run again, and by several at once."""
    asyncio.run(_migrate(environment()["GONGJI_DATABASE_URL"]))


async def _migrate(url: str) -> None:
    connection = await connect(url, role=None, name="gongji-migrate")
    try:
        for migration in await apply_migrations(connection, shipped_migrations()):
            console.print(f"applied {migration.number:04d} {migration.name}")
    finally:
        await connection.close()
    console.print("the database is up to date")
