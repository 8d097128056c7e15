"""Two years of books, for tests that want to see many partitions."""

from datetime import date
from typing import Any

FIRST_MONTH = date(2025, 1, 1)
MONTHS = 24
# A moment of those two years for each of `{n}` rows of `{of}`, and an id made at that moment.
MOMENT = f"(timestamptz '{FIRST_MONTH} 00:00+08' + ({{n}}::float / {{of}}) * interval '729 days')"
ID = f"(left(ledger.earliest_id({MOMENT})::text, 14) || right(gen_random_uuid()::text, 22))::uuid"


def moment(n: str, of: int) -> str:
    """SQL for the moment of row `n` of `of`, in the order of time."""
    return MOMENT.format(n=n, of=of)


def timed_id(n: str, of: int) -> str:
    """SQL for an id that was made at the moment of row `n` of `of`."""
    return ID.format(n=n, of=of)


async def prepare_two_years(connection: Any) -> None:
    """Partitions for every month of 2025 and 2026."""
    for _ in range(MONTHS):
        await connection.execute("SELECT ledger.prepare_month($1)", FIRST_MONTH)
