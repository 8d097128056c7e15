"""`python -m tests.nemesis --seed 7 --minutes 1`: faults at random over a running load, healed, then everything checked.

What is drawn follows from the seed: the faults, how long each lasts, and what is asked for. When each meets the other does not, so a seed
that failed may have to be played more than once.
"""

import asyncio
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
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
from tests.nemesis.ledger import count_dead_letters, decided_differently, read_order, sessions
from tests.nemesis.load import TILLS, ask_for_balances, converge, look_again, open_accounts, reconcile, till
from tests.nemesis.strikes import drawn_strikes
from tests.nemesis.town import NAME
from tests.support.proxy import Proxy

WORKERS = 3
CONVERGED_WITHIN_S = 120.0
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
        if found:
            # When each fault meets the load is chance: the next play may hold, and then the logs are all there is.
            found.append(f"the logs are kept in {kept_logs(Path(name))}")
    console.print(f"{len(history.asked):,} requests, faults: {', '.join(struck)}", soft_wrap=True)
    for each in found:
        console.print(f"  {each}", style="red", markup=False, soft_wrap=True)
    again = f"play it again: make nemesis SEED={seed} MINUTES={minutes:g}"
    console.print(f"  {again if found else 'everything holds'}")
    return not found


def kept_logs(directory: Path) -> Path:
    """What servers and services have said, where it stays."""
    kept = Path(tempfile.mkdtemp(prefix="gongji-nemesis-logs-"))
    for logs in directory.glob("*/logs"):
        shutil.copytree(logs, kept / logs.parent.name)
    return kept


def _findings(directory: Path, seed: int, minutes: float, history: History, struck: list[str]) -> list[str]:
    """What does not hold of a stack of its own. Raises whatever kept the run from its end."""
    servers, services = directory / "servers", directory / "services"
    running = launch.up(servers, servers_only=True, owner_pid=os.getpid(), progress=silence)
    try:
        asyncio.run(run(running, services, seed, minutes, history, struck))
        different = asyncio.run(decided_differently(running.urls.database))
        return [*violations(history), *different, *proven(running), *leaks(directory, history)]
    finally:
        launch.down(servers, progress=silence)


async def run(
    servers: StackState, services: Path, seed: int, minutes: float, history: History, struck: list[str]
) -> None:
    """The services behind their proxies go through it. Raises TimeoutError where it does not converge."""
    dice = random.Random(f"{seed} delays")
    async with Proxy.before(servers.urls.database, dice) as database, Proxy.before(servers.urls.amqp, dice) as broker:
        with telling(GONGJI_DATABASE_URL=database.url, GONGJI_AMQP_URL=broker.url):
            running = await asyncio.to_thread(
                launch.up, services, workers=WORKERS, owner_pid=os.getpid(), progress=silence
            )
        try:
            target = Target(servers.keys_directory.parent, services, database, broker)
            await played_out(running, servers.urls.amqp, target, seed, minutes, history, struck)
        except TimeoutError:
            (services / "logs" / "sessions.log").write_text(await sessions(target.database_url), encoding="utf-8")
            raise
        finally:
            await asyncio.to_thread(launch.down, services, progress=silence)
            for way in (database, broker):
                await hung_up(way)


async def hung_up(way: Proxy) -> None:
    """Nobody is left on it, not even on a silent link, which hears of nothing else."""
    way.cut()
    while way.links:  # noqa: ASYNC110 no event tells of it
        await asyncio.sleep(0)


@contextmanager
def telling(**variables: str) -> Iterator[None]:
    """Whoever is started meanwhile is told where the servers are."""
    os.environ |= variables
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


async def played_out(
    running: StackState,
    amqp_url: str,
    target: Target,
    seed: int,
    minutes: float,
    history: History,
    struck: list[str],
) -> None:
    """Writes down what those outside saw, and which faults struck."""

    def chance(whose: str) -> random.Random:
        return random.Random(f"{seed} {whose}")

    enough = asyncio.Event()
    async with httpx.AsyncClient(base_url=running.urls.services["binding"], timeout=10) as http:
        desk = Desk(http, (running.keys_directory / "jwt_private.pem").read_bytes(), history)
        await open_results(amqp_url)
        await desk.prepare()
        await open_accounts(amqp_url, history, chance("first credits"))
        async with asyncio.TaskGroup() as outside:
            for number in range(TILLS):
                outside.create_task(till(amqp_url, history, chance(f"till {number}"), enough))
            for number in range(GATEWAYS):
                outside.create_task(gateway(amqp_url, history, chance(f"gateway {number}"), enough))
            outside.create_task(desk.end_and_bind_again(chance("clerk"), enough))
            outside.create_task(desk.freeze_and_unfreeze(chance("operator"), enough))
            outside.create_task(desk.suspend_and_insure_again(chance("feed"), enough))
            outside.create_task(desk.say_yes(chance("sons"), enough))
            await strike(target, seed, minutes, struck)
            enough.set()
        await hear_out(amqp_url, history)
        await asked_in_the_end(amqp_url, target.database_url, desk, history)


async def asked_in_the_end(amqp_url: str, database_url: str, desk: Desk, history: History) -> None:
    """Everything that can be known once the faults are over."""
    async with asyncio.timeout(CONVERGED_WITHIN_S):
        await converge(amqp_url, history)
    async with asyncio.timeout(TOLD_WITHIN_S + LOOKED_UP_WITHIN_S * len(history.asked)):
        await collect(amqp_url, history)
        await desk.restore()
        await look_again(amqp_url, history)
        await desk.list_transfers()
        await reconcile(amqp_url, history)
        await ask_for_balances(amqp_url, history)
        history.order[:] = await read_order(database_url)
        history.dead_letters = await count_dead_letters(amqp_url)


async def strike(target: Target, seed: int, minutes: float, struck: list[str]) -> None:
    """One strike after the other, each healed before the next."""
    strikes = drawn_strikes(random.Random(f"{seed} faults"), 60 * minutes, list(FAULTS))
    for number, each in enumerate(strikes):
        await asyncio.sleep(each.pause_s)
        struck.append(str(each))
        async with AsyncExitStack() as healing:
            for name in each.faults:
                await healing.enter_async_context(FAULTS[name](target, random.Random(f"{seed} {number} {name}")))
            await asyncio.sleep(each.lasts_s)


def proven(running: StackState) -> list[str]:
    """What the ledger says of itself: every invariant that `gongji audit` knows."""
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
    for log in directory.glob("*/logs/*"):
        text = log.read_text(encoding="utf-8", errors="replace")
        if NAME in text or any(number in text for number in history.personal):
            found.append(f"{log.name} names somebody")
    return found


def silence(_: str) -> None:
    """Of how a stack starts and stops nothing is told."""


if __name__ == "__main__":
    typer.run(main)
