"""Institutions that ask for long days: a worker tells them one at a time, in bounded memory, and others in between."""

import secrets
from contextlib import AsyncExitStack

import orjson
import pytest

from services.settlement.settings import Consumes
from shared.domain.times import shanghai_date, system_clock
from shared.rabbit.access import QUEUE_ARGUMENTS
from shared.rabbit.connection import close, connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import REQUESTS
from tests.support.correspondence import taken, waiting
from tests.support.processes import MEMORY_MIB_MAX, Worker
from tests.support.world import World, bill, envelope, until

SETTLEMENTS, RECONCILES, LINES = 10_000, 50, 800
A_DAY = """
INSERT INTO ledger.entries
SELECT
    13, (left(ledger.earliest_id(now())::text, 14) || right(gen_random_uuid()::text, 22))::uuid, 'CHILD', 'settlement',
    'H1', 'D-' || n, NULL, 0, -10, 0, 'payable', 10, NULL, '130100', '130100', now()
FROM generate_series(1, $1::integer) AS n
"""


@pytest.mark.long
async def test_long_days_keep_neither_the_memory_nor_a_quote(town: World, stack: AsyncExitStack) -> None:
    """Fifty reconciles by line of a day of ten thousand settlements are in the queue; a quote that comes after them is told soon."""
    replies = f"replies-{secrets.token_hex(4)}"
    await town.db.execute(A_DAY, SETTLEMENTS)
    connection = await connect([town.amqp_url], name="tests")
    await (await open_channel(connection, confirms=False)).queue_declare(
        replies, durable=True, arguments=QUEUE_ARGUMENTS
    )
    await Publisher(await open_channel(connection, confirms=True)).publish(
        [_reconcile(replies) for _ in range(RECONCILES)]
    )
    await close(connection)

    worker = Worker(town, GONGJI_CONSUMES=Consumes.INQUIRY)
    stack.callback(worker.kill)
    quoted = await town.ask("quote", bill(amount_fen=1), timeout_s=20)
    told = await waiting(town, replies)
    await until(lambda: _has_told(town, replies), timeout_s=100)
    answers = [orjson.loads(message.body) for message in await taken(town, replies)]

    assert quoted["outcome"] == "settled"
    assert told < RECONCILES // 2
    assert {(each["outcome"], each["ours"]["count"]) for each in answers} == {("differs", SETTLEMENTS)}
    assert {(len(each["differences"]), each["differences_left_out"]) for each in answers} == {
        (5_000, SETTLEMENTS - LINES - 5_000)
    }
    assert worker.most_memory_mib() <= MEMORY_MIB_MAX
    assert await worker.metric("gongji_broker_sessions_total") == 1


def _reconcile(replies: str) -> Outgoing:
    """The first eight hundred as they are."""
    lines = [{"request_id": f"D-{n}", "account_fen": 10, "mutual_aid_fen": 0} for n in range(1, LINES + 1)]
    said = {"count": LINES, "account_fen": 10 * LINES, "mutual_aid_fen": 0, "refunded_fen": 0}
    today = shanghai_date(system_clock()).isoformat()
    body = envelope(date=today, lines=lines, **said)
    return Outgoing(REQUESTS, "reconcile.130100", orjson.dumps(body), type="reconcile", reply_to=replies)


async def _has_told(town: World, replies: str) -> bool:
    return await waiting(town, replies) == RECONCILES
