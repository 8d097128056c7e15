"""PostgreSQL's counters as the bench reads them, of what others have done."""

import asyncio

from bench import counters
from shared.postgres.pool import connect
from tests.conftest import Database

ACCOUNT = "INSERT INTO ledger.accounts (province, person_id, balances_year) VALUES (13, 'P1', 2026)"
DEBIT = "UPDATE ledger.accounts SET current_year_fen = current_year_fen + 1"
MOVED = "UPDATE ledger.accounts SET person_id = 'P2'"


async def test_updates_are_told_once_who_made_them_has_gone(database: Database) -> None:
    before = await counters.read(database.url)
    worker = await connect(database.url, role=None, name="tests")
    for statement in (ACCOUNT, DEBIT, DEBIT, DEBIT, MOVED):
        await worker.execute(statement)
    reading = asyncio.create_task(counters.read(database.url))

    done, _ = await asyncio.wait([reading], timeout=3 * counters.LOOK_EVERY_S)
    await worker.close()
    after = await reading

    assert not done
    assert counters.rows(before, after) == {"hot_part": 0.75, "autovacuums": 0, "dead_part": after.dead / after.live}
    assert after.deadlocks == before.deadlocks
