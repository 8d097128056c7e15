"""settle, quote, refund, cancel, credit, transfer, lookup, reconcile: one request through the broker, its answer printed."""

import asyncio
import csv
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import ValidationError

from cli.institution import SendsAs, sends_as
from cli.options import AsJson, Lang
from cli.speech import (
    ANSWERED,
    DIFFERENCES,
    EFFECTS,
    FIELDS,
    NO_ANSWER,
    OUTCOMES,
    REJECTED,
    USAGE,
    Speech,
    complain,
    console,
    errors,
    print_json,
    speech,
)
from shared.domain.money import yuan
from shared.domain.policy import ExpenseType
from shared.domain.reasons import TEXTS, Reason
from shared.domain.times import SHANGHAI
from shared.messages.catalogue import CATALOGUE, INQUIRY_QUEUE, describe
from shared.messages.credit import CreditRequest
from shared.messages.envelope import Request
from shared.messages.lookup import LookupRequest
from shared.messages.reconcile import ReconcileRequest
from shared.messages.settle import QuoteRequest, SettleRequest
from shared.messages.transfer import TransferRequest
from shared.messages.undo import CancelRequest, RefundRequest
from shared.rabbit.client import NoAnswer, NotTaken, client
from shared.rabbit.publisher import PublishFailed

Institution = Annotated[str, typer.Option("--institution", "-i", help="Who sends the request.")]
Region = Annotated[str, typer.Option("--region", "-r", help="Six digits: where the person is insured.")]
Person = Annotated[str, typer.Option("--person", "-p", help="The patient, or the account holder.")]
Amount = Annotated[int, typer.Option("--amount-fen", "-a", help="Fen; 100 are a yuan.")]
RequestId = Annotated[str | None, typer.Option("--request-id", help="Your id; repeat it to repeat the request.")]
Expense = Annotated[ExpenseType, typer.Option("--expense", "--expense-type", "-e", help="What kind of bill it is.")]
CareRegion = Annotated[str | None, typer.Option("--care-region", help="Where care is given; else --region.")]
CredentialType = Annotated[str, typer.Option("--credential", help="01 code, 02 ID card, 03 social-security card.")]
CredentialOf = Annotated[str | None, typer.Option("--credential-person", help="Whose it is; else the patient's.")]
OwnAccount = Annotated[bool, typer.Option(help="Use the patient's own account.")]
MutualAid = Annotated[bool, typer.Option(help="Ask relatives for what is left.")]
RequireFull = Annotated[bool, typer.Option("--require-full", help="All of it from accounts, or nothing.")]
BillRef = Annotated[str | None, typer.Option("--bill-ref", help="Your visit or bill number.")]
OccurredAt = Annotated[
    str | None, typer.Option("--occurred-at", help="RFC 3339; else now, or with --request-id today.")
]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the answer.")]


def bill_command(kind: type[SettleRequest], name: str, text: str) -> Callable[..., None]:
    """Settle and quote are one command with the same options; they differ in what they send."""

    def command(
        institution: Institution,
        region: Region,
        person: Person,
        amount_fen: Amount,
        expense: Expense = ExpenseType.OUTPATIENT,
        request_id: RequestId = None,
        care_region: CareRegion = None,
        credential: CredentialType = "01",
        credential_person: CredentialOf = None,
        own_account: OwnAccount = True,
        mutual_aid: MutualAid = True,
        require_full: RequireFull = False,
        bill_ref: BillRef = None,
        occurred_at: OccurredAt = None,
        timeout: Timeout = 30.0,
        as_json: AsJson = False,
        lang: Lang = None,
    ) -> None:
        asked = {
            **_common(institution, region, request_id, occurred_at),
            "person_id": person,
            "credential": {"type": credential, "person_id": credential_person or person},
            "expense_type": expense,
            "amount_fen": amount_fen,
            "care_region": care_region or region,
            "use_own_account": own_account,
            "use_mutual_aid": mutual_aid,
            "require_full": require_full,
            "bill_ref": bill_ref,
        }
        _ask(kind, asked, timeout, as_json, lang)

    command.__name__, command.__doc__ = name, text
    return command


settle = bill_command(
    SettleRequest, "settle", "Settle a bill: own account, wallet, then the richest relative for all that is left."
)
quote = bill_command(QuoteRequest, "quote", "Decide as settle would, and debit nothing.")


