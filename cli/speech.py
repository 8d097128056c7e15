"""What the command says: in English or in Chinese, for people or as JSON."""

import os
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Console

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# Exit codes: an answer that decides anything is a success, also a declined one.
ANSWERED = 0
REJECTED = 1
USAGE = 2
NO_ANSWER = 3
BROKEN = 1


@dataclass(frozen=True, slots=True)
class Speech:
    """One of the two languages."""

    chinese: bool

    def __call__(self, english: str, chinese: str) -> str:
        return chinese if self.chinese else english


OUTCOMES = {
    "settled": "全额支付",
    "answered": "已逐笔答复",
    "partial": "部分支付",
    "declined": "未支付",
    "rejected": "不予受理",
    "credited": "已划入",
    "transferred": "已转入",
    "pending": "待接收",
    "refunded": "已退费",
    "cancelled": "已冲正",
    "balanced": "账平",
    "differs": "不平",
    "found": "已找到",
    "not_found": "未找到",
}
STATES = {
    "pending": "待接收",
    "accepted": "已接收",
    "returned": "已退回",
    "refused": "不予办理",
    "nothing to accept": "没有待接收的转账",
}
EFFECTS = {
    "reversed": "已退回款项",
    "nothing_to_reverse": "没有可退回的款项",
    "blocked": "原交易尚未到达，到达后不再受理",
}
DIFFERENCES = {
    "missing_here": "本方没有",
    "missing_there": "对方没有",
    "different": "金额不一致",
}
FIELDS = {
    "amount_fen": "个人负担总金额",
    "own_account_fen": "本人账户支付",
    "wallet_fen": "医保钱包支付",
    "mutual_aid_fen": "家庭共济支付",
    "cash_fen": "个人现金支付",
    "own_balance_fen": "本人账户余额",
    "current_year_fen": "当年余额",
    "prior_years_fen": "历年余额",
    "refunded_fen": "已退金额",
    "payer_id": "共济人",
    "settlement_id": "结算编号",
    "transfer_id": "转账编号",
    "accept_by": "接收期限",
    "request_id": "流水号",
    "original": "原交易",
    "effect": "冲正结果",
    "ours": "本方",
    "theirs": "对方",
}


def speech(lang: str | None) -> Speech:
    """The language asked for, else the one of the terminal: LC_ALL, LC_MESSAGES or LANG beginning with zh is Chinese."""
    wanted = lang or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return Speech(wanted.lower().startswith("zh"))


def printable(text: str) -> str:
    """Somebody else's words for a terminal: what would move its cursor or colour it is written out; lines stay lines."""
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode() for each in text
    )


def complain(text: str) -> None:
    """What went wrong, on stderr, word for word: there may be brackets in it, or a command to be copied."""
    errors.print(text, style="red", markup=False, soft_wrap=True)


def print_json(content: Any) -> None:
    """One JSON document on stdout, for other programs."""
    print(orjson.dumps(content, option=orjson.OPT_INDENT_2, default=str).decode())  # noqa: T201
