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
import traceback
from pathlib import Path
from typing import Annotated

import httpx
import structlog
import typer
from rich.console import Console

from deploy.devstack import launch
from deploy.devstack.state import StackState
from tests.nemesis.checker import unanswered, violations
from tests.nemesis.desk import Desk
from tests.nemesis.faults import FAULTS, Target
from tests.nemesis.gateways import GATEWAYS, collect, gateway, hear_out, open_results
from tests.nemesis.history import History
from tests.nemesis.load import TILLS, ask_for_balances, converge, look_again, reconcile, till
from tests.nemesis.town import NAME

WORKERS = 3
FAULT_LASTS_S = (0.5, 4.0)
QUIET_S = (0.5, 3.0)
CONVERGED_WITHIN_S = 60.0
# Each request is looked up, and gifts may still be arriving.
TOLD_WITHIN_S, LOOKED_UP_WITHIN_S = 60.0, 0.05

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
    held = [played(each, minutes) for each in range(first, first + seeds)]
    raise typer.Exit(0 if all(held) else 1)


def played(seed: int, minutes: float) -> bool:
    """Whether everything held. What ends a run early is a finding too, and the next seed is played all the same."""
    console.print(f"seed {seed}:", end=" ")
    history, struck = History(), list[str]()
    with tempfile.TemporaryDirectory(prefix="gongji-nemesis-") as name:
        try:
            found = _findings(Path(name), seed, minutes, history, struck)
        except Exception as error:  # noqa: BLE001 whatever it is, it is told, with the seed
            told = "".join(traceback.format_exception(error))
            found = [f"it did not come to its end: {told}", *unanswered(history)]
    console.print(f"{len(history.asked):,} requests, faults: {', '.join(struck)}", soft_wrap=True)
    for each in found:
        console.print(f"  {each}", style="red", markup=False, soft_wrap=True)
    again = f"play it again: make nemesis SEED={seed} MINUTES={minutes:g}"
    console.print(f"  {again if found else 'everything holds'}")
    return not found


def _findings(directory: Path, seed: int, minutes: float, history: History, struck: list[str]) -> list[str]:
    """What does not hold of a stack of its own. Raises whatever kept the run from its end."""
    running = launch.up(directory, workers=WORKERS, owner_pid=os.getpid(), progress=lambda _: None)
    try:
        asyncio.run(run(running, Target(directory), seed, minutes, history, struck))
        return [*violations(history), *proven(running), *leaks(directory, history)]
    finally:
        launch.down(directory, progress=lambda _: None)


async def run(
    running: StackState, target: Target, seed: int, minutes: float, history: History, struck: list[str]
) -> None:
    """Writes down what those outside saw, and which faults struck. Raises TimeoutError where it does not converge."""
    amqp_url, enough = running.urls.amqp, asyncio.Event()
    async with httpx.AsyncClient(base_url=running.urls.services["binding"], timeout=10) as http:
        private_key = (running.keys_directory / "jwt_private.pem").read_bytes()
        desk = Desk(http, private_key, history)
        await open_results(amqp_url)
        bound = await desk.prepare()
        async with asyncio.TaskGroup() as outside:
            for number in range(TILLS):
                outside.create_task(till(amqp_url, history, random.Random(f"{seed} {number}"), enough))
            for number in range(GATEWAYS):
                outside.create_task(gateway(amqp_url, history, random.Random(f"{seed} gateway {number}"), enough))
            outside.create_task(desk.end_and_bind_again(bound, random.Random(f"{seed} clerk"), enough))
            outside.create_task(desk.say_yes(random.Random(f"{seed} sons"), enough))
            await strike(target, random.Random(f"{seed} faults"), 60 * minutes, struck)
            enough.set()
        await hear_out(amqp_url, history)
        async with asyncio.timeout(CONVERGED_WITHIN_S):
            await converge(amqp_url, history)
        async with asyncio.timeout(TOLD_WITHIN_S + LOOKED_UP_WITHIN_S * len(history.asked)):
            await collect(amqp_url, history)
            await look_again(amqp_url, history)
            await desk.list_transfers()
            await reconcile(amqp_url, history)
            await ask_for_balances(amqp_url, history)


async def strike(target: Target, chance: random.Random, seconds: float, struck: list[str]) -> None:
    """One fault after the other, each healed before the next."""
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        await asyncio.sleep(chance.uniform(*QUIET_S))
        struck.append(chance.choice(list(FAULTS)))
        async with FAULTS[struck[-1]](target, chance):
            await asyncio.sleep(chance.uniform(*FAULT_LASTS_S))


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
