"""policy: what each region allows, as dated data. List and show what holds; check and load files."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import yaml
from pydantic import TypeAdapter, ValidationError

from cli.environment import environment
from cli.explain import AUDIT_ROLE
from cli.options import AsJson
from cli.speech import REJECTED, console, errors, print_json
from cli.stack import make_token
from shared.domain.policy import SHIPPED, PolicyBook, PolicyCode, PolicyVersion, RegionPolicy
from shared.domain.roles import Role
from shared.domain.times import shanghai_date
from shared.messages.catalogue import describe
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "policy.sql")
FILE = TypeAdapter(dict[PolicyCode, RegionPolicy])

app = typer.Typer(help="Region policies: dated data, changed over HTTP without a deployment.", no_args_is_help=True)
PolicyFile = Annotated[Path, typer.Argument(help="YAML: a policy under each region code.", exists=True, dir_okay=False)]


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
        policy = each.policy
        console.print(
            f"{each.name:<12} {origin:<8} from {policy.effective_from}  scope {policy.scope}, funds {policy.funds}, "
            f"keep {policy.keep_fen} fen, members {policy.members_max}"
        )


@app.command()
def show(
    region: Annotated[str, typer.Argument(help="Six digits.")],
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
    policies = read_policies(file)
    console.print(f"{file.name}: {', '.join(policies)} can be put")


@app.command()
def load(file: PolicyFile) -> None:
    """Put the policies of a file as new versions; workers use them from their next batch on."""
    policies = read_policies(file)
    base_url, headers = environment()["GONGJI_BINDING_URL"], {"Authorization": f"Bearer {make_token(Role.OPERATOR)}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=20) as http:
        for code, policy in policies.items():
            response = http.put(f"/v1/regions/{code}/policy", json=policy.model_dump(mode="json"))
            if response.is_error:
                errors.print(f"[red]{code}: {response.status_code} {response.json().get('detail_en', '')}[/]")
                raise typer.Exit(REJECTED)
            console.print(f"put {code}@{response.json()['version']}, effective {policy.effective_from}")


def read_policies(file: Path) -> dict[str, RegionPolicy]:
    """The policies of a file by their codes. Ends the command where one is wrong."""
    try:
        return FILE.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        errors.print(f"[red]{file.name}: {describe(error)}[/]")
    except UnicodeDecodeError:
        errors.print(f"[red]{file.name} is not UTF-8: save it so[/]")
    except yaml.YAMLError as error:
        errors.print(f"[red]{file.name} is not YAML: {error}[/]")
    raise typer.Exit(REJECTED)


async def _book(url: str) -> PolicyBook:
    connection = await connect(url, role=AUDIT_ROLE, name="gongji-policy")
    try:
        rows = await connection.fetch(SQL["versions"])
    finally:
        await connection.close()
    return PolicyBook.of_rows([dict(row) for row in rows])


def _plain(version: PolicyVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "code": version.code or "default",
        "version": version.version,
    } | version.policy.model_dump(mode="json")
