"""Who tried to send what they may not: written down for good, for whoever watches over the senders."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.settlement.model import Rejection, Resolution
from shared.domain.reasons import Reason
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "refusals.sql")

# A sender who is not who they say, or who asks for what is somebody else's.
WATCHED = frozenset({Reason.SENDER_MISMATCH, Reason.REPLY_QUEUE_NOT_ALLOWED, Reason.SIGNATURE_INVALID})


async def add(connection: Any, resolutions: Sequence[Resolution], now: datetime) -> None:
    """Writes down which of these requests were refused for their sender's sake."""
    rows = [
        (
            incoming.name.province,
            found,
            incoming.sender.user_id,
            incoming.name.institution_id,
            incoming.name.request_id,
            incoming.operation,
        )
        for resolution in resolutions
        if isinstance(resolution.verdict, Rejection)
        and (found := resolution.verdict.sender or resolution.verdict.reason) in WATCHED
        for incoming in (resolution.incoming,)
    ]
    if rows:
        await connection.execute(SQL["add"], now, *[list(column) for column in zip(*rows, strict=True)])
