"""audit: proves the ledger. Its queries know nothing of the worker's code, only what the contract promises."""

import asyncio
from typing import Any

import typer

from cli.environment import environment
from cli.explain import AUDIT_ROLE
from cli.options import AsJson, Lang
from cli.speech import BROKEN, Speech, console, print_json, speech
from shared.domain.money import yuan
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "audit.sql")
INVARIANTS = tuple(name for name in SQL if name != "totals")
ROWS_SHOWN = 20
CHINESE = {
    "entries_sum_to_zero": "每笔变动借贷平衡",
    "balances_equal_entries": "账户余额等于分录之和",
    "no_balance_is_negative": "没有负余额",
    "one_decision_per_request": "每个流水号只有一次裁定",
    "every_movement_was_decided": "每笔变动都有裁定依据",
    "every_decision_moved_what_it_says": "结算裁定与实际扣款一致",
    "every_credit_moved_what_it_says": "划入裁定与实际入账一致",
    "every_transfer_moved_what_it_says": "每笔钱包转账与实际进出一致",
    "every_arrival_was_given": "每笔到账、退回都有对应的转账",
    "nothing_is_given_back_twice": "退回金额不超过原支付金额",
    "nothing_cancelled_has_an_effect": "已冲正的交易不再有效力",
    "a_year_turns_once": "每个账户每年至多结转一次",
    "answers_add_up": "各支付项之和等于总金额",
    "one_payer_per_settlement": "每笔结算至多一位共济人",
    "the_payer_was_the_richest": "付款人是余额最多的共济人",
    "the_payer_was_a_candidate": "付款人在候选共济人之中",
}


def audit(
    as_json: AsJson = False,
    lang: Lang = None,
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
    conserved = totals["held_fen"] + totals["payable_fen"] + totals["in_transit_fen"] == totals["contributed_fen"]
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
        console.print(f"  {_mark(not rows, say)} {say(name.replace('_', ' '), CHINESE[name])}")
        for row in rows:
            console.print(f"           {row}")
    totals = found["totals"]
    sums = say("held + payable + in transit = contributed", "账户结余 + 应付机构 + 转账在途 = 划入总额")
    console.print(f"  {_mark(found['conserved'], say)} {sums}: ", end="")
    console.print(
        f"{yuan(totals['held_fen'])} + {yuan(totals['payable_fen'])} + {yuan(totals['in_transit_fen'])} = {yuan(totals['contributed_fen'])} "
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


def _mark(holds: object, say: Speech) -> str:
    return f"[green]{say('holds ', '成立')}[/]" if holds else f"[red]{say('BROKEN', '不成立')}[/]"
