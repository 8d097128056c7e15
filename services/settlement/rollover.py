"""The turn of the year in the books: this year's balances become earlier years', account after account.

Nothing waits for it: a balance of an earlier year counts as earlier years' money from the first second of 1 January,
and whoever moves such an account writes its rollover first. This writes it for everybody else. Source: domain.md, rule 9.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.settlement import ledger
from services.settlement.journal import rollover
from shared.domain.ids import PersonKey
from shared.domain.times import shanghai_year

ROLE = "gongji_settlement"
# Accounts in one transaction: short enough that a settlement waiting for one of them does not notice.
ACCOUNTS_MAX = 1_000


class YearNotBegun(Exception):
    """The year is still to come in Shanghai."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many accounts have been turned and how many fen have grown older."""

    accounts: int = 0
    moved_fen: int = 0


async def roll_over(connection: Any, year: int, now: datetime) -> AsyncGenerator[Progress, None]:
    """Turns every account to `year`, a bounded transaction at a time; yields after each what has been done so far.

    Interrupted, it may be run again and goes on; run again after the end, it does nothing. Raises YearNotBegun.
    """
    if year > shanghai_year(now):
        raise YearNotBegun(f"{year} has not begun in Shanghai")
    done, last = Progress(), PersonKey(0, "")
    while True:
        async with connection.transaction():
            found = await ledger.of_earlier_years(connection, last, year, ACCOUNTS_MAX)
            if not found:
                await ledger.record_rollover(connection, year, done.accounts, done.moved_fen, now)
                return
            movements = [rollover(person, rolled_fen, year) for person, rolled_fen in found.items() if rolled_fen]
            await ledger.record(connection, movements, (), now)
            await ledger.turn(connection, found, year)
        last = max(found)
        done = Progress(done.accounts + len(found), done.moved_fen + sum(found.values()))
        yield done
