"""policy: what each region allows, as dated data. List and show what holds; check and load files."""

import asyncio
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from cli.documents import Unreadable
from cli.environment import environment
from cli.explain import AUDIT_ROLE
from cli.options import AsJson
from cli.policy_files import Wrong, read_policies
from cli.speech import REJECTED, console, errors, print_json
from cli.stack import make_token
from shared.domain.policy import POLICY_CODE_PATTERN, SHIPPED, PolicyBook, PolicyVersion, RegionPolicy
from shared.domain.roles import Role
from shared.domain.times import shanghai_date
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "policy.sql")

app = typer.Typer(help="Region policies: dated data, changed over HTTP without a deployment.", no_args_is_help=True)
PolicyFile = Annotated[Path, typer.Argument(help="YAML: a policy under each region code.", exists=True, dir_okay=False)]


def region_code(said: str) -> str:
    if not re.fullmatch(POLICY_CODE_PATTERN, said):
        raise typer.BadParameter("a region code has two, four or six digits")
    return said


@app.command("list")
def list_policies(as_json: AsJson = False) -> None:
    """List every version: those shipped, and those that operators have put on top of them."""
    book = asyncio.run(_book(environment()["GONGJI_DATABASE_URL"]))
    versions = sorted((each for found in book.versions.values() for each in found), key=lambda each: each.name)
    if as_json:
        print_json([_plain(each) for each in versions])
        return
    for each in versions:
        origin = "shipped" if each.version == SHIPPED else "put"
        console.print(
            f"{each.name:<12} {origin:<8} from {each.policy.effective_from}  {_in_short(each.policy)}", soft_wrap=True
        )


@app.command()
def show(
    region: Annotated[
        str,
        typer.Argument(
            help="A region code: six digits, or the four of a pooling area, or the two of a province.",
            callback=region_code,
        ),
    ],
    on: Annotated[datetime | None, typer.Option("--on", help="Shanghai date; today if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the policy that holds for a region on a day, and where it comes from."""
    book = asyncio.run(_book(environment()["GONGJI_DATABASE_URL"]))
    try:
        version = book.on(region, on.date() if on else shanghai_date(datetime.now(UTC)))
    except LookupError as error:
        errors.print(f"[red]{error}[/]")
        raise typer.Exit(REJECTED) from None
    if as_json:
        print_json(_plain(version))
        return
    console.print(f"[bold]{version.name}[/]")
    for field, value in version.policy.model_dump(mode="json").items():
        console.print(f"  {field:<28} {value}")


@app.command()
def check(file: PolicyFile) -> None:
    """Check a file of policies; exit 1 and say what is wrong with which field."""
    policies = _read(file)
    console.print(f"{file.name}: {', '.join(policies)} can be put")


@app.command()
def load(file: PolicyFile) -> None:
    """Put the policies of a file as new versions; workers use them from their next batch on.

    Says which of them have no effect, because a version with a later date holds already.
    """
    policies, put = _read(file), []
    base_url, headers = environment()["GONGJI_BINDING_URL"], {"Authorization": f"Bearer {make_token(Role.OPERATOR)}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=20) as http:
        for code, policy in policies.items():
            response = http.put(f"/v1/regions/{code}/policy", json=policy.model_dump(mode="json"))
            if response.is_error:
                errors.print(f"[red]{code}: {response.status_code} {response.json().get('detail_en', '')}[/]")
                raise typer.Exit(REJECTED)
            put.append(PolicyVersion(code, response.json()["version"], policy))
            console.print(f"put {put[-1].name}, effective {policy.effective_from}")
    book, today = asyncio.run(_book(environment()["GONGJI_DATABASE_URL"])), shanghai_date(datetime.now(UTC))
    for each in put:
        if holds := overtaken(book, each, today):
            since = holds.policy.effective_from
            errors.print(f"[yellow]{each.name} has no effect: {holds.name} holds, effective {since}[/]", soft_wrap=True)


def _read(file: Path) -> dict[str, RegionPolicy]:
    """The policies of a file. Ends the command where one is wrong."""
    try:
        return read_policies(file)
    except Unreadable as error:
        errors.print(str(error), style="red", markup=False)
    except Wrong as error:
        for problem in error.problems:
            errors.print(problem, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(REJECTED)


def overtaken(book: PolicyBook, put: PolicyVersion, today: date) -> PolicyVersion | None:
    """The version that holds in place of one that was put, on the first day on which that one could."""
    holds = book.on(put.code, max(today, put.policy.effective_from))
    return None if holds.name == put.name else holds


async def _book(url: str) -> PolicyBook:
    connection = await connect(url, role=AUDIT_ROLE, name="gongji-policy")
    try:
        rows = await connection.fetch(SQL["versions"])
    finally:
        await connection.close()
    return PolicyBook.of_rows([dict(row) for row in rows])


def _in_short(policy: RegionPolicy) -> str:
    """In what a policy differs from one of which nothing is said but the date."""
    said = policy.model_dump(mode="json", exclude_defaults=True, exclude={"effective_from"})
    return "; ".join(f"{field} {_words(value)}" for field, value in said.items()) or "as the default"


def _words(value: Any) -> str:
    match value:
        case None:
            return "no limit"
        case dict():
            return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
        case list():
            return ", ".join(value) or "none"
        case _:
            return str(value)


def _plain(version: PolicyVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "code": version.code or "default",
        "version": version.version,
    } | version.policy.model_dump(mode="json")
