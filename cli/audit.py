"""audit: proves the ledger. Its queries know nothing of the worker's code, only what the contract promises."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from cli.environment import environment
from cli.explain import AUDIT_ROLE
from cli.options import AsJson, Lang
from cli.speech import BROKEN, Speech, console, print_json, speech
from shared.domain.money import yuan
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "audit.sql")
INVARIANTS = tuple(name for name in SQL if name not in {"totals", "proven_up_to", "head"})
# Not a query of its own: it is asked of what somebody has written down.
HEADS = "heads_are_in_the_chain"
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
    "every_refund_moved_what_it_says": "退费、冲正裁定与实际退回一致",
    "whatever_undoes_has_its_original": "每笔退回、收回都对应原交易和原付款人",
    "every_cancel_is_written_down": "冲正裁定与冲正登记一致",
    "what_is_left_is_what_was_not_given_back": "可退余额逐项等于原支付减已退回",
    "no_balance_is_of_a_year_gone_by": "账户余额的年度不早于最近一次变动",
    "every_arrival_was_given": "每笔到账、退回都有对应的转账",
    "nothing_is_given_back_twice": "退回金额不超过原支付金额",
    "nothing_cancelled_has_an_effect": "已冲正的交易不再有效力",
    "a_year_turns_once": "每个账户每年至多结转一次",
    "every_decision_was_answered": "每个裁定都有对应的答复",
    "everything_is_sealed_once": "每笔裁定和变动都恰好封存一次",
    "every_seal_covers_what_it_covered": "封存后的内容未被改动",
    "the_chain_is_unbroken": "封存链完整无缺",
    "every_closed_day_is_as_it_was": "日结数据与账务一致",
    "days_are_closed_without_a_gap": "日结日期连续无缺",
    HEADS: "另行记下的链首仍在链中",
    "answers_add_up": "各支付项之和等于总金额",
    "one_payer_per_settlement": "每笔结算至多一位共济人",
    "the_payer_was_the_richest": "付款人是余额最多的共济人",
    "the_payer_was_a_candidate": "付款人在候选共济人之中",
    "what_was_seen_was_there": "裁定时所见余额与当时的分录相符",
}


def audit(
    head: Annotated[
        list[str] | None,
        typer.Option(help="PROVINCE:SEAL:HASH as an earlier audit or an event gave it; must still be in the chain."),
    ] = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Prove the ledger: check every invariant; exit 1 and the rows if one is broken.

    It tells up to which seal each province is proven. Keep that somewhere else and give it as --head the next time: then not
    even the owner of the database can have written the past anew.
    """
    found = asyncio.run(prove(environment()["GONGJI_DATABASE_URL"], [_head(text) for text in head or []]))
    if as_json:
        print_json(found)
    else:
        show(found, speech(lang))
    if not found["holds"]:
        raise typer.Exit(BROKEN)


class Head(NamedTuple):
    """A seal's hash, as it was written down."""

    province: int
    seal_no: int
    hash: str


def _head(text: str) -> Head:
    match = re.fullmatch(r"(\d{1,2}):(\d{1,18}):([0-9a-f]{64})", text.lower())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not PROVINCE:SEAL:HASH, such as 13:7:<64 hexadecimal digits>")
    return Head(int(match[1]), int(match[2]), match[3])


async def prove(url: str, heads: Sequence[Head] = ()) -> dict[str, Any]:
    """Every invariant with the rows that break it, all seen at one moment, also while settlements go on.

    The database does the adding up and hands out at most a few rows, so memory is bounded here; there it sorts on disk what
    does not fit.
    """
    connection = await connect(url, role=AUDIT_ROLE, name="gongji-audit")
    try:
        # An audit may take its time; nobody waits for it.
        await connection.execute("SET statement_timeout = 0")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # In the order in which a month is prepared, which waits for an audit and must not wait for it in a circle.
            await connection.execute("LOCK TABLE ledger.decisions, ledger.entries IN ACCESS SHARE MODE")
            broken = {name: await _rows(connection, name) for name in INVARIANTS}
            broken[HEADS] = [
                head._asdict() for head in heads if await connection.fetchval(SQL["head"], *head[:2]) != head.hash
            ]
            proven = [dict(row) for row in await connection.fetch(SQL["proven_up_to"])]
            totals = dict((await connection.fetch(SQL["totals"]))[0])
    finally:
        await connection.close()
    conserved = totals["held_fen"] + totals["payable_fen"] + totals["in_transit_fen"] == totals["contributed_fen"]
    return {
        "holds": conserved and not any(broken.values()),
        "conserved": conserved,
        "totals": totals,
        "broken": broken,
        "proven_up_to": proven,
    }


async def _rows(connection: Any, name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(f"{SQL[name]}\nLIMIT {ROWS_SHOWN}")]


def show(found: dict[str, Any], say: Speech) -> None:
    for name, rows in found["broken"].items():
        console.print(f"  {_mark(not rows, say)} {say(name.replace('_', ' '), CHINESE[name])}")
        for row in rows:
            console.print(f"           {row}")
    for row in found["proven_up_to"]:
        console.print(f"  {_proven(row, say)}")
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


def _proven(row: dict[str, Any], say: Speech) -> str:
    """How far a province's chain goes."""
    waiting = row["unsealed_transactions"]
    if row["seal_no"] is None:
        return say(
            f"{row['province']:02d}: nothing is sealed yet, {waiting} transactions wait",
            f"{row['province']:02d}：尚无封存，{waiting} 批待封存",
        )
    head = f"{row['province']:02d}:{row['seal_no']}:{row['hash']}"
    rest = say(f", {waiting} transactions wait to be sealed", f"，{waiting} 批待封存") if waiting else ""
    return say(f"proven up to {head}", f"已证实至 {head}") + rest


def _mark(holds: object, say: Speech) -> str:
    return f"[green]{say('holds ', '成立')}[/]" if holds else f"[red]{say('BROKEN', '不成立')}[/]"
