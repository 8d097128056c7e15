"""Files of an institution's day: how far they are read, their lines, and what differs from the ledger."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.binding.days import (
    DayAsked,
    DayLine,
    DayTotals,
    DifferenceCounts,
    Reconciliation,
    ReconciliationState,
)
from shared.domain.ids import earliest_id, ids_of_day
from shared.messages.reconcile import Difference, Totals, difference_of
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "reconciliations.sql")
SCHEMA, LINES = "registry", "reconciliation_lines"
COLUMNS = ("province", "reconciliation_id", *DayLine._fields)
# Whoever reads a file shows far more often that it is still coming.
STALLED_AFTER = timedelta(minutes=5)
# Milliseconds. A million lines took 7 s on two busy cores, and 35 s where all of them differed.
COMPARING_MAX_MS = "120000"


async def begin(connection: Any, made: Reconciliation, by: str) -> bool:
    """Whether it has begun: another file of the institution may be under way."""
    day = made.day
    begun = await connection.fetchval(
        SQL["begin"], made.province, made.row_id, day.institution_id, day.insured_region, day.date, made.started_at, by
    )
    return begun is not None


async def append(
    connection: Any, made: Reconciliation, lines: Sequence[DayLine], *, lines_read: int, now: datetime
) -> bool:
    """Keeps these lines; whether the file is still being waited for."""
    if await connection.fetchval(SQL["advance"], made.province, made.row_id, lines_read, now) is None:
        return False
    await connection.copy_records_to_table(
        LINES, schema_name=SCHEMA, columns=COLUMNS, records=[(made.province, made.row_id, *line) for line in lines]
    )
    return True


async def wait(connection: Any, made: Reconciliation, now: datetime) -> None:
    """Says that a file which is read waits for its turn, and is not abandoned."""
    await connection.execute(SQL["wait"], made.province, made.row_id, now)


async def lock(connection: Any, made: Reconciliation) -> bool:
    """Whether the file is still being waited for; if so, nobody takes it for abandoned in this transaction.

    Every later statement of the transaction may take two minutes.
    """
    await connection.execute(SQL["take_time"], COMPARING_MAX_MS)
    return await connection.fetchval(SQL["lock"], made.province, made.row_id) is not None


async def repeated(connection: Any, made: Reconciliation, limit: int) -> list[tuple[int, int]]:
    """Pairs of lines that name the same request."""
    rows = await connection.fetch(SQL["repeated"], made.province, made.row_id, limit)
    return [(row["first_line"], row["again"]) for row in rows]


async def left_behind(connection: Any, institution_id: str, since: datetime) -> int:
    """How many differences the institution's files have left that began at this moment or later."""
    differences: int = await connection.fetchval(SQL["left_behind"], institution_id, earliest_id(since))
    return differences


async def compare(connection: Any, made: Reconciliation, now: datetime, *, at_most: int) -> Reconciliation | int:
    """The lines beside our day; they are not needed any more then. Where more than `at_most` differ: how many, and nothing is kept."""
    # An id begins with its time, so a day is a stretch of the key.
    stretch = ids_of_day(made.day.date)
    row = await connection.fetchrow(
        SQL["compare"], made.province, made.row_id, made.day.institution_id, *stretch, now, at_most
    )
    if row["compared_at"] is None:
        differences: int = row["differences"]
        return differences
    await connection.execute(SQL["forget_lines"], made.province, made.row_id)
    return _reconciliation(row, now)


async def strike(connection: Any, made: Reconciliation) -> None:
    """Leaves nothing of a file that was not compared."""
    await connection.execute(SQL["take_time"], COMPARING_MAX_MS)
    await connection.execute(SQL["strike"], made.province, made.row_id)


async def abandon(connection: Any, made: Reconciliation) -> bool:
    """Whether the file was still being waited for."""
    await connection.execute(SQL["take_time"], COMPARING_MAX_MS)
    abandoned: bool = await connection.fetchval(SQL["abandon"], made.province, made.row_id)
    return abandoned


async def abandon_stalled(connection: Any, now: datetime) -> None:
    await connection.execute(SQL["take_time"], COMPARING_MAX_MS)
    await connection.execute(SQL["abandon_stalled"], now - STALLED_AFTER)


async def find(connection: Any, province: int, row_id: UUID, now: datetime) -> Reconciliation | None:
    row = await connection.fetchrow(SQL["find"], province, row_id)
    return _reconciliation(row, now) if row else None


async def list_of(
    connection: Any, institution_id: str, *, before: UUID, limit: int, now: datetime
) -> list[Reconciliation]:
    rows = await connection.fetch(SQL["list_by_institution"], institution_id, before, limit)
    return [_reconciliation(row, now) for row in rows]


async def differences(connection: Any, made: Reconciliation, *, after: str, limit: int) -> list[Difference]:
    """A page of what differs, by request id."""
    rows = await connection.fetch(SQL["differences"], made.province, made.row_id, after, limit)
    return [difference_of(made.province, row) for row in rows]


def _reconciliation(row: Any, now: datetime) -> Reconciliation:
    state = ReconciliationState(row["state"])
    stalled = state is ReconciliationState.READING and row["progress_at"] < now - STALLED_AFTER
    made = Reconciliation(
        row_id=row["reconciliation_id"],
        day=DayAsked(row["institution_id"], row["insured_region"], row["date"]),
        state=ReconciliationState.ABANDONED if stalled else state,
        lines_read=row["lines_read"],
        started_at=row["started_at"],
    )
    if row["compared_at"] is None:
        return made
    return replace(
        made,
        compared_at=row["compared_at"],
        ours=Totals(
            count=row["our_count"],
            account_fen=row["our_account_fen"],
            mutual_aid_fen=row["our_mutual_aid_fen"],
            refunded_fen=row["our_refunded_fen"],
        ),
        theirs=DayTotals(row["their_count"], row["their_account_fen"], row["their_mutual_aid_fen"]),
        differences=DifferenceCounts(row["missing_here"], row["missing_there"], row["different"]),
    )
