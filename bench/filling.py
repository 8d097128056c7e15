"""Puts a population into a database by statements that make the rows there: memory is bounded whatever its size.

Every balance comes of decided credits and every entry is on a page, so that the audit holds before anything is measured. Pages
are not sealed: no bookkeeper runs in the bench, and a worker never looks at what waits for one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zlib import crc32

from bench.population import AGENCY, AREA, HOSPITALS, PROVINCE, Population
from bench.sessions import session
from shared.domain.times import shanghai_date, shanghai_moment
from shared.postgres.queries import load_queries

SQL = load_queries("bench", "filling.sql")

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
SPREAD_S = 365 * 24 * 3600
# What is done once for everybody takes an hour, from the second hour of its day on: after the turn of the year.
PAID_FROM, PAID_WITHIN = timedelta(hours=1), timedelta(hours=1)
CREDIT_MONTH = 7
CONNECTIONS = 2
AT_ONCE = 50_000
FILLED = (
    "registry.persons",
    "registry.bindings",
    "ledger.accounts",
    "ledger.entries",
    "ledger.decisions",
    "ledger.names",
)
# It sorts in memory what would be sorted on disk.
SETTINGS = ("SET work_mem = '128MB'", "SET maintenance_work_mem = '512MB'")

Statement = tuple[str, *tuple[Any, ...]]


class NotEmpty(Exception):
    """The given database is in use; a population would mix with what is there."""


async def make_log_segments(url: str, segments: int) -> None:
    """So many segments of PostgreSQL's log, to be written over after the next checkpoint: none has to be made under load."""
    async with session(url) as connection:
        await connection.execute(SQL["log_segments"], segments)


async def fill(url: str, population: Population, tell: Callable[[str], None]) -> None:
    """Fills an empty database; the indexes are made at the end, all at once.

    Raises NotEmpty where anybody is registered already.
    """
    async with _connections(url) as connections:
        first, *_ = connections
        if await first.fetchval(SQL["anybody"]):
            raise NotEmpty("the database has people in it already: the bench fills an empty one")
        await first.execute(SQL["institutions"], [AGENCY, *HOSPITALS], AREA, SINCE)
        indexes = await first.fetch(SQL["indexes"], list(FILLED))
        for index in indexes:
            await first.execute(index["takes_away"])
        for month in months(population, shanghai_date(datetime.now(UTC))):
            await first.fetchval(SQL["month"], month)
        await _people(connections, population, tell)
        tell("making the indexes")
        await _together(connections, [(index["makes_again"],) for index in indexes])
        tell("vacuuming")
        await _settle_down(connections)


async def add(url: str, population: Population) -> None:
    """Adds a small population to a database that is filled, under a name of its own."""
    async with _connections(url) as connections:
        await _people(connections, population, lambda _: None)
        await _settle_down(connections)


def months(population: Population, today: date) -> list[date]:
    """The months of the books, from the first that has an entry to the one after today's, as a bookkeeper would have prepared them."""
    first = today.replace(day=1)
    if population.years_before:
        first = date(today.year - population.years_before, CREDIT_MONTH, 1)
    ordinals = range(first.year * 12 + first.month - 1, today.year * 12 + today.month + 1)
    return [date(ordinal // 12, ordinal % 12 + 1, 1) for ordinal in ordinals]


def stretches(people: range, at_once: int = AT_ONCE) -> Iterator[tuple[int, int]]:
    """The first and the last number of each lot of people."""
    for first in people[::at_once]:
        yield first, min(first + at_once, people.stop) - 1


def steps(population: Population, today: date) -> Iterator[tuple[str, list[Statement]]]:
    """What is done one after the other, each step's statements in any order."""
    # Two populations in one database draw apart.
    year, seed = today.year, population.seed ^ crc32(population.name.encode())
    fen = (population.credit_min_fen, population.credit_max_fen)
    whole, accounts = range(population.people), range(population.accounts)
    others = range(population.people - population.accounts)
    step = PAID_WITHIN / population.accounts

    def each(query: str, people: range, *rest: Any) -> list[Statement]:
        return [(SQL[query], population.name, first, last, PROVINCE, *rest) for first, last in stretches(people)]

    yield "people", each("persons", whole, AREA, SINCE, population.accounts)
    kin = (population.accounts, population.payers, population.places, len(population.relatives))
    couples = each("couples", accounts, seed, SINCE, SPREAD_S) if population.payers == 2 else []
    yield "bindings", couples + each("relatives", others, seed, SINCE, SPREAD_S, *kin)
    yield "accounts", each("accounts", accounts, seed, year, population.years_before, *fen)
    for earlier in range(year - population.years_before, year):
        paid = shanghai_moment(date(earlier, CREDIT_MONTH, 1)) + PAID_FROM
        yield f"credits of {earlier}", each("credits", accounts, seed, earlier, paid, step, *fen, year, AGENCY, AREA)
        yield (
            f"turn of {earlier}",
            each("turns", accounts, seed, earlier, shanghai_moment(date(earlier + 1, 1, 1)), step, *fen, AREA),
        )
    # In the month that settlements are written to, so that its part of the books is as large as a nation's.
    paid = shanghai_moment(today.replace(day=1)) + PAID_FROM
    yield f"credits of {year}", each("credits", accounts, seed, year, paid, step, *fen, year, AGENCY, AREA)


async def size_bytes(url: str) -> int:
    """The room that a database takes."""
    async with session(url) as connection:
        taken: int = await connection.fetchval(SQL["size_bytes"])
    return taken


async def _people(connections: Sequence[Any], population: Population, tell: Callable[[str], None]) -> None:
    first, *_ = connections
    for connection in connections:
        await connection.execute(SQL["drawing"])
    # Nobody wants to hear of bindings that were filled in.
    await first.execute("ALTER TABLE registry.bindings DISABLE TRIGGER a_binding_is_noted")
    for step, statements in steps(population, shanghai_date(datetime.now(UTC))):
        tell(f"filling in {step}")
        await _together(connections, statements)
    await first.execute("ALTER TABLE registry.bindings ENABLE TRIGGER a_binding_is_noted")


async def _settle_down(connections: Sequence[Any]) -> None:
    """Nobody is to be vacuumed or counted for the first time while something is measured."""
    first, *_ = connections
    tables = [row["table_name"] for row in await first.fetch(SQL["tables"])]
    await _together(connections, [(f"VACUUM ANALYZE {table}",) for table in tables])
    await first.execute(SQL["checkpoint"])


async def _together(connections: Iterable[Any], statements: Sequence[Statement]) -> None:
    """Each connection does the next statement that nobody has begun."""
    waiting = iter(statements)

    async def work(connection: Any) -> None:
        for query, *arguments in waiting:
            await connection.execute(query, *arguments)

    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(work(connection))


@asynccontextmanager
async def _connections(url: str) -> AsyncIterator[list[Any]]:
    async with AsyncExitStack() as opened:
        connections = []
        for _ in range(CONNECTIONS):
            connection = await opened.enter_async_context(session(url))
            for statement in SETTINGS:
                await connection.execute(statement)
            connections.append(connection)
        yield connections
