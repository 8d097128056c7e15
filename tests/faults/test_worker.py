"""A worker that dies or stands still, at each place where it matters: nothing is lost, nothing is decided twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from random import Random

import pytest

from services.settlement.failpoints import PLACES
from tests.support.correspondence import Correspondence, bills
from tests.support.processes import Worker
from tests.support.servers import Servers
from tests.support.world import World, bill, until

# Whether a batch leaves decisions behind where its worker dies, and answers.
LEAVES = {
    "before_begin": (False, False),
    "after_debit": (False, False),
    "after_commit": (True, False),
    "after_confirm": (True, True),
}


@pytest.mark.parametrize("place", PLACES)
async def test_what_a_killed_worker_had_in_hand_is_answered_by_the_next(
    town: World, sender: Correspondence, stack: AsyncExitStack, place: str
) -> None:
    """It leaves the decisions and answers of its place, no less and no more; the next worker says the same again."""
    await sender.send(bills(5))
    before = await town.count("ledger.decisions")

    killed = Worker(town, GONGJI_FAILPOINT=f"{place}:kill")
    stack.callback(killed.kill)
    await until(killed.has_died)
    await sender.collect()
    decided, answered = await town.count("ledger.decisions") - before, len(sender.told)
    stack.callback(Worker(town).kill)
    await sender.converge(answers=5 + answered)

    assert (decided > 0, answered > 0) == LEAVES[place]
    assert len(sender.replayed()) == decided


# Twelve workers in all: a message that each of them holds when it dies stays below the delivery limit.
ROUNDS = 6


@pytest.mark.long
async def test_workers_may_die_anywhere_again_and_again(
    town: World, sender: Correspondence, stack: AsyncExitStack, dice: Random
) -> None:
    """Three at a time, each at a place and a pass that chance draws, with batches of a size that chance draws."""
    places = list(PLACES)
    for number in range(ROUNDS):
        await sender.send([bill(amount_fen=dice.randrange(1, 50)) for _ in range(60)])
        dying = [
            Worker(
                town,
                GONGJI_FAILPOINT=f"{dice.choice(places)}:kill:{dice.randrange(1, 4)}",
                GONGJI_BATCH_MAX=str(dice.randrange(1, 9)),
                GONGJI_LANES=str(dice.randrange(1, 3)),
                # Whoever comes first leaves something to the others.
                GONGJI_PREFETCH="9",
            )
            for _ in range(1 + number % 3)
        ]
        for worker in dying:
            stack.callback(worker.kill)
        await until(lambda dying=dying: any(worker.has_died() for worker in dying))  # type: ignore[misc]
        for worker in dying:
            worker.process.kill()

    stack.callback(Worker(town).kill)
    await sender.converge()

    assert len(sender.told) == 60 * ROUNDS


async def test_a_worker_drains_on_sigterm(town: World, sender: Correspondence, stack: AsyncExitStack) -> None:
    """It stops consuming, answers what it has in hand, and ends with 0; what it had not begun is left for another."""
    worker = Worker(town, GONGJI_BATCH_MAX="5")
    stack.callback(worker.kill)
    before = await town.count("ledger.decisions")
    await sender.send(bills(2_000))
    await until(partial(town.has, "ledger.decisions", before + 50))

    worker.process.terminate()
    exit_code = await asyncio.to_thread(worker.process.wait, 30)
    await sender.collect()
    decided, answered = await town.count("ledger.decisions") - before, len(sender.told)
    stack.callback(Worker(town).kill)
    await sender.converge()

    assert exit_code == 0
    assert decided == answered < 2_000
    assert not sender.replayed()


# ---- standing still ----

TIMEOUT_MS = 3_000


@pytest.fixture
async def short_patience(run_servers: Servers) -> AsyncIterator[None]:
    """The broker takes back after seconds, not half an hour, what a consumer holds and does not acknowledge."""
    await run_servers.rabbitmqctl("eval", _patience(TIMEOUT_MS, 500))
    yield
    await run_servers.rabbitmqctl("eval", _patience(1_800_000, 60_000))


def _patience(timeout_ms: int, looks_every_ms: int) -> str:
    """Of channels that are opened from then on."""
    return (
        f"application:set_env(rabbit, consumer_timeout, {timeout_ms}), "
        f"application:set_env(rabbit, channel_tick_interval, {looks_every_ms})."
    )


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
async def test_a_worker_that_stood_still_finds_that_another_has_done_its_work(
    town: World, sender: Correspondence, stack: AsyncExitStack, short_patience: None, place: str
) -> None:
    """Stopped past the consumer timeout, it goes on where it was: what it says then, the other has said already."""
    await sender.send(bills(5))
    stopped = Worker(town, GONGJI_FAILPOINT=f"{place}:stop")
    stack.callback(stopped.kill)
    await until(stopped.is_stopped)
    other = Worker(town)
    stack.callback(other.kill)

    # The broker closes the channel in time, and hands its messages on once the stopped worker's heartbeat is missed too.
    await until(other.is_ready)
    await until(partial(_has_answered, other, 5), timeout_s=90)
    stopped.resume()
    await until(partial(stopped.has_logged, "broker_session_begun", 2))
    await sender.converge()

    assert stopped.is_alive()


async def _has_answered(worker: Worker, requests: int) -> bool:
    return await worker.metric('gongji_requests_total{operation="settle"') >= requests
