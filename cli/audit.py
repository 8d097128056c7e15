"""audit: proves the ledger. Its queries know nothing of the worker's code, only what the contract promises."""

import asyncio
from typing import Annotated, Any

import typer

from cli.environment import environment
from cli.explain import AUDIT_ROLE
from cli.speech import BROKEN, Speech, console, print_json, speech
from shared.domain.money import yuan
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "audit.sql")
INVARIANTS = tuple(name for name in SQL if name != "totals")
ROWS_SHOWN = 20


def audit(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    lang: Annotated[str | None, typer.Option("--lang", help="zh or en; else the terminal's language.")] = None,
) -> None:
    """Prove the ledger: check every invariant; exit 1 and the rows if one is broken."""
    found = asyncio.run(prove(environment()["GONGJI_DATABASE_URL"]))
    if as_json:
        print_json(found)
    else:
        show(found, speech(lang))
    if not found["holds"]:
        raise typer.Exit(BROKEN)


async def prove(url: str) -> dict[str, Any]:
    """Every invariant with the rows that break it, all seen at one moment, also while settlements go on."""
    connection = await connect(url, role=AUDIT_ROLE, name="gongji-audit")
    try:
        # An audit may take its time; nobody waits for it.
        await connection.execute("SET statement_timeout = 0")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            broken = {name: await _rows(connection, name) for name in INVARIANTS}
            totals = dict((await connection.fetch(SQL["totals"]))[0])
    finally:
        await connection.close()
    conserved = totals["held_fen"] + totals["payable_fen"] == totals["contributed_fen"]
    return {
        "holds": conserved and not any(broken.values()),
        "conserved": conserved,
        "totals": totals,
        "broken": broken,
    }


async def _rows(connection: Any, name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(f"{SQL[name]}\nLIMIT {ROWS_SHOWN}")]


def show(found: dict[str, Any], say: Speech) -> None:
    for name, rows in found["broken"].items():
        mark = "[green]holds[/] " if not rows else "[red]BROKEN[/]"
        console.print(f"  {mark} {name.replace('_', ' ')}")
        for row in rows:
            console.print(f"           {row}")
    totals = found["totals"]
    mark = "[green]holds[/] " if found["conserved"] else "[red]BROKEN[/]"
    console.print(f"  {mark} held + payable = contributed: ", end="")
    console.print(
        f"{yuan(totals['held_fen'])} + {yuan(totals['payable_fen'])} = {yuan(totals['contributed_fen'])} "
        + say("yuan", "元")
    )
    console.print(
        say(
            f"{totals['accounts']} accounts, {totals['entries']} entries, {totals['decisions']} decisions: "
            + ("proven" if found["holds"] else "[red]not proven[/]"),
            f"账户 {totals['accounts']} 个，分录 {totals['entries']} 条，裁定 {totals['decisions']} 条："
            + ("账实相符" if found["holds"] else "[red]账实不符[/]"),
        )
    )
