"""`python -m tests.nemesis --seed 7 --minutes 1`: faults at random over a running load, healed, then everything checked.

What is drawn follows from the seed: the faults and what is asked for. When each meets the other does not, so a seed that failed may have to
be played more than once.
"""

import asyncio
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import httpx
import structlog
import typer
from rich.console import Console

from deploy.devstack import launch
from deploy.devstack.state import StackState
from tests.nemesis.checker import violations
from tests.nemesis.desk import Desk
from tests.nemesis.faults import FAULTS, Target
from tests.nemesis.history import History
from tests.nemesis.load import TILLS, ask_for_balances, converge, look_again, reconcile, till
from tests.nemesis.town import NAME

WORKERS = 3
FAULT_LASTS_S = (0.5, 4.0)
QUIET_S = (0.5, 3.0)
CONVERGED_WITHIN_S = 60.0

console = Console(highlight=False)


def main(
    seed: Annotated[int | None, typer.Option(help="What is drawn; else the time.")] = None,
    minutes: Annotated[float, typer.Option(help="How long faults are injected.", min=0.05)] = 1.0,
    seeds: Annotated[int, typer.Option(help="So many seeds, one after the other.", min=1)] = 1,
) -> None:
    """Exit 1 if an invariant is broken, with how to play the seed again."""
    # A broker that is killed refuses connections: nothing to be told of.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    first = seed if seed is not None else int(time.time())
    failed = [each for each in range(first, first + seeds) if not played(each, minutes)]
    for each in failed:
        console.print(f"[red]play it again: make nemesis SEED={each} MINUTES={minutes:g}[/]")
    raise typer.Exit(1 if failed else 0)


def played(seed: int, minutes: float) -> bool:
    """Whether everything held."""
    with tempfile.TemporaryDirectory(prefix="gongji-nemesis-") as name:
        directory = Path(name)
        running = launch.up(directory, workers=WORKERS, owner_pid=os.getpid(), progress=lambda _: None)
        try:
            history, drawn = asyncio.run(run(running, Target(directory), seed, minutes))
            found = [*violations(history), *proven(running), *leaks(directory, history)]
        finally:
            launch.down(directory, progress=lambda _: None)
        console.print(f"seed {seed}: {len(history.asked):,} requests, faults: {', '.join(drawn)}")
        for each in found:
            console.print(f"  [red]{each}[/]", markup=True)
        if not found:
            console.print("  everything holds")
    return not found


async def run(running: StackState, target: Target, seed: int, minutes: float) -> tuple[History, list[str]]:
    """What those outside saw, and which faults there were. Raises TimeoutError where it does not converge."""
    history, enough, drawn = History(), asyncio.Event(), []
    chance = random.Random(f"{seed} faults")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=running.urls.services["binding"], timeout=10))
        private_key = (running.keys_directory / "jwt_private.pem").read_bytes()
        desk = Desk(http, private_key, history)
        bound = await desk.prepare()
        async with asyncio.TaskGroup() as outside:
            for number in range(TILLS):
                outside.create_task(till(running.urls.amqp, history, random.Random(f"{seed} {number}"), enough))
            outside.create_task(desk.end_and_bind_again(bound, random.Random(f"{seed} clerk"), enough))
            outside.create_task(desk.say_yes(random.Random(f"{seed} sons"), enough))
            ends_s = time.monotonic() + 60 * minutes
            while time.monotonic() < ends_s:
                await asyncio.sleep(chance.uniform(*QUIET_S))
                drawn.append(chance.choice(list(FAULTS)))
                async with FAULTS[drawn[-1]](target, chance):
                    await asyncio.sleep(chance.uniform(*FAULT_LASTS_S))
            enough.set()
        async with asyncio.timeout(CONVERGED_WITHIN_S):
            await converge(running.urls.amqp, history)
        await look_again(running.urls.amqp, history)
        await desk.list_transfers()
        await reconcile(running.urls.amqp, history)
        await ask_for_balances(running.urls.amqp, history)
    return history, drawn


def proven(running: StackState) -> list[str]:
    """What the ledger says of itself: every invariant, and every decision decided again."""
    environment = {**os.environ, **running.environment()}
    done = subprocess.run(
        [Path(sys.executable).with_name("gongji"), "audit"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if done.returncode == 0 else [f"audit: {done.stdout[-2_000:]}{done.stderr[-2_000:]}"]


def leaks(directory: Path, history: History) -> list[str]:
    """Invariant 6: no name and no ID number in any log."""
    found = []
    for log in (directory / "logs").iterdir():
        text = log.read_text(encoding="utf-8", errors="replace")
        if NAME in text or any(number in text for number in history.personal):
            found.append(f"{log.name} names somebody")
    return found


if __name__ == "__main__":
    typer.run(main)
