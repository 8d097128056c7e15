"""Accounts and entries: locking, and writing all that a batch decided."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from services.settlement import decisions
from services.settlement.model import Decision, Entry, Resolution
from shared.domain.accounts import Account
from shared.domain.ids import PersonKey, time_ordered_uuid
from shared.domain.mutual_aid import Binding
from shared.domain.times import shanghai_year_start
from shared.messages.envelope import Operation
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "ledger.sql")

MOVEMENT_KINDS = {Operation.SETTLE: "settlement", Operation.CREDIT: "credit"}


async def open_accounts(connection: Any, people: Iterable[PersonKey]) -> None:
    """Opens an empty account for whoever has none."""
    keys = sorted(set(people))
    if keys:
        await connection.execute(SQL["open_accounts"], [k.province for k in keys], [k.person_id for k in keys])


class Hold(Enum):
    """How accounts are taken; a locked one stays as it is until the transaction ends."""

    READ = "read_accounts"
    LOCK = "lock_accounts"
    LOCK_FREE = "lock_free_accounts"


async def accounts(connection: Any, people: Iterable[PersonKey], hold: Hold) -> dict[PersonKey, Account]:
    """The accounts of these people, without those who have none; LOCK_FREE leaves out what somebody else holds."""
    keys = sorted(set(people))
    if not keys:
        return {}
    rows = await connection.fetch(SQL[hold.value], [k.province for k in keys], [k.person_id for k in keys])
    return {
        PersonKey(row["province"], row["person_id"]): Account(
            row["current_year_fen"], row["prior_years_fen"], row["wallet_fen"]
        )
        for row in rows
    }


async def used_this_year(connection: Any, bindings: Sequence[Binding], now: datetime) -> dict[Any, int]:
    """What each of these bindings has used, in fen, in the Shanghai calendar year of `now`."""
    if not bindings:
        return {}
    # The smallest movement id of the year: all its entries come after it in the index.
    since = time_ordered_uuid(shanghai_year_start(now))
    floor = since.int >> 80 << 80
    rows = await connection.fetch(
        SQL["used_this_year"],
        [binding.payer.province for binding in bindings],
        [binding.payer.person_id for binding in bindings],
        [binding.binding_id for binding in bindings],
        type(since)(int=floor),
    )
    return {row["binding_id"]: row["used_fen"] for row in rows}


async def record(connection: Any, resolutions: Sequence[Resolution], now: datetime) -> None:
    """Writes balances, entries and decisions of a batch in one statement.

    Raises asyncpg.UniqueViolationError on one_decision_per_request where another worker was faster.
    """
    changes = _changes(resolutions)
    entries = [_entry_row(resolution, entry) for resolution in resolutions for entry in _entries(resolution)]
    written = await connection.fetchrow(
        SQL["record"],
        [key.province for key in changes],
        [key.person_id for key in changes],
        [change.current_year_fen for change in changes.values()],
        [change.prior_years_fen for change in changes.values()],
        [change.wallet_fen for change in changes.values()],
        *([list(column) for column in zip(*entries, strict=True)] if entries else [[] for _ in range(12)]),
        *decisions.columns(resolutions),
        now,
    )
    assert written["accounts"] == len(changes), "an entry was decided for an account that is not there"
    assert written["entries"] == len(entries)
    assert written["decisions"] == len(resolutions)


async def remember_replay(connection: Any) -> None:
    """Makes the commit wait for a synchronous standby although nothing was decided anew."""
    await connection.execute(SQL["remember_replay"])


def _entries(resolution: Resolution) -> tuple[Entry, ...]:
    assert isinstance(resolution.verdict, Decision)
    return resolution.verdict.entries


def _changes(resolutions: Sequence[Resolution]) -> dict[PersonKey, Account]:
    """What a batch does to each account in sum: one update a row, however many requests touched it."""
    changes: dict[PersonKey, Account] = defaultdict(Account)
    for resolution in resolutions:
        for entry in _entries(resolution):
            changes[entry.person] = changes[entry.person].plus(entry)
    return changes


def _entry_row(resolution: Resolution, entry: Entry) -> tuple[Any, ...]:
    name = resolution.incoming.name
    return (
        name.province,
        resolution.movement_id,
        entry.person.person_id,
        MOVEMENT_KINDS[resolution.incoming.operation],
        name.institution_id,
        name.request_id,
        entry.binding_id,
        entry.current_year_fen,
        entry.prior_years_fen,
        entry.wallet_fen,
        entry.contra,
        entry.contra_fen,
    )
