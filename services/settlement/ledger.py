"""Accounts and entries: locking, and writing all that a batch decided."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from services.settlement import decisions
from services.settlement.incoming import RequestName
from services.settlement.journal import Journal
from services.settlement.model import Contra, Day, Entry, Movement, MovementKind, Resolution, Undo
from shared.domain.accounts import EMPTY, Account
from shared.domain.ids import PersonKey, earliest_id, ids_of_day
from shared.domain.mutual_aid import Binding
from shared.domain.times import shanghai_year, year_start
from shared.messages.reconcile import LINES_MAX, ReconcileRequest, Totals, difference_of
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "ledger.sql")


async def open_accounts(connection: Any, people: Iterable[PersonKey], now: datetime) -> None:
    """Opens an empty account for whoever has none."""
    keys = sorted(set(people))
    if keys:
        await connection.execute(
            SQL["open_accounts"], [k.province for k in keys], [k.person_id for k in keys], shanghai_year(now)
        )


class Hold(Enum):
    """How accounts are taken; a locked one stays as it is until the transaction ends."""

    READ = "read_accounts"
    LOCK = "lock_accounts"
    LOCK_FREE = "lock_free_accounts"


async def accounts(connection: Any, people: Iterable[PersonKey], hold: Hold, now: datetime) -> Journal:
    """The accounts of these people as of now, without those who have none; LOCK_FREE leaves out what somebody else holds."""
    keys = sorted(set(people))
    journal = Journal(now, {})
    if not keys:
        return journal
    year = shanghai_year(now)
    rows = await connection.fetch(SQL[hold.value], [k.province for k in keys], [k.person_id for k in keys])
    for province, person_id, *funds_fen, balances_year in rows:
        person, stored = PersonKey(province, person_id), Account(*funds_fen)
        account = stored.as_of(year, balances_year)
        journal.accounts[person] = account
        if rolled_fen := account.prior_years_fen - stored.prior_years_fen:
            journal.rolling[person] = rolled_fen
    return journal


async def opened(connection: Any, people: Iterable[PersonKey]) -> set[PersonKey]:
    """Which of these people have an account, whoever holds it."""
    keys = sorted(set(people))
    if not keys:
        return set()
    rows = await connection.fetch(SQL["opened"], [k.province for k in keys], [k.person_id for k in keys])
    return {PersonKey(*row) for row in rows}


async def used_this_year(connection: Any, bindings: Sequence[Binding], now: datetime) -> dict[Any, int]:
    """What each of these bindings has used, in fen, in the Shanghai calendar year of `now`."""
    if not bindings:
        return {}
    rows = await connection.fetch(
        SQL["used_this_year"],
        [binding.payer.province for binding in bindings],
        [binding.payer.person_id for binding in bindings],
        [binding.binding_id for binding in bindings],
        # All entries of the year come after it in the index.
        earliest_id(year_start(shanghai_year(now))),
    )
    return {row["binding_id"]: row["used_fen"] for row in rows}


async def record(
    connection: Any,
    movements: Sequence[Movement],
    resolutions: Sequence[Resolution],
    now: datetime,
    undone: Sequence[Undo] = (),
) -> None:
    """Writes balances, entries and decisions of a batch in one statement.

    Raises asyncpg.UniqueViolationError on one_decision_per_request where another worker was faster.
    """
    changes = _changes(movements, shanghai_year(now))
    entries = [_entry_row(movement, entry, now) for movement in movements for entry in movement.entries]
    decided = decisions.rows(resolutions, undone, now)
    # A page names movements in the order in which they were made, then what moved nothing.
    page = list(dict.fromkeys(row[:2] for row in (*entries, *decided)))
    written = await connection.fetchrow(
        SQL["record"],
        changes,
        entries,
        decided,
        [province for province, _ in page],
        [row_id for _, row_id in page],
    )
    assert written["accounts"] == len(changes), "an entry was decided for an account that is not there"
    assert written["entries"] == len(entries)
    assert written["decisions"] == len(decided)


async def movements(connection: Any, moved: Mapping[RequestName, UUID]) -> dict[RequestName, Movement]:
    """What each of these requests moved."""
    rows = await connection.fetch(SQL["movements"], [name.province for name in moved], list(moved.values()))
    names = {(name.province, movement_id): name for name, movement_id in moved.items()}
    found: dict[RequestName, Movement] = {}
    for row in rows:
        name = names[row["province"], row["movement_id"]]
        entry = Entry(
            PersonKey(row["province"], row["person_id"]),
            Contra(row["contra"]),
            row["insured_region"],
            row["current_year_fen"],
            row["prior_years_fen"],
            row["wallet_fen"],
            row["binding_id"],
            row["care_region"],
        )
        known = found.get(name)
        found[name] = Movement(
            MovementKind(row["kind"]),
            row["movement_id"],
            (*(known.entries if known else ()), entry),
            name,
            row["original_id"],
        )
    return found


async def standing(
    connection: Any, asked: Mapping[RequestName, UUID | None]
) -> tuple[set[RequestName], dict[tuple[RequestName, PersonKey], Account]]:
    """Which of these requests are cancelled; what is left of each entry, where something was given back of it."""
    rows = await connection.fetch(
        SQL["standing"],
        [name.province for name in asked],
        [name.institution_id for name in asked],
        [name.request_id for name in asked],
        list(asked.values()),
    )
    cancelled, left = set(), {}
    for row in rows:
        name = RequestName(row["province"], row["institution_id"], row["request_id"])
        if row["cancelled"]:
            cancelled.add(name)
        if row["person_id"] is not None:
            left[name, PersonKey(name.province, row["person_id"])] = Account(
                row["current_year_fen"], row["prior_years_fen"], row["wallet_fen"]
            )
    return cancelled, left


async def give_back(connection: Any, undone: Sequence[Undo]) -> None:
    """Writes that so much less is left of these settlements.

    Raises asyncpg.CheckViolationError on never_more_back_than_was_paid.
    """
    back: dict[tuple[int, UUID, str], Account] = defaultdict(Account)
    for undo in undone:
        for each in undo.returned:
            assert undo.of
            key = (each.person.province, undo.of, each.person.person_id)
            back[key] = back[key].plus(each.parts)
    if back:
        await connection.execute(
            SQL["give_back"],
            *[list(column) for column in zip(*back, strict=True)],
            [parts.current_year_fen for parts in back.values()],
            [parts.prior_years_fen for parts in back.values()],
            [parts.wallet_fen for parts in back.values()],
        )


async def day(connection: Any, province: int, request: ReconcileRequest) -> Day:
    """An institution's Shanghai day within a province, beside the lines that it has given, if any."""
    # An id begins with its time, so a day is a stretch of the key.
    hours = ids_of_day(request.date)
    if request.lines is None:
        return Day(Totals(**await connection.fetchrow(SQL["day_totals"], province, request.institution_id, *hours)))
    rows = await connection.fetch(
        SQL["compare_day"],
        province,
        request.institution_id,
        *hours,
        [line.request_id for line in request.lines],
        [line.account_fen for line in request.lines],
        [line.mutual_aid_fen for line in request.lines],
        LINES_MAX,
    )
    first = rows[0]
    totals = Totals(**{name: first[name] for name in Totals.model_fields})
    differing = tuple(difference_of(province, row) for row in rows if row["request_id"] is not None)
    return Day(totals, differing, first["differences"])


