"""What was committed here, and whether the standby has it.

With a synchronous standby a COMMIT is answered once the standby has it. One that is interrupted while it waits (the primary
crashes, an administrator ends the session or cancels what it does) is there for everybody to see afterwards, on this server
alone: if the standby is promoted, it never was.
"""

import asyncio
from typing import Any

STANDBY_TIMEOUT_S = 5.0


async def reach_standby(connection: Any) -> None:
    """Waits until a synchronous standby has whatever can be seen here; in a transaction its COMMIT does the waiting.

    An empty write, because a commit that has written nothing waits for nobody. Raises OnThisServerAlone where somebody else
    cancels the wait.
    """
    await connection.execute("SELECT pg_logical_emit_message(true, 'gongji', '')")


async def expect_standby(connection: Any) -> None:
    """Before a transaction: raises TimeoutError where the standby is away.

    A COMMIT that waits for it is never cancelled, and keeps a session of the server for as long; this can be, and keeps none.
    """
    async with asyncio.timeout(STANDBY_TIMEOUT_S):
        await reach_standby(connection)
