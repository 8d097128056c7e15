"""reconcile-file: an institution's whole day beside ours, from a file over HTTP (对账)."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from cli.environment import environment
from cli.options import AsJson, Lang
from cli.requests import Institution, difference_in_words, totals_in_words
from cli.speech import ANSWERED, FIELDS, NO_ANSWER, OUTCOMES, REJECTED, Speech, console, errors, print_json, speech
from cli.stack import make_token
from shared.domain.money import yuan
from shared.domain.roles import Role

PIECE_BYTES = 64 * 1024
SHOWN_MAX = 20


def reconcile_file(
    file: Annotated[
        Path, typer.Argument(help="CSV: request_id,account_fen,mutual_aid_fen.", exists=True, dir_okay=False)
    ],
    institution: Institution,
    region: Annotated[str, typer.Option("--region", "-r", help="Six digits: its whole province is compared.")],
    date: Annotated[datetime, typer.Option(help="The day, Shanghai time.", formats=["%Y-%m-%d"])],
    out: Annotated[Path | None, typer.Option(help="Where to write what differs, as CSV.", dir_okay=False)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer once the file is sent.")] = 300.0,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Compare a whole day, up to 1,000,000 settlements, with the ledger (对账). Exits with 1 if they differ."""
    say = speech(lang)
    headers = {"Authorization": f"Bearer {make_token(Role.INSTITUTION, institution=institution)}"}
    asked = {"institution_id": institution, "insured_region": region, "date": f"{date:%Y-%m-%d}"}
    base_url = environment()["GONGJI_BINDING_URL"]
    try:
        with httpx.Client(base_url=base_url, headers=headers, timeout=timeout) as http:
            made = _upload(http, file, asked, say)
            place = f"/v1/reconciliations/{made['reconciliation_id']}/differences"
            if out:
                _download(http, f"{place}.csv", out)
            if as_json:
                print_json(made)
            else:
                _show(made, http.get(place, params={"limit": SHOWN_MAX}).json()["items"], out, say)
    except httpx.TransportError as error:
        errors.print(f"[red]{base_url}: {type(error).__name__}: send the file again[/]")
        raise typer.Exit(NO_ANSWER) from None
    raise typer.Exit(ANSWERED if made["state"] == "balanced" else REJECTED)


def _upload(http: httpx.Client, file: Path, asked: dict[str, str], say: Speech) -> dict[str, Any]:
    """What came of the file. Ends the command where it is refused, with what is wrong and in which line."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        sent = _pieces(file, progress, say)
        told = {"Content-Type": "text/csv", "Content-Length": str(file.stat().st_size)}
        response = http.post("/v1/reconciliations", params=asked, content=sent, headers=told)
    answer: dict[str, Any] = response.json()
    if response.is_error:
        errors.print(f"[red]{answer['reason']}: {say(answer['detail_en'], answer['detail'])}[/]")
        for each in answer.get("fields", ()):
            errors.print(f"  {each['field']}: {each['problem']}", markup=False)
        raise typer.Exit(REJECTED)
    return answer


def _pieces(file: Path, progress: Progress, say: Speech) -> Iterator[bytes]:
    """The file as it is sent, and how far it is."""
    task = progress.add_task(say("sending", "上传"), total=file.stat().st_size)
    with file.open("rb") as opened:
        while piece := opened.read(PIECE_BYTES):
            yield piece
            progress.advance(task, len(piece))
    progress.update(task, description=say("comparing", "核对"))


def _download(http: httpx.Client, path: str, out: Path) -> None:
    with http.stream("GET", path) as response, out.open("wb") as opened:
        response.raise_for_status()
        for piece in response.iter_bytes():
            opened.write(piece)


def _show(made: dict[str, Any], differences: list[dict[str, Any]], out: Path | None, say: Speech) -> None:
    state = made["state"]
    console.print(f"[{'green' if state == 'balanced' else 'yellow'}]{say(state, f'{OUTCOMES[state]} {state}')}[/]")
    theirs = made["theirs"]
    shown = {
        "ours": totals_in_words(made["ours"], say),
        "theirs": say(
            f"{theirs['count']} settlements, {yuan(theirs['account_fen'])} yuan from accounts, "
            f"{yuan(theirs['mutual_aid_fen'])} of it mutual aid",
            f"结算 {theirs['count']} 笔，账户支付 {yuan(theirs['account_fen'])} 元，"
            f"其中共济 {yuan(theirs['mutual_aid_fen'])} 元",
        ),
        **{each["request_id"]: difference_in_words(each, say) for each in differences},
    }
    for name, value in shown.items():
        console.print(f"  {name:<16} {value}" + say("", f"  {FIELDS.get(name, '')}"), markup=False)
    more = sum(made["differences"].values()) - len(differences)
    if more and out:
        console.print(
            say(f"  and {more} more, all of them in {out}", f"  另有 {more} 笔，全部写入 {out}"), markup=False
        )
    elif more:
        console.print(
            say(f"  and {more} more: write them all with --out FILE", f"  另有 {more} 笔：用 --out 文件名 写出全部")
        )
