"""One request in two workers' hands, and answers that nobody takes: one decision, and it can be looked up."""

from contextlib import AsyncExitStack
from functools import partial

import pytest

from tests.support.correspondence import Correspondence, bills
from tests.support.processes import Worker
from tests.support.world import World, bill, until


async def test_one_request_in_the_hands_of_two_workers_is_decided_once(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """One has debited and not committed when the other begins: the other waits, and repeats what was decided."""
    first = await _stopped_after_debit(town, sender, stack)
    second = Worker(town)
    stack.callback(second.kill)

    await sender.send(list(sender.asked.values()))
    await until(second.is_ready)
    await until(partial(second.has_put_aside, 1))
    first.resume()
    await sender.converge(answers=2)

    (copies,) = sender.told.values()
    assert sorted(copy["replayed"] for copy in copies) == [False, True]


async def test_a_name_with_another_content_is_refused_while_the_first_is_undecided(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """The one that is committed first has the name. The other is about somebody else, so it waits for nothing but the name."""
    first = await _stopped_after_debit(town, sender, stack)
    second = Worker(town)
    stack.callback(second.kill)
    (body,) = sender.asked.values()

    await sender.send([bill("STRANGER", request_id=body["request_id"])])
    sender.asked = {body["request_id"]: body}
    await until(second.is_ready)
    await until(partial(second.has_put_aside, 1))
    first.resume()
    await until(partial(sender.is_complete, 2))
    (refused,) = [copy for copy in sender.told[body["request_id"]] if copy["outcome"] == "rejected"]
    sender.told[body["request_id"]].remove(refused)
    await sender.converge()

    assert (refused["reason"], refused["mutual_aid_fen"]) == ("request_conflict", None)


async def _stopped_after_debit(town: World, sender: Correspondence, stack: AsyncExitStack) -> Worker:
    """A worker that stands still with one settlement written and not committed, and takes no other message."""
    await sender.send(bills(1))
    worker = Worker(town, GONGJI_FAILPOINT="after_debit:stop", GONGJI_LANES="1", GONGJI_PREFETCH="1")
    stack.callback(worker.kill)
    await until(worker.is_stopped)
    return worker


@pytest.mark.long
async def test_copies_for_two_busy_workers_are_decided_once(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """Each request twice, one right after the other, to two workers that take one at a time."""
    for _ in range(2):
        worker = Worker(town, GONGJI_LANES="1", GONGJI_BATCH_MAX="1", GONGJI_PREFETCH="1")
        stack.callback(worker.kill)
        await until(worker.is_ready)

    for body in bills(300):
        await sender.send([body, body])
    await sender.converge(answers=600)

    assert {sum(not copy["replayed"] for copy in copies) for copies in sender.told.values()} == {1}


async def test_the_decision_stands_where_the_reply_queue_is_gone(
    town: World, sender: Correspondence, worker: Worker
) -> None:
    """The broker says that it reached nobody; the sender asks what became of it, or says it again."""
    (body,) = bills(1)

    await sender.send([body], reply_to="replies-of-nobody")
    await until(partial(worker.has_logged, "answer_undelivered"))
    found = await town.lookup(body["request_id"])
    await sender.send([body])
    await sender.converge()

    assert [line["receipt"] for line in worker.logged("answer_undelivered")] == ["unroutable"]
    assert found["outcome"] == "found"
    assert sender.told[body["request_id"]] == [{**found["original"], "replayed": True}]