async def of_earlier_years(connection: Any, after: PersonKey, year: int, limit: int) -> dict[PersonKey, int]:
    """The next accounts that have not been turned to `year`, locked, with what is to grow older, in fen."""
    rows = await connection.fetch(SQL["of_earlier_years"], after.province, after.person_id, year, limit)
    return {PersonKey(row["province"], row["person_id"]): row["current_year_fen"] for row in rows}


async def turn(connection: Any, people: Iterable[PersonKey], year: int) -> None:
    """These accounts' balances are of `year` from now on."""
    keys = sorted(people)
    await connection.execute(SQL["turn"], [k.province for k in keys], [k.person_id for k in keys], year)


async def record_rollover(connection: Any, year: int, accounts: int, moved_fen: int, started_at: datetime) -> None:
    """Writes down that a rollover has gone through to the end."""
    await connection.execute(SQL["record_rollover"], year, accounts, moved_fen, started_at)


def _changes(movements: Sequence[Movement], year: int) -> list[tuple[Any, ...]]:
    """What a batch does to each account in sum: one update a row, however many requests touched it. As ledger.account_change."""
    changes: dict[PersonKey, Account] = {}
    for movement in movements:
        for entry in movement.entries:
            changes[entry.person] = changes.get(entry.person, EMPTY).plus(entry)
    return [
        (*person, change.current_year_fen, change.prior_years_fen, change.wallet_fen, year)
        for person, change in changes.items()
    ]


def _entry_row(movement: Movement, entry: Entry, now: datetime) -> tuple[Any, ...]:
    """As ledger.new_entry."""
    name = movement.asked_by
    return (
        entry.person.province,
        movement.movement_id,
        entry.person.person_id,
        movement.kind,
        name.institution_id if name else None,
        name.request_id if name else None,
        entry.binding_id,
        entry.current_year_fen,
        entry.prior_years_fen,
        entry.wallet_fen,
        entry.contra,
        entry.contra_fen,
        movement.original_id,
        entry.insured_region,
        entry.care_region,
        now,
    )
