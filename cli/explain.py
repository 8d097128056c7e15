"""explain: why this payer? The candidates, what each could have paid, what moved, and what became of it."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer
from rich.table import Table

from cli.environment import environment
from cli.options import AsJson, Lang
from cli.recheck import decided_again
from cli.speech import BROKEN, OUTCOMES, REJECTED, Speech, console, errors, print_json, speech
from shared.domain.ids import parse_public_id, public_id
from shared.domain.money import yuan
from shared.domain.mutual_aid import ranked
from shared.domain.reasons import TEXTS, Reason
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "explain.sql")
AUDIT_ROLE = "gongji_audit"
PARTS = {
    "current_year_fen": ("current_year", "当年"),
    "prior_years_fen": ("prior_years", "历年"),
    "wallet_fen": ("wallet", "钱包"),
}
CONTRAS = {
    "payable": ("payable", "应付"),
    "contribution": ("contribution", "划入"),
    "in_transit": ("in_transit", "在途"),
    "self": ("self", "本账户"),
}
# What may happen to a movement later.
KINDS = {
    "refund": ("refund", "退回"),
    "refund_reversal": ("refund_reversal", "退费冲正"),
    "credit_reversal": ("credit_reversal", "划入冲正"),
    "transfer_reversal": ("transfer_reversal", "转账冲正"),
}
WHY_NOT = {
    "nothing_decided": (
        "nothing was decided, the request was cancelled before it came",
        "请求到达之前已被冲正，没有裁定过",
    ),
    "request_unreadable": (
        "the request, as it is stored, is none that could have been accepted",
        "所存的请求内容不合格式，不可能是当时受理的请求",
    ),
    "record_too_old": (
        "its record is older than what the rule would have to see",
        "裁定记录形成较早，缺少规则所需的内容",
    ),
    "policy_unknown": ("a policy that its record names is not known any more", "裁定记录中的政策版本已不存在"),
    "transfer_state_not_kept": (
        "where a transfer stood when it was cancelled is not kept",
        "未保留冲正时转账所处的状态",
    ),
}


def explain(
    settlement_id: Annotated[str, typer.Argument(help="A settlement_id, or REGION/INSTITUTION/REQUEST_ID.")],
    again: Annotated[
        bool, typer.Option("--recheck", help="Decide it again by the rule of today; exit 1 if the answer differs.")
    ] = False,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Tell why a request was decided as it was: candidates, what was locked, the rule that decided."""
    url = environment()["GONGJI_DATABASE_URL"]
    story = asyncio.run(_story(url, settlement_id))
    if story is None:
        errors.print(
            f"[red]there is no decision {settlement_id}: give a settlement_id, a transfer_id or a movement_id, such as "
            "13-019a..., or REGION/INSTITUTION/REQUEST_ID[/]"
        )
        raise typer.Exit(REJECTED)
    if again:
        place = parse_public_id(story["decision_id"])
        assert place
        story["recheck"] = asyncio.run(decided_again(url, *place))
    if as_json:
        print_json(story)
    else:
        _tell(story, speech(lang))
    if again and story["recheck"]["result"] == "different":
        raise typer.Exit(BROKEN)


async def _story(url: str, name: str) -> dict[str, Any] | None:
    """The decision with its candidates in rank order and its entries, or None."""
    connection = await connect(url, role=AUDIT_ROLE, name="gongji-explain")
    try:
        decision = await _decision(connection, name)
        if decision is None:
            return None
        story = dict(decision)
        for field in ("request", "record", "answer"):
            story[field] = orjson.loads(story[field])
        record, province = story.pop("record"), decision["province"]
        moved = (province, story["decision_id"])
        story["entries"] = [dict(row) for row in await connection.fetch(SQL["entries"], *moved)]
        story["later"] = [dict(row) for row in await connection.fetch(SQL["later"], *moved)]
    finally:
        await connection.close()
    story |= {
        "policy": record.get("policy"),
        "locked": record.get("locked", []),
        "candidates": ranked(record.get("considered", [])),
    }
    story["decision_id"] = public_id(province, story["decision_id"])
    for named in (*story["candidates"], *story["entries"], *story["later"]):
        if named["binding_id"]:
            named["binding_id"] = public_id(province, UUID(str(named["binding_id"])))
    return story


async def _decision(connection: Any, name: str) -> Any:
    place = parse_public_id(name)
    if place is None:
        region, _, rest = name.partition("/")
        institution, _, request_id = rest.partition("/")
        if not (region[:2].isdigit() and institution and request_id):
            return None
        province = int(region[:2])
        place = province, await connection.fetchval(SQL["id_of"], province, institution, request_id)
    return await connection.fetchrow(SQL["by_id"], *place)


