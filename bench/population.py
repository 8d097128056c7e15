"""Who lives in the measured province: families with their accounts and bindings, drawn at random with a fixed seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.ids import time_ordered_uuid
from shared.domain.times import shanghai_year
from shared.postgres.queries import load_queries

SQL = load_queries("bench", "population.sql")

PROVINCE, AREA = 13, "130100"
AGENCY = "bench-agency"
HOSPITALS = tuple(f"bench-hospital-{number}" for number in range(100))
SINCE = datetime(2024, 1, 1, tzinfo=UTC)
SPREAD_S = 365 * 24 * 3600
BALANCE_MAX_FEN = 500_000
# What the binding service seals is never read by a worker, but takes as much room.
SEALED_BYTES, INDEX_BYTES = 48, 32


class NotEmpty(Exception):
    """The given database is in use; a population would mix with what is there."""


@dataclass(frozen=True, slots=True)
class Population:
    """Families of two employees, who may pay for each other and for up to three relatives without an account.

    A quarter of the families has no such relative, a quarter one, and so on: the sums are known without drawing.
    """

    families: int
    seed: int

    def __post_init__(self) -> None:
        assert self.families % len(range(4)) == 0, "families come in fours"

    @property
    def accounts(self) -> int:
        return 2 * self.families

    @property
    def people(self) -> int:
        return self.accounts + self.families * 3 // 2

    @property
    def bindings(self) -> int:
        return 2 * self.families + 2 * (self.people - self.accounts)

    def draw(self) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
        """Each family: its two employees, then its other relatives."""
        sizes = [0, 1, 2, 3] * (self.families // 4)
        random.Random(self.seed).shuffle(sizes)
        relative = self.accounts
        for family, size in enumerate(sizes):
            couple = (person_id(2 * family), person_id(2 * family + 1))
            yield couple, tuple(person_id(number) for number in range(relative, relative + size))
            relative += size


def person_id(number: int) -> str:
    """The id of a person by number: those with an account come first."""
    return f"bench-{number:07d}"


async def fill(connection: Any, population: Population) -> None:
    """Fills registry and ledger, every balance by a decided credit, so that the audit holds before anything is measured.

    Raises NotEmpty where anybody is registered already.
    """
    await connection.execute("SET statement_timeout = 0")
    if await connection.fetchval(SQL["anybody"]):
        raise NotEmpty("the database has people in it already: the bench fills an empty one")
    await connection.execute(SQL["institutions"], [AGENCY, *HOSPITALS], AREA, SINCE)
    await _copy(connection, "registry", "persons", PERSON_COLUMNS, _persons(population))
    await _copy(connection, "registry", "bindings", BINDING_COLUMNS, _bindings(population))
    credits_ = list(_credits(population))
    await _copy(connection, "ledger", "accounts", ACCOUNT_COLUMNS, (_account(credit) for credit in credits_))
    await _copy(connection, "ledger", "entries", ENTRY_COLUMNS, (_entry(credit) for credit in credits_))
    await connection.execute(SQL["credits_were_decided"], AREA)
    for name in ("decisions_have_names", "everything_is_on_a_page", "nothing_is_to_be_told"):
        await connection.execute(SQL[name])
    for statement in ("vacuum", "checkpoint"):
        await connection.execute(SQL[statement])


async def _copy(
    connection: Any, schema: str, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]
) -> None:
    await connection.copy_records_to_table(table, schema_name=schema, columns=columns, records=rows, timeout=600)


PERSON_COLUMNS = (
    *("province", "person_id", "region_code", "insurance", "status"),
    *("name_sealed", "id_number_sealed", "id_number_index", "registered_at", "changed_at"),
)


def _persons(population: Population) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(population.seed)
    for number in range(population.people):
        insurance = "employee" if number < population.accounts else "resident"
        sealed = (chance.randbytes(SEALED_BYTES), chance.randbytes(SEALED_BYTES), chance.randbytes(INDEX_BYTES))
        yield (PROVINCE, person_id(number), AREA, insurance, "active", *sealed, SINCE, SINCE)


BINDING_COLUMNS = (
    *("province", "binding_id", "payer_id", "beneficiary_province", "beneficiary_id", "relation"),
    *("valid_from", "wallet", "auto_accept", "bound_at", "bound_by"),
)


def _bindings(population: Population) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(population.seed)
    for (one, other), relatives in population.draw():
        pairs = [(one, other, "spouse"), (other, one, "spouse")]
        pairs += [(payer, relative, "mother") for relative in relatives for payer in (one, other)]
        for payer, beneficiary, relation in pairs:
            bound_at = SINCE + timedelta(seconds=chance.randrange(SPREAD_S))
            binding_id = time_ordered_uuid(bound_at, payer, beneficiary)
            key = (PROVINCE, binding_id, payer, PROVINCE, beneficiary, relation)
            yield (*key, bound_at.date(), False, False, bound_at, payer)


@dataclass(frozen=True, slots=True)
class _Credit:
    person_id: str
    at: datetime
    current_year_fen: int
    prior_years_fen: int


def _credits(population: Population) -> Iterator[_Credit]:
    """Each account's one credit, the oldest first, as the ledger would have grown."""
    chance = random.Random(population.seed)
    step = timedelta(seconds=SPREAD_S) / population.accounts
    for place, number in enumerate(chance.sample(range(population.accounts), population.accounts)):
        amount_fen = chance.randint(1, BALANCE_MAX_FEN)
        funds = (amount_fen, 0) if chance.random() < 0.5 else (0, amount_fen)
        yield _Credit(person_id(number), SINCE + place * step, *funds)


ACCOUNT_COLUMNS = ("province", "person_id", "current_year_fen", "prior_years_fen", "balances_year")


def _account(credit: _Credit) -> tuple[Any, ...]:
    # The books are those of this year, so that no settlement has a turn of the year to write.
    year = shanghai_year(datetime.now(UTC))
    return (PROVINCE, credit.person_id, credit.current_year_fen, credit.prior_years_fen, year)


ENTRY_COLUMNS = (
    *("province", "movement_id", "person_id", "kind", "institution_id", "request_id"),
    *("current_year_fen", "prior_years_fen", "wallet_fen", "contra", "contra_fen", "insured_region", "moved_at"),
)


def _entry(credit: _Credit) -> tuple[Any, ...]:
    funds = (credit.current_year_fen, credit.prior_years_fen, 0)
    asked = ("credit", AGENCY, f"credit-{credit.person_id}")
    movement_id = time_ordered_uuid(credit.at, credit.person_id)
    return (PROVINCE, movement_id, credit.person_id, *asked, *funds, "contribution", -sum(funds), AREA, credit.at)
