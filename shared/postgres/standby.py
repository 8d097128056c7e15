"""What was committed here, and whether the standby has it.

With a synchronous standby a COMMIT is answered once the standby has it. One that is interrupted while it waits (the primary
crashes, an administrator ends the session) is there for everybody to see afterwards, on this server alone: if the standby is
promoted, it never was.
"""

from typing import Any


async def reach_standby(connection: Any) -> None:
    """Waits until a synchronous standby has whatever can be seen here; in a transaction its COMMIT does the waiting.

    An empty write, because a commit that has written nothing waits for nobody. It is no harm to cancel it.
    """
    await connection.execute("SELECT pg_logical_emit_message(true, 'gongji', '')")
