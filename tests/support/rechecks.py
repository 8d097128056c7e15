"""Deciding everything again that has been decided."""

from services.settlement.recheck import Recheck, Result, policies, recheck
from shared.postgres.pool import connect


async def recheck_everything(database_url: str) -> dict[str, Recheck]:
    """What deciding again comes to, by request id; as the worker's role."""
    connection = await connect(database_url, role="gongji_settlement", name="tests")
    book = await policies(connection)
    rows = await connection.fetch("SELECT province, decision_id, request_id FROM ledger.decisions")
    found = {}
    for row in rows:
        again = await recheck(connection, row["province"], row["decision_id"], book)
        assert again
        found[row["request_id"]] = again
    await connection.close()
    return found


async def those_that_differ(database_url: str) -> dict[str, Recheck]:
    found = await recheck_everything(database_url)
    return {name: each for name, each in found.items() if each.result is Result.DIFFERENT}
