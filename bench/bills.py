"""Bills drawn at random with a fixed seed: patients, amounts and hospitals."""

import random
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import accumulate, islice
from typing import Protocol

from bench.population import AREA, HOSPITALS, Population
from shared.domain.policy import ExpenseType
from shared.messages.bulk import SETTLEMENTS_MAX, BulkRequest
from shared.messages.settle import SettleRequest

AMOUNT_MAX_FEN = 50_000
EXPENSES = (ExpenseType.OUTPATIENT, ExpenseType.INPATIENT, ExpenseType.PHARMACY)


class Patients(Protocol):
    """Who is ill next, as the number of a person; `number` is which bill of its series it is."""

    def __call__(self, chance: random.Random, number: int, /) -> int: ...


@dataclass(frozen=True)
class Anybody:
    """Everybody as likely as everybody else."""

    population: Population

    def __call__(self, chance: random.Random, _: int) -> int:
        return chance.randrange(self.population.people)


@dataclass(frozen=True)
class Relatives:
    """A relative without an account of each of the first so many families in turn: no two bills in a row of so many share a payer."""

    population: Population
    families: int

    def __call__(self, chance: random.Random, number: int) -> int:
        return chance.choice(self.population.members(number % self.families)[self.population.payers :])


@dataclass(frozen=True)
class Zipf:
    """Families by Zipf's law: the n-th of them is ill an n-th as often as the first; within a family everybody alike."""

    population: Population

    @cached_property
    def _weights(self) -> list[float]:
        return list(accumulate(1 / rank for rank in range(1, self.population.families + 1)))

    def __call__(self, chance: random.Random, _: int) -> int:
        family = bisect(self._weights, chance.random() * self._weights[-1])
        return chance.choice(self.population.members(min(family, self.population.families - 1)))


def request_id(series: str, number: int) -> str:
    return f"{series}-{number}"


def request_ids(series: str, settlements: int) -> list[str]:
    """Those of the first so many bills of a series, without drawing them."""
    return [request_id(series, number) for number in range(settlements)]


def bills(population: Population, series: str, patients: Patients | None = None) -> Iterator[SettleRequest]:
    """Bills without end; a series is always the same, and shares no request id with another."""
    chance = random.Random(f"{population.seed} {series}")
    occurred_at = datetime.now(UTC).isoformat()
    draw: Patients = patients or Anybody(population)
    number = 0
    while True:
        patient = population.person_id(draw(chance, number))
        yield SettleRequest.model_validate(
            {
                "request_id": request_id(series, number),
                "institution_id": chance.choice(HOSPITALS),
                "insured_region": AREA,
                "occurred_at": occurred_at,
                "person_id": patient,
                "credential": {"type": "01", "person_id": patient},
                "expense_type": chance.choice(EXPENSES),
                "amount_fen": chance.randint(1, AMOUNT_MAX_FEN),
                "care_region": AREA,
            }
        )
        number += 1


def bulks(settlements: Iterable[SettleRequest]) -> Iterator[BulkRequest]:
    """The same settlements, as many to a message as it may have, and each message of one hospital."""
    waiting = iter(settlements)
    while together := list(islice(waiting, SETTLEMENTS_MAX)):
        first = together[0]
        yield BulkRequest.model_validate(
            {
                "request_id": f"bulk-{first.request_id}",
                "institution_id": first.institution_id,
                "insured_region": first.insured_region,
                "occurred_at": first.occurred_at.isoformat(),
                "settlements": [each.model_copy(update={"institution_id": first.institution_id}) for each in together],
            }
        )
