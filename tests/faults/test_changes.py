"""What lets a relative pay is changed over HTTP while batches are deciding: each pays by what held when it debited, and none after the change was acknowledged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest

from cli.audit import prove
from deploy.devstack.ports import LOOPBACK
from shared.domain.roles import Role
from tests.support.correspondence import Correspondence, bills
from tests.support.processes import ServiceProcess, Worker
from tests.support.world import Answer, World, until


@pytest.fixture
async def counter(town: World, keys: dict[str, Path]) -> AsyncIterator[World]:
    """The town at whose counter a binding service is called that is a process of its own."""
    service = ServiceProcess("binding", town, **{name: str(file) for name, file in keys.items()})
    await until(service.is_ready)
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{service.port}", timeout=30) as http:
        yield replace(town, http=http)
    service.kill()


# ---- what is changed, and changed back ----


async def end(counter: World) -> httpx.Response:
    listed = (await counter.call(Role.CLERK, "GET", "/v1/bindings?payer_id=MOTHER")).json()["items"]
    return await counter.call(Role.CLERK, "POST", f"/v1/bindings/{listed[-1]['binding_id']}/end")


async def freeze(counter: World) -> httpx.Response:
    return await counter.call(Role.OPERATOR, "POST", "/v1/accounts/MOTHER/freeze")


async def leave(counter: World) -> httpx.Response:
    gone = {"name": "张三丰", "id_number": "130102199003071234", "region_code": "130100", "insurance": "employee"}
    return await counter.call(Role.FEED, "PUT", "/v1/persons/MOTHER", {**gone, "status": "ended"})


async def bind(counter: World) -> None:
    await counter.bind("MOTHER", "CHILD")


async def unfreeze(counter: World) -> None:
    (await counter.call(Role.OPERATOR, "POST", "/v1/accounts/MOTHER/unfreeze")).raise_for_status()


async def come_back(counter: World) -> None:
    await counter.person("MOTHER")
    await counter.bind("MOTHER", "CHILD")


@dataclass(frozen=True)
class Change:
    """After it MOTHER does not pay for CHILD, for this reason; `undone`, she does again."""

    make: Callable[[World], Awaitable[httpx.Response]]
    undo: Callable[[World], Awaitable[None]]
    reason: str

    async def acknowledged(self, counter: World) -> datetime:
        """When it was, at the latest: a clerk says it again as long as it cannot be done at the moment."""
        await until(partial(self._is_made, counter), timeout_s=60)
        return datetime.now(UTC)

    async def _is_made(self, counter: World) -> bool:
        response = await self.make(counter)
        if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return False
        response.raise_for_status()
        return True


CHANGES = [
    pytest.param(Change(end, bind, "no_binding"), id="a binding ended"),
    pytest.param(Change(freeze, unfreeze, "payer_account_frozen"), id="a payer frozen", marks=pytest.mark.long),
    pytest.param(Change(leave, come_back, "payer_not_eligible"), id="an enrolment changed", marks=pytest.mark.long),
]


# ---- one batch, stopped where it matters ----


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_waits_for_the_batch_that_has_debited(
    town: World, counter: World, sender: Correspondence, stack: AsyncExitStack, change: Change
) -> None:
    """It is paid as it was authorised, and the change is acknowledged after it; nothing that comes behind is paid after that."""
    worker = await _stopped(town, sender, stack, "after_debit")

    changing = asyncio.create_task(change.acknowledged(counter))
    await until(partial(_somebody_waits, town))
    behind = [asyncio.create_task(town.settle(amount_fen=1)) for _ in range(5)]
    waited = not changing.done()
    worker.resume()
    await changing
    paid = await _payments(town)
    answers = [*await asyncio.gather(*behind), await town.settle(amount_fen=1)]

    assert waited
    assert answers[-1]["reason"] == change.reason
    assert {answer["reason"] for answer in answers} <= {None, change.reason}
    assert await _payments(town) == paid == 1 + sum(answer["outcome"] == "settled" for answer in answers)
    assert await sender.is_complete()
    assert [answer["outcome"] for (answer,) in sender.told.values()] == ["settled"]


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_would_have_to_wait_for_long_is_not_made(
    town: World, counter: World, sender: Correspondence, stack: AsyncExitStack, change: Change
) -> None:
    """The batch stands still: the call is answered that it cannot be done now, and nothing has changed."""
    worker = await _stopped(town, sender, stack, "after_debit")

    refused = await change.make(counter)
    worker.resume()
    await sender.send(bills(1))
    await sender.converge()

    assert (refused.status_code, refused.json()["reason"]) == (503, "unavailable")


@pytest.mark.parametrize("change", CHANGES)
async def test_a_batch_that_had_not_begun_pays_by_nothing_that_was_changed_before(
    town: World, counter: World, sender: Correspondence, stack: AsyncExitStack, change: Change
) -> None:
    """Its request was in the worker's hand; the change waits for nobody, and the request is refused."""
    worker = await _stopped(town, sender, stack, "before_begin")

    await change.acknowledged(counter)
    worker.resume()
    await until(sender.is_complete)

    ((answer,),) = sender.told.values()
    assert (answer["outcome"], answer["reason"]) == ("declined", change.reason)
    assert await _payments(town) == 0
    assert (await prove(town.database_url))["holds"]


