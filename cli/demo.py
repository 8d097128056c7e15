"""demo: the main job on real input, on real servers, checked line by line."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cli import audit
from cli.environment import PROJECT, Environment, environment, state_directory
from cli.options import Lang
from cli.scenario import NotAsListed, Played, Player, read_scenario
from cli.speech import BROKEN, Speech, console, errors, speech
from deploy.devstack import launch
from shared.domain.money import yuan
from shared.domain.reasons import TEXTS, Reason

EXAMPLE = PROJECT / "examples" / "hebei.yaml"


File = Annotated[Path, typer.Option("--file", help="The scenario to play.", exists=True, dir_okay=False)]


def demo(file: File = EXAMPLE, lang: Lang = None) -> None:
    """Play the example families through the whole system, then prove the ledger.

    Starts a private stack, sends real messages, prints what was asked, who paid and why, and stops what it started.
    Exits with 1 if anything comes out otherwise than the scenario lists.
    """
    say = speech(lang)
    with _stack(say) as reach:
        as_listed = perform(file, reach, say)
    if not as_listed:
        raise typer.Exit(BROKEN)


def play(file: File = EXAMPLE, lang: Lang = None) -> None:
    """Play a scenario on the stack that is running: people, money and bindings to try things with.

    Every id gets a suffix of this run, so it can be played again. Exits with 1 if anything comes out otherwise.
    """
    if not perform(file, environment(), speech(lang)):
        raise typer.Exit(BROKEN)


def perform(file: Path, reach: Environment, say: Speech) -> bool:
    """Plays a scenario and proves the ledger; whether every bill came out as listed and the ledger holds."""
    player = Player(read_scenario(file), reach)
    console.print(f"\n[bold]{say(player.scenario.title.en, player.scenario.title.zh)}[/]")
    try:
        wrong = asyncio.run(_play(player, say))
    except NotAsListed as error:
        errors.print(f"[red]{error}[/]")
        return False
    console.print("\n" + say("[bold]The ledger, proven[/]", "[bold]账务核验[/]"))
    found = asyncio.run(audit.prove(reach["GONGJI_DATABASE_URL"]))
    audit.show(found, say)
    if wrong:
        errors.print(say(f"[red]{wrong} bills came out otherwise than listed[/]", f"[red]有 {wrong} 笔与预期不符[/]"))
    else:
        console.print(say("[green]every bill came out as listed[/]", "[green]全部结果与预期一致[/]"))
        console.print(say(f"ids of this run end in -{player.run}", f"本次演示的编号均以 -{player.run} 结尾"))
    return not wrong and bool(found["holds"])


@contextmanager
def _stack(say: Speech) -> Iterator[Environment]:
    """A stack of the demo's own; it ends with the demo, however that ends."""
    directory = state_directory() / "demo"
    os.environ["GONGJI_STATE_DIR"] = str(directory)
    console.print(say("starting a private stack", "正在启动专用环境"))
    launch.up(directory, owner_pid=os.getpid(), progress=lambda line: console.print(f"  [dim]{line}[/]"))
    try:
        yield environment(directory)
    finally:
        console.print(say("stopping what was started", "正在停止所启动的服务"))
        launch.down(directory, progress=lambda _: None)


async def _play(player: Player, say: Speech) -> int:
    """How many bills came out otherwise than listed."""

    def step(english: str, chinese: str) -> None:
        console.print(f"  [dim]{say(english, chinese)}[/]")

    await player.prepare(step)
    wrong = 0
    for number, bill in enumerate(player.scenario.bills, 1):
        played = await player.play(bill)
        _tell(number, played, say)
        wrong += bool(played.differences)
    return wrong


def _tell(number: int, played: Played, say: Speech) -> None:
    bill, answer = played.bill, played.answer
    mark = "[red]✗[/]" if played.differences else "[green]✓[/]"
    console.print(f"\n{mark} {number:>2}. [bold]{say(bill.title.en, bill.title.zh)}[/]")
    asked = f"{bill.ask.institution} · {bill.ask.person} · {yuan(bill.ask.amount_fen)} "
    console.print(f"      {say('asked', '请求')}  {asked}{say('yuan', '元')} · {bill.ask.expense_type}")
    console.print(f"      {say('answer', '答复')} {_outcome(played, say)}")
    if reason := answer["reason"]:
        text = TEXTS[Reason(reason)]
        console.print(f"      {say('why', '原因')}    {reason}: {say(text.english, text.chinese)}")
    for difference in played.differences:
        console.print(f"      [red]{difference}[/]")


def _outcome(played: Played, say: Speech) -> str:
    answer = played.answer
    parts = [f"[cyan]{answer['outcome']}[/]"]
    if answer["own_account_fen"]:
        parts.append(say("own account ", "本人账户 ") + yuan(answer["own_account_fen"]))
    if answer["mutual_aid_fen"]:
        parts.append(f"{played.payer} {say('pays ', '共济支付 ')}{yuan(answer['mutual_aid_fen'])}")
    if answer["cash_fen"]:
        parts.append(say("cash ", "现金 ") + yuan(answer["cash_fen"]))
    if answer["replayed"]:
        parts.append(say("(sent again, nothing moved)", "（重发，未再扣款）"))
    return " · ".join(parts)
