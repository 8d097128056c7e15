"""acts: who was let through to whose affairs, and what for."""

import asyncio
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.environment import environment
from cli.explain import AUDIT_ROLE
from cli.options import AsJson, Lang
from cli.speech import Speech, console, print_json, speech
from shared.domain.times import SHANGHAI, shanghai_moment
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "acts.sql")
# Narrower, and ids are broken where nobody can copy them.
WIDTH_MIN = 120


def acts(
    person: Annotated[str | None, typer.Option(help="About this person.")] = None,
    subject: Annotated[str | None, typer.Option(help="By this subject, such as clerk:li.")] = None,
    since: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="From this Shanghai day on; else all.")
    ] = datetime(2000, 1, 1),  # noqa: DTZ001 only its date counts
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 100,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Tell which clerks and operators looked at whom or did what for whom, newest first."""
    found = asyncio.run(_found(environment()["GONGJI_DATABASE_URL"], person, subject, since.date(), limit))
    if as_json:
        print_json(found)
        return
    console.print(_table(found, speech(lang)))


async def _found(url: str, person_id: str | None, subject: str | None, since: date, limit: int) -> list[dict[str, Any]]:
    connection = await connect(url, role=AUDIT_ROLE, name="gongji-acts")
    try:
        rows = await connection.fetch(SQL["acts"], person_id, subject, shanghai_moment(since), limit)
    finally:
        await connection.close()
    return [dict(row) for row in rows]


def _table(found: list[dict[str, Any]], say: Speech) -> Table:
    table = Table(box=None, min_width=WIDTH_MIN)
    for title in (
        say("at", "时间"),
        say("who", "经办人"),
        say("what", "事项"),
        say("whom", "涉及人员"),
        say("thing", "对象"),
    ):
        table.add_column(title, overflow="fold")
    for act in found:
        at = f"{act['at'].astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"
        table.add_row(at, act["subject"], act["action"], ", ".join(act["person_ids"]), act["thing_id"] or "")
    return table
