"""Bills drawn at random with a fixed seed: patients, amounts and hospitals."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from bench.population import AREA, HOSPITALS, Population, person_id
from shared.domain.policy import ExpenseType
from shared.messages.settle import SettleRequest

AMOUNT_MAX_FEN = 50_000
EXPENSES = (ExpenseType.OUTPATIENT, ExpenseType.INPATIENT, ExpenseType.PHARMACY)


def bills(population: Population, series: str) -> Iterator[SettleRequest]:
    """Bills without end; a series is always the same, and shares no request id with another."""
    chance = random.Random(f"{population.seed} {series}")
    occurred_at = datetime.now(UTC).isoformat()
    number = 0
    while True:
        patient = person_id(chance.randrange(population.people))
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