async def _stopped(town: World, sender: Correspondence, stack: AsyncExitStack, place: str) -> Worker:
    """A worker that stands still there, with one settlement in hand."""
    await sender.send(bills(1))
    worker = Worker(town, GONGJI_FAILPOINT=f"{place}:stop")
    stack.callback(worker.kill)
    await until(worker.is_stopped)
    return worker


async def _payments(world: World) -> int:
    return await world.count("ledger.entries WHERE kind = 'settlement'")


async def _somebody_waits(world: World) -> bool:
    """For the authority over a province."""
    waiting = """
    SELECT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    """
    return bool(await world.db.fetchval(waiting))


# ---- many at once ----

TILLS, ROUNDS = 8, 6


@dataclass(frozen=True)
class Period:
    """In which MOTHER may not pay: from when that was acknowledged until it was asked to be undone."""

    since: datetime
    until: datetime

    def holds(self, answer: Answer) -> bool:
        return self.since < datetime.fromisoformat(answer["decided_at"]) < self.until


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES)
async def test_nothing_is_paid_after_an_acknowledged_change_however_busy_it_is(
    town: World, counter: World, stack: AsyncExitStack, change: Change
) -> None:
    """Eight tills, two workers, and a clerk who makes the change and undoes it, again and again: told by the times, from outside."""
    for _ in range(2):
        stack.callback(Worker(town, GONGJI_BATCH_MAX="5").kill)
    answers: list[Answer] = []
    enough = asyncio.Event()
    tills = [asyncio.create_task(_till(town, answers, enough)) for _ in range(TILLS)]
    periods, paid_meanwhile = [], []

    for _ in range(ROUNDS):
        await until(partial(_has_said, answers, len(answers), None))
        since = await change.acknowledged(counter)
        paid = await _payments(town)
        await until(partial(_has_said, answers, len(answers), change.reason))
        paid_meanwhile.append(await _payments(town) - paid)
        periods.append(Period(since, datetime.now(UTC)))
        await change.undo(counter)
    enough.set()
    await asyncio.gather(*tills)

    assert paid_meanwhile == [0] * ROUNDS
    assert not [
        answer for answer in answers if answer["outcome"] == "settled" and any(each.holds(answer) for each in periods)
    ]
    assert {answer["reason"] for answer in answers} == {None, change.reason}
    assert await _payments(town) == sum(answer["outcome"] == "settled" for answer in answers)
    assert (await prove(town.database_url))["holds"]


async def _till(world: World, answers: list[Answer], enough: asyncio.Event) -> None:
    while not enough.is_set():
        answers.append(await world.settle(amount_fen=1, timeout_s=60))


def _has_said(answers: list[Answer], before: int, reason: str | None) -> bool:
    """Whether so many of the answers since then gave this reason that the tills must have asked again meanwhile."""
    return [answer["reason"] for answer in answers[before:]].count(reason) >= 3 * TILLS
