"""A stored decision, decided again by the rule of today; for `explain --recheck`."""

from typing import Any
from uuid import UUID

from services.settlement.recheck import ROLE, policies, recheck
from shared.postgres.pool import connect


async def decided_again(url: str, province: int, decision_id: UUID) -> dict[str, Any]:
    """`result` same, different or impossible; `differences` by field, stored and now; `why_not` where impossible."""
    connection = await connect(url, role=ROLE, name="gongji-recheck")
    try:
        found = await recheck(connection, province, decision_id, await policies(connection))
    finally:
        await connection.close()
    assert found, "it has just been read"
    differences = {field: {"stored": before, "now": now} for field, (before, now) in found.differences.items()}
    return {"result": found.result, "differences": differences, "why_not": found.why_not}
