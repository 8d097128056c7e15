"""Decisions: why a request was decided as it was."""

from typing import Annotated

from fastapi import APIRouter, Path

from services.binding.api.door import Asker, Desk, allow, granted
from services.binding.resources import DecisionOut
from shared.domain.roles import Role

router = APIRouter()


@router.get("/decisions/{decision_id}", tags=["decisions"])
async def get_decision(
    decision_id: Annotated[
        str, Path(max_length=64, description="A settlement_id, a transfer_id, or a payment's movement_id.")
    ],
    caller: Asker,
    desk: Desk,
) -> DecisionOut:
    """The request, who was considered in the order of the rule, what was locked, what moved, and what was given back later.

    For an operator, and for the person whose bill, credit or gift it was. That person learns who was considered and why
    somebody was out, but not what relatives have: balances and limits are left out, and so are movements of others.
    """
    allow(caller, Role.OPERATOR, person_id=caller.person_id)
    return DecisionOut.model_validate(granted(await desk.decision(caller, decision_id)), from_attributes=True)
