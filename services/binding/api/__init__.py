"""The HTTP edge: who may ask, what they sent, what they get. Source: contract.md, "Binding service, HTTP"."""

from fastapi import APIRouter

from services.binding.api import (
    acts,
    bindings,
    decisions,
    diagnosis,
    facts,
    kinship,
    payments,
    reconciliations,
    transfers,
)
from services.binding.api.door import REFUSALS

router = APIRouter(prefix="/v1", responses=REFUSALS)
for room in (facts, acts, bindings, kinship, payments, transfers, diagnosis, decisions, reconciliations):
    router.include_router(room.router)
