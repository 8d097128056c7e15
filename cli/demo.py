"""demo: the main job on real input, on real servers, checked line by line."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import ValidationError

from cli import audit
from cli.documents import Unreadable
from cli.environment import PROJECT, STATE_DIRECTORY, Environment, environment, state_directory
from cli.options import Lang
from cli.scenario.parts import Scenario, read_scenario
from cli.scenario.preparation import prepare
from cli.scenario.stage import NotAsListed, Stage
from cli.scenario.steps import Played
from cli.scenario.steps import play as play_step
from cli.speech import BROKEN, USAGE, Speech, console, errors, speech
from deploy.devstack import launch
from shared.messages.catalogue import describe

EXAMPLES = PROJECT / "examples"
FIRST_ACT = [EXAMPLES / "hebei.yaml"]
ALL_ACTS = [*FIRST_ACT, EXAMPLES / "regions.yaml", EXAMPLES / "afterwards.yaml"]
HTTP_TIMEOUT_S = 20

Files = Annotated[
    list[Path], typer.Option("--file", help="A scenario to play; may be repeated.", exists=True, dir_okay=False)
]


def demo(files: Files = ALL_ACTS, lang: Lang = None) -> None:
    """Play the example families through the whole system, then prove the ledger.

    Starts a private stack, sends real messages, prints what was asked, who paid and why, and stops what it started.
    Exits with 1 if anything comes out otherwise than the scenarios list.
    """
    say, scenarios = speech(lang), _read(files)
    with _stack(say) as reach:
        as_listed = perform(scenarios, reach, say)
    if not as_listed:
        raise typer.Exit(BROKEN)


def play(files: Files = FIRST_ACT, lang: Lang = None) -> None:
    """Play a scenario on the stack that is running: people, money and bindings to try things with.

    Every id gets a suffix of this run, so it can be played again. Policies that a scenario puts stay: they have region
    codes of their own. Exits with 1 if anything comes out otherwise.
    """
    if not perform(_read(files), environment(), speech(lang)):
        raise typer.Exit(BROKEN)


def perform(scenarios: list[Scenario], reach: Environment, say: Speech) -> bool:
    """Plays scenarios and proves the ledger; whether every step came out as listed and the ledger holds."""
    try:
        wrong = sum(asyncio.run(_play(scenario, reach, say)) for scenario in scenarios)
    except NotAsListed as error:
        errors.print(f"[red]{error}[/]")
        return False
    console.print("\n" + say("[bold]The ledger, proven[/]", "[bold]账务核验[/]"))
    found = asyncio.run(audit.prove(reach["GONGJI_DATABASE_URL"]))
    audit.show(found, say)
    if wrong:
        steps = sum(len(scenario.steps) for scenario in scenarios)
        english = f"[red]{wrong} of {steps} steps came out otherwise than listed[/]"
        errors.print(say(english, f"[red]{steps} 步中有 {wrong} 步与预期不符[/]"))
    else:
        console.print(say("[green]every step came out as listed[/]", "[green]全部结果与预期一致[/]"))
    return not wrong and bool(found["holds"])


def _read(files: list[Path]) -> list[Scenario]:
    """Ends the command where a file is wrong, before anything is started."""
    scenarios = []
    for file in files:
        try:
            scenarios.append(read_scenario(file))
        except ValidationError as error:
            errors.print(f"[red]{file.name}: {describe(error)}[/]")
            raise typer.Exit(USAGE) from None
        except Unreadable as error:
            errors.print(str(error), style="red", markup=False)
            raise typer.Exit(USAGE) from None
    return scenarios


@contextmanager
def _stack(say: Speech) -> Iterator[Environment]:
    """A stack of the demo's own; it ends with the demo, however that ends."""
    directory = state_directory() / "demo"
    os.environ[STATE_DIRECTORY] = str(directory)
    console.print(say("starting a private stack", "正在启动专用环境"))
    # A demo begins with nothing: what an earlier release has left there may not fit this one.
    launch.forget(directory)
    launch.up(directory, owner_pid=os.getpid(), progress=lambda line: console.print(f"  [dim]{line}[/]"))
    try:
        yield environment(directory)
    finally:
        console.print(say("stopping what was started", "正在停止所启动的服务"))
        launch.down(directory, progress=lambda _: None)


async def _play(scenario: Scenario, reach: Environment, say: Speech) -> int:
    """How many steps came out otherwise than listed."""

    def report(english: str, chinese: str) -> None:
        console.print(f"  [dim]{say(english, chinese)}[/]")

    console.print(f"\n[bold]{say(scenario.title.en, scenario.title.zh)}[/]")
    wrong = 0
    async with httpx.AsyncClient(base_url=reach["GONGJI_BINDING_URL"], timeout=HTTP_TIMEOUT_S) as http:
        stage = Stage(scenario, reach, http, say)
        await prepare(stage, report)
        for number, step in enumerate(scenario.steps, 1):
            played = await play_step(stage, step)
            _tell(number, played, say)
            wrong += bool(played.differences)
    console.print()
    report(f"ids of this run end in -{stage.run}", f"本次演示的编号均以 -{stage.run} 结尾")
    return wrong


def _tell(number: int, played: Played, say: Speech) -> None:
    title, differences = played.step.title, played.differences
    mark = "[red]✗[/]" if differences else "[green]✓[/]"
    console.print(f"\n{mark} {number:>2}. [bold]{say(title.en, title.zh)}[/]")
    console.print(f"      {say('asked', '请求')}  {played.asked}")
    console.print(f"      {say('answer', '答复')} {played.answer}")
    for line, sentence in enumerate(played.why):
        heading = say("why   ", "原因") if line == 0 else say("      ", "    ")
        console.print(f"      {heading} {sentence}")
    for difference in differences:
        console.print(f"      [red]{difference}[/]")
