"""What the owner of the database does while workers work: rights taken away, tables altered; no request is blamed for it."""

from contextlib import AsyncExitStack
from functools import partial

import pytest

from shared.rabbit.topology import DEAD
from tests.support.correspondence import Correspondence, bills, waiting
from tests.support.processes import Worker
from tests.support.world import World, until


async def test_a_right_that_is_missing_is_waited_for(
    town: World, sender: Correspondence, stack: AsyncExitStack
) -> None:
    """Under load: consuming stops, `/readyz` says why, nothing is refused; once it is granted again all is answered."""
    # A lane that is given nothing does not notice: neither may take all.
    worker = Worker(town, GONGJI_BATCH_MAX="5", GONGJI_PREFETCH="100")
    stack.callback(worker.kill)
    await sender.send(bills(400))
    await until(partial(town.has, "ledger.decisions", 50))

    await town.db.execute("REVOKE SELECT ON registry.settlement_enrolments FROM gongji_settlement")
    await until(worker.is_not_ready)
    await until(worker.has_paused)
    said, dead = await worker.page("/readyz"), await waiting(town, DEAD)
    await sender.collect()
    left = 400 - len(sender.told)
    await town.db.execute("GRANT SELECT ON registry.settlement_enrolments TO gongji_settlement")
    await sender.converge()

    assert "PostgreSQL cannot be used: InsufficientPrivilegeError" in said
    assert left
    assert dead == 0
    assert not sender.replayed()
    assert await worker.metric("gongji_broker_sessions_total") == 1


ALTERED = {
    "a column is added": "ALTER TABLE ledger.transfers ADD COLUMN tests_note text",
    "a column changes its type": "ALTER TABLE ledger.remainders ALTER COLUMN wallet_fen TYPE integer",
}


@pytest.mark.parametrize("how", ALTERED)
async def test_a_table_that_is_altered_under_a_worker_costs_no_request(
    town: World, sender: Correspondence, worker: Worker, how: str
) -> None:
    """As a release does that is rolled out: what the worker had prepared is prepared anew, and a lone refund is given back."""
    (body, other) = bills(2)
    await sender.send([body, other])
    await until(sender.is_complete)
    before = await town.refund(other["request_id"], 1)

    await town.db.execute(ALTERED[how])
    back = await town.refund(body["request_id"])

    assert (before["outcome"], back["outcome"]) == ("refunded", "refunded")
    assert await waiting(town, DEAD) == 0
    assert worker.is_alive()