def _tell(story: dict[str, Any], say: Speech) -> None:
    answer = story["answer"]
    console.print(
        say(
            f"[bold]{story['operation']}[/] {story['request_id']} from {story['institution_id']}, "
            f"decided {story['decided_at']:%Y-%m-%d %H:%M:%S} UTC: [bold]{story['outcome']}[/]",
            f"[bold]{story['operation']}[/] {story['request_id']}，来自 {story['institution_id']}，"
            f"{story['decided_at']:%Y-%m-%d %H:%M:%S} UTC 裁定：[bold]{OUTCOMES.get(story['outcome'], story['outcome'])}[/]",
        )
    )
    if story["reason"]:
        text = TEXTS[Reason(story["reason"])]
        console.print(f"  {story['reason']}: {say(text.english, text.chinese)}")
    if story["policy"]:
        console.print(
            say(f"Policy of the person's region: {story['policy']}", f"本人参保地适用政策：{story['policy']}")
        )
    if story["candidates"]:
        console.print(_candidates(story, answer, say))
    if story["locked"]:
        console.print(say("Locked, in this order: ", "依次锁定：") + ", ".join(story["locked"]))
    for entry in story["entries"]:
        contra = say(*CONTRAS[entry["contra"]])
        console.print(f"  {_moved(entry, say)} → {contra} {story['institution_id']} {yuan(entry['contra_fen'])}")
    for entry in story["later"]:
        console.print(
            f"  {entry['moved_at']:%Y-%m-%d %H:%M:%S} UTC {say(*KINDS[entry['kind']])} {entry['request_id']}: {_moved(entry, say)}"
        )
    if story["cancelled_by"]:
        console.print(say(f"Cancelled by {story['cancelled_by']}", f"已冲正，冲正流水号 {story['cancelled_by']}"))
    if "recheck" in story:
        _tell_recheck(story["recheck"], say)


def _tell_recheck(found: dict[str, Any], say: Speech) -> None:
    match found["result"]:
        case "same":
            console.print(say("Decided again by the rule of today: the same answer", "按现行规则重新裁定：答复一致"))
        case "impossible":
            english, chinese = WHY_NOT[found["why_not"]]
            console.print(say(f"It cannot be decided again: {english}", f"无法重新裁定：{chinese}"))
        case _:
            console.print(
                say(
                    "[red]Decided again by the rule of today: another answer[/]",
                    "[red]按现行规则重新裁定：答复不一致[/]",
                )
            )
            for field, values in found["differences"].items():
                console.print(
                    say(
                        f"  {field}: stored {values['stored']}, now {values['now']}",
                        f"  {field}：原为 {values['stored']}，现为 {values['now']}",
                    )
                )


def _moved(entry: dict[str, Any], say: Speech) -> str:
    """Whose account, and which of its parts by how much."""
    parts = ", ".join(f"{say(*words)} {yuan(entry[field])}" for field, words in PARTS.items() if entry[field])
    return f"{entry['person_id']}: {parts}"


def _candidates(story: dict[str, Any], answer: dict[str, Any], say: Speech) -> Table:
    table = Table(title=say("Candidates, richest first", "候选共济人（可共济余额从多到少）"), title_justify="left")
    for english, chinese in (
        ("payer", "共济人"),
        ("usable, yuan", "可共济余额（元）"),
        ("bound at", "绑定时间"),
        ("policy", "适用政策"),
    ):
        table.add_column(say(english, chinese), no_wrap=True)
    # It alone may take several lines: half an id or half a sum is worse than none.
    table.add_column(say("verdict", "结论"), overflow="fold")
    for place, seen in enumerate(story["candidates"]):
        if seen["out"]:
            text = TEXTS[Reason(seen["out"])]
            verdict = f"{say('out', '不参与')}: {say(text.english, text.chinese)}"
        elif seen["payer_id"] == answer["payer_id"]:
            verdict = say("pays the whole shortfall", "支付全部差额")
        elif place == 0:
            text = TEXTS[Reason(story["reason"])]
            verdict = say(text.english, text.chinese)
        else:
            verdict = say("not the richest; payers are never combined", "不是余额最多者；不合并支付")
        table.add_row(seen["payer_id"], yuan(seen["usable_fen"]), str(seen["bound_at"])[:19], seen["policy"], verdict)
    return table
