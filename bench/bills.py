"""Bills drawn at random with a fixed seed: patients, amounts and hospitals."""

import random
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
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
    """Who is ill next, as the number of a person."""

    def __call__(self, chance: random.Random) -> int: ...


@dataclass(frozen=True)
class Anybody:
    """Everybody as likely as everybody else."""

    population: Population

    def __call__(self, chance: random.Random) -> int:
        return chance.randrange(self.population.people)


@dataclass(frozen=True)
class Relatives:
    """The relatives without an account of the first so many families, each as likely as the others."""

    population: Population
    families: int

    def __call__(self, chance: random.Random) -> int:
        return chance.choice(self.population.members(chance.randrange(self.families))[self.population.payers :])


@dataclass(frozen=True)
class Zipf:
    """Families by Zipf's law: the n-th of them is ill an n-th as often as the first; within a family everybody alike."""

    population: Population

    @cached_property
    def _weights(self) -> list[float]:
        return list(accumulate(1 / rank for rank in range(1, self.population.families + 1)))

    def __call__(self, chance: random.Random) -> int:
        family = bisect(self._weights, chance.random() * self._weights[-1])
        return chance.choice(self.population.members(min(family, self.population.families - 1)))


def bills(population: Population, series: str, patients: Patients | None = None) -> Iterator[SettleRequest]:
    """Bills without end; a series is always the same, and shares no request id with another."""
    chance = random.Random(f"{population.seed} {series}")
    occurred_at = datetime.now(UTC).isoformat()
    draw: Callable[[random.Random], int] = patients or Anybody(population)
    number = 0
    while True:
        patient = population.person_id(draw(chance))
        yield SettleRequest.model_validate(
            {
                "request_id": f"{series}-{number}",
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
