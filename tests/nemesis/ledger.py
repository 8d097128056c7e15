"""What only the ledger can tell: in which order it has decided, and whether it would decide the same again."""

import asyncio

import asyncpg

from shared.rabbit.connection import close, connect, hosts, open_channel
from shared.rabbit.topology import DEAD
from tests.nemesis.history import Placed
from tests.nemesis.town import PAUSE_S, REGION
from tests.support.rechecks import those_that_differ

# What was sealed, in the order of the chain: requests by their names, and gifts where they arrived or went back.
ORDER = """
SELECT
    coalesce(name.request_id, lpad(transfer.province::text, 2, '0') || '-' || replace(transfer.transfer_id::text, '-', '')) AS name,
    CASE
        WHEN name.request_id IS NOT NULL THEN 'decided' WHEN transfer.state = 'returned' THEN 'returned' ELSE 'arrived'
    END AS what,
    coalesce(decision.decided_at, transfer.closed_at)::text AS at
FROM ledger.seals AS seal
CROSS JOIN LATERAL unnest(seal.ids) WITH ORDINALITY AS one (id, place)
LEFT JOIN ledger.names AS name ON name.province = seal.province AND name.decision_id = one.id
LEFT JOIN ledger.decisions AS decision ON decision.province = seal.province AND decision.decision_id = one.id
LEFT JOIN ledger.transfers AS transfer ON transfer.closed_movement_id = one.id
WHERE seal.province = $1
ORDER BY seal.seal_no, one.place
"""

SESSIONS = """
SELECT
    pid, application_name, state, wait_event, pg_blocking_pids(pid) AS blocked_by,
    (clock_timestamp() - xact_start)::text AS in_transaction, left(query, 200) AS query
FROM pg_stat_activity
WHERE backend_type = 'client backend'
ORDER BY xact_start
"""


async def read_order(database_url: str) -> list[Placed]:
    """Waits until everything is sealed."""
    connection = await asyncpg.connect(database_url)
    try:
        while await connection.fetchval("SELECT EXISTS (SELECT FROM ledger.pages)"):  # noqa: ASYNC110 no event tells of it
            await asyncio.sleep(PAUSE_S)
        return [Placed(*row) for row in await connection.fetch(ORDER, int(REGION[:2]))]
    finally:
        await connection.close()


async def count_dead_letters(amqp_url: str) -> int:
    connection = await connect(hosts(amqp_url), name="nemesis")
    try:
        channel = await open_channel(connection, confirms=False)
        return (await channel.queue_declare(DEAD, passive=True)).message_count or 0
    finally:
        await close(connection)


async def decided_differently(database_url: str) -> list[str]:
    """Every decision, decided again by the service's own rule from what it has recorded."""
    different = await those_that_differ(database_url)
    return [f"decided again, {name} differs: {dict(each.differences)}" for name, each in different.items()]


async def sessions(database_url: str) -> str:
    """What each session of PostgreSQL's does or waits for, and who keeps it waiting: a line each."""
    connection = await asyncpg.connect(database_url)
    try:
        return "\n".join(str(dict(row)) for row in await connection.fetch(SESSIONS))
    finally:
        await connection.close()
