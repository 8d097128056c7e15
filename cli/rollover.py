"""rollover: the turn of the year in the books."""

import asyncio
from typing import Annotated

import asyncpg
import typer

from cli.environment import environment
from cli.options import AsJson, Lang
from cli.speech import USAGE, console, errors, print_json, speech
from services.settlement.rollover import ROLE, Progress, YearNotBegun, roll_over
from shared.domain.money import yuan
from shared.domain.times import shanghai_year, system_clock
from shared.postgres.pool import connect


def rollover(
    year: Annotated[int | None, typer.Option(help="The year that has begun; else the present one.", min=2000)] = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Turn this year's balances of earlier years into earlier years' money, in the books too.

    Settlements count them so from the first second of 1 January; this writes it down for every account. It may be
    interrupted and run again, beside running workers.
    """
    say = speech(lang)
    wanted = year or shanghai_year(system_clock())
    try:
        done = asyncio.run(_run(environment()["GONGJI_DATABASE_URL"], wanted))
    except YearNotBegun as error:
        errors.print(
            say(f"[red]{error}: nothing was done[/]", f"[red]{wanted} 年（北京时间）尚未开始，未作任何处理[/]")
        )
        raise typer.Exit(USAGE) from None
    if as_json:
        print_json({"year": wanted, "accounts": done.accounts, "moved_fen": done.moved_fen})
        return
    console.print(
        say(
            f"{wanted}: {done.accounts} accounts turned, {yuan(done.moved_fen)} yuan became earlier years' money",
            f"{wanted} 年：结转账户 {done.accounts} 个，{yuan(done.moved_fen)} 元转为历年结余",
        )
    )


async def _run(url: str, year: int) -> Progress:
    connection: asyncpg.Connection[asyncpg.Record] = await connect(url, role=ROLE, name="gongji-rollover")
    done = Progress()
    try:
        async for done in roll_over(connection, year, system_clock()):
            if errors.is_terminal:
                errors.print(f"[dim]{done.accounts}[/]")
    finally:
        await connection.close()
    return done
