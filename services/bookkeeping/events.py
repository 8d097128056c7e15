"""What has been sealed and not been told yet."""

from typing import Any

from services.bookkeeping.model import Entry, Notice, Seal
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "events.sql")
NOTICES_MAX = 500


async def provinces(connection: Any) -> list[int]:
    """Where a seal has not been told."""
    return [row["province"] for row in await connection.fetch(SQL["provinces"])]


async def next_seal(connection: Any, province: int) -> Seal | None:
    row = await connection.fetchrow(SQL["next_seal"], province)
    return Seal(province, row["seal_no"], tuple(row["ids"]), row["hash"]) if row else None


async def entries(connection: Any, seal: Seal) -> list[Entry]:
    """The entries that a seal covers, in the order of the seal."""
    return [Entry(**row) for row in await connection.fetch(SQL["entries"], seal.province, list(seal.ids))]


async def told(connection: Any, seal: Seal) -> None:
    """Remembers that the events up to this seal have been published."""
    await connection.execute(SQL["told"], seal.province, seal.seal_no)


async def has_notices(connection: Any) -> bool:
    """Whether something became of a binding that has not been told."""
    found: bool = await connection.fetchval(SQL["has_notices"])
    return found


async def take_notices(connection: Any) -> list[Notice]:
    """Some notices, in the order in which they came; gone once the transaction is committed."""
    rows = await connection.fetch(SQL["take_notices"], NOTICES_MAX)
    return sorted((Notice(**row) for row in rows), key=lambda notice: notice.notice_no)