def credit(
    institution: Annotated[str, typer.Option("--institution", "-i", help="The agency.")],
    region: Region,
    person: Person,
    amount_fen: Amount,
    fund: Annotated[Literal["current_year", "prior_years"], typer.Option(help="Which part.")] = "current_year",
    request_id: RequestId = None,
    note: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    occurred_at: OccurredAt = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Pay into a personal account; it opens on first use."""
    asked = {
        **_common(institution, region, request_id, occurred_at),
        "person_id": person,
        "fund": fund,
        "amount_fen": amount_fen,
        "note": note,
    }
    _ask(CreditRequest, asked, timeout, as_json, lang)


def transfer(
    institution: Annotated[str, typer.Option("--institution", "-i", help="The agency or gateway.")],
    region: Annotated[str, typer.Option("--region", "-r", help="Six digits: where the giver is insured.")],
    giver: Annotated[str, typer.Option("--from", help="Whose personal account gives.")],
    receiver: Annotated[str, typer.Option("--to", help="Whose wallet receives.")],
    amount_fen: Amount,
    to_region: Annotated[str | None, typer.Option(help="Where the receiver is insured; else --region.")] = None,
    request_id: RequestId = None,
    occurred_at: OccurredAt = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Give to a relative's wallet, in any province; it returns if the receiver does not accept it in time."""
    asked = {
        **_common(institution, region, request_id, occurred_at),
        "from_person_id": giver,
        "to_person_id": receiver,
        "to_insured_region": to_region or region,
        "amount_fen": amount_fen,
    }
    _ask(TransferRequest, asked, timeout, as_json, lang)


def refund(
    institution: Institution,
    region: Region,
    original_request_id: Annotated[str, typer.Argument(help="The settle request that is given back.")],
    amount_fen: Annotated[int | None, typer.Option("--amount-fen", "-a", help="Fen; else all that is left.")] = None,
    request_id: RequestId = None,
    occurred_at: OccurredAt = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Give back all or part of a settlement, to where the money came from."""
    asked = {
        **_common(institution, region, request_id, occurred_at),
        "original_request_id": original_request_id,
        "amount_fen": amount_fen,
    }
    _ask(RefundRequest, asked, timeout, as_json, lang)


def original_command(kind: type[CancelRequest] | type[LookupRequest], name: str, text: str) -> Callable[..., None]:
    """Cancel and lookup are one command with the same options; they differ in what they send."""

    def command(
        institution: Institution,
        region: Region,
        original_request_id: Annotated[str, typer.Argument(help="The request that it is about.")],
        request_id: RequestId = None,
        occurred_at: OccurredAt = None,
        timeout: Timeout = 30.0,
        as_json: AsJson = False,
        lang: Lang = None,
    ) -> None:
        asked = {**_common(institution, region, request_id, occurred_at), "original_request_id": original_request_id}
        _ask(kind, asked, timeout, as_json, lang)

    command.__name__, command.__doc__ = name, text
    return command


cancel = original_command(
    CancelRequest,
    "cancel",
    "Undo a request whose outcome you do not know, whether it was decided, is waiting, or never came (冲正).",
)
lookup = original_command(LookupRequest, "lookup", "Tell what became of a request.")


def reconcile(
    institution: Institution,
    region: Region,
    date: Annotated[str, typer.Argument(help="The day, YYYY-MM-DD, Shanghai time.")],
    count: Annotated[int, typer.Option(help="Settlements that debited something.", min=0)],
    account_fen: Annotated[int, typer.Option(help="What accounts paid for them.", min=0)],
    mutual_aid_fen: Annotated[int, typer.Option(help="Mutual aid of it.", min=0)],
    refunded_fen: Annotated[int, typer.Option(help="What was returned on that day.", min=0)] = 0,
    lines: Annotated[
        Path | None, typer.Option(help="CSV with request_id,account_fen,mutual_aid_fen.", exists=True, dir_okay=False)
    ] = None,
    request_id: RequestId = None,
    occurred_at: OccurredAt = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Compare a day's totals, and its lines if given, with the ledger (对账). Exits with 1 if they differ."""
    asked = {
        **_common(institution, region, request_id, occurred_at),
        "date": date,
        "count": count,
        "account_fen": account_fen,
        "mutual_aid_fen": mutual_aid_fen,
        "refunded_fen": refunded_fen,
        "lines": _lines(lines) if lines else None,
    }
    _ask(ReconcileRequest, asked, timeout, as_json, lang)


LINE_FIELDS = ("request_id", "account_fen", "mutual_aid_fen")


def _lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a CSV file with a header. Raises typer.BadParameter, with the line and what it should be."""
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file.name} is not UTF-8: save it so") from None
    for number, row in enumerate(rows, 2):
        if tuple(row) != LINE_FIELDS or None in row.values():
            raise typer.BadParameter(f"{file.name}, line {number}: must have {','.join(LINE_FIELDS)} and no more")
    return [{name: value if name == "request_id" else _whole(value) for name, value in row.items()} for row in rows]


def _whole(text: str) -> int | str:
    """A number as one; anything else as it is, for the check of the fields to name."""
    return int(text) if text.isdecimal() else text


def _common(institution: str, region: str, request_id: str | None, occurred_at: str | None) -> dict[str, Any]:
    now = datetime.now(SHANGHAI).replace(microsecond=0)
    return {
        "request_id": request_id or f"cli-{secrets.token_hex(8)}",
        "institution_id": institution,
        "insured_region": region,
        # Repeating an id repeats the request, so the hour must not be part of what differs.
        "occurred_at": occurred_at or (now.replace(hour=0, minute=0, second=0) if request_id else now).isoformat(),
    }


def _ask(kind: type[Request], asked: dict[str, Any], timeout: float, as_json: bool, lang: str | None) -> None:
    try:
        request = kind.model_validate(asked)
    except ValidationError as error:
        errors.print(f"[red]{describe(error)}[/]")
        raise typer.Exit(USAGE) from None
    try:
        answer = asyncio.run(send(sends_as(request.institution_id), request, timeout_s=timeout))
    except (NoAnswer, NotTaken, PublishFailed) as error:
        complain(f"{error}\n{_how_to_know(request, speech(lang))}")
        raise typer.Exit(NO_ANSWER) from None
    if as_json:
        print_json(answer)
    else:
        _show(answer, lang)
    raise typer.Exit(REJECTED if answer["outcome"] in ("rejected", "differs") else ANSWERED)


def _how_to_know(request: Request, say: Speech) -> str:
    """What to do where nobody knows what became of a request, whose id and time the command may have chosen itself."""
    if CATALOGUE[request.operation].queue == INQUIRY_QUEUE:
        return say("It moves nothing: ask again.", "该请求不动账，可直接重发。")
    lookup = f"gongji lookup -i {request.institution_id} -r {request.insured_region} {request.request_id}"
    same = f"--request-id {request.request_id} --occurred-at {request.occurred_at.isoformat()}"
    return say(
        f"It may have been decided, or may yet be: ask `{lookup}`, or send the same again with {same}",
        f"该请求可能已经裁定，也可能随后裁定：请用 {lookup} 查询，或加上 {same} 原样重发",
    )


async def send(sender: SendsAs, request: Request, *, timeout_s: float) -> dict[str, Any]:
    """The answer to one request, on a connection of its own."""
    body = request.model_dump_json().encode()
    async with client(sender.amqp_url, name="gongji-cli") as asking:
        return await asking.ask(
            request.operation,
            request.insured_region,
            body,
            timeout_s=timeout_s,
            user_id=sender.user_id,
            signature=sender.sign(request.operation, body),
        )


def _show(answer: dict[str, Any], lang: str | None) -> None:
    say = speech(lang)
    outcome = answer["outcome"]
    colour = {"rejected": "red", "declined": "yellow", "not_found": "yellow"}.get(outcome, "green")
    repeated = say(" (sent again)", "（重发）") if answer["replayed"] else ""
    console.print(f"[{colour}]{say(outcome, f'{OUTCOMES[outcome]} {outcome}')}[/]{repeated}")
    if reason := answer["reason"]:
        text = TEXTS[Reason(reason)]
        # What is malformed is only told by the answer itself.
        english = answer["reason_text"] if reason == Reason.MALFORMED else text.english
        console.print(f"  {reason}: {say(english, answer['reason_text'])}", markup=False)
    shown = {name: f"{yuan(value):>16} {say('yuan', '元')}" for name, value in answer.items() if _is_money(name, value)}
    shown |= {
        name: answer[name]
        for name in ("payer_id", "settlement_id", "transfer_id", "accept_by", "request_id")
        if answer.get(name)
    }
    if effect := answer.get("effect"):
        shown["effect"] = say(effect, EFFECTS[effect])
    for side in ("ours", "theirs"):
        if totals := answer.get(side):
            shown[side] = totals_in_words(totals, say)
    for difference in answer.get("differences") or ():
        shown[difference["request_id"]] = difference_in_words(difference, say)
    if original := answer.get("original"):
        shown["original"] = f"{original['operation']} {original['outcome']}"
    for name, value in shown.items():
        console.print(f"  {name:<16} {value}" + say("", f"  {FIELDS.get(name, '')}"))


def _is_money(name: str, value: Any) -> bool:
    return name.endswith("_fen") and value is not None


def totals_in_words(totals: dict[str, int], say: Speech) -> str:
    """The four figures of a day, in a sentence."""
    return say(
        f"{totals['count']} settlements, {yuan(totals['account_fen'])} yuan from accounts, "
        f"{yuan(totals['mutual_aid_fen'])} of it mutual aid, {yuan(totals['refunded_fen'])} returned",
        f"结算 {totals['count']} 笔，账户支付 {yuan(totals['account_fen'])} 元，"
        f"其中共济 {yuan(totals['mutual_aid_fen'])} 元，退回 {yuan(totals['refunded_fen'])} 元",
    )


def _of_accounts(line: dict[str, Any], say: Speech) -> str:
    whole, of_it = yuan(line["account_fen"]), yuan(line["mutual_aid_fen"])
    return say(f"{whole}, {of_it} of it mutual aid", f"{whole}，其中共济 {of_it}")


def difference_in_words(difference: dict[str, Any], say: Speech) -> str:
    """What is wrong with one line of a day, and both sides' amounts."""
    kind, ours, theirs = difference["kind"], difference["ours"], difference["theirs"]
    here = f"{_of_accounts(ours, say)} ({ours['settlement_id']})" if ours else "-"
    there = _of_accounts(theirs, say) if theirs else "-"
    return say(f"{kind}: here {here}, there {there}", f"{DIFFERENCES[kind]}：本方 {here}，对方 {there}")
