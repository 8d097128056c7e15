"""Bindings: who pays for whom."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.binding.api.door import (
    Asker,
    Content,
    Cursor,
    Desk,
    IdempotencyKey,
    Limit,
    after,
    allow,
    concerns,
    either,
    page,
    respond,
    shown,
)
from services.binding.handler import recordable
from services.binding.model import Action, Caller, KinshipLink, Refused
from services.binding.phrases import IS_A_LINK
from services.binding.problems import FieldProblem, Problem
from services.binding.resources import BindingIn, BindingOut, EndIn, EndOut, Page
from services.binding.transactions import Change
from shared.domain.ids import PERSON_ID_PATTERN
from shared.domain.reasons import Reason
from shared.domain.roles import Role

router = APIRouter()


@router.post("/bindings", response_model=BindingOut, tags=["bindings"], status_code=201)
async def bind(
    asked: BindingIn, caller: Asker, desk: Desk, content: Content, idempotency_key: IdempotencyKey = None
) -> Response:
    """Lets `payer_id` pay for `beneficiary_id`. A refusal names every reason that applies.

    From today on, or from a later day. Only a clerk may enter an earlier one, of a paper form; nobody a binding that is
    over already.
    """
    allow(caller, Role.CLERK, person_id=asked.payer_id)

    async def work(change: Change) -> BindingOut | Refused:
        # Asked only now: under a key that is known the first answer stands, whatever day it has become.
        if wrong := list(_wrong_days(asked, caller, change.today)):
            raise Problem(Reason.INVALID, fields=wrong)
        return shown(BindingOut, await desk.bind(change, caller, asked))

    return respond(await desk.once(caller, idempotency_key, content, 201, work))


@router.get("/bindings", tags=["bindings"])
async def list_bindings(
    caller: Asker,
    desk: Desk,
    payer_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    beneficiary_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BindingOut]:
    """A person's bindings, those that are over included, in the order in which they were made.

    Wherever the person has been insured. Kinship links are not bindings and are not among them.
    """
    person_id, side = either(payer_id=payer_id, beneficiary_id=beneficiary_id)
    allow(caller, Role.CLERK, person_id=person_id)
    found = await desk.bindings_of(caller, person_id, side=side, after=after(cursor), limit=limit + 1)
    return page(BindingOut, found, limit, lambda each: each.binding_id)


@router.post("/bindings/{binding_id}/end", response_model=EndOut, tags=["bindings"])
async def end_binding(
    binding_id: Annotated[str, Path(max_length=64)],
    caller: Asker,
    desk: Desk,
    content: Content,
    asked: EndIn | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ends a binding on a date, today if left out. From that day on it pays for nothing.

    One that has not begun by then is withdrawn and never in force. An end is only ever brought forward: where it lies no
    later already, the answer has it as it is and `changed` is false.
    """
    end_date = asked.end_date if asked else None

    async def work(change: Change) -> EndOut | Refused:
        if end_date is not None and end_date < change.today:
            early = FieldProblem(field="end_date", problem="must be today at the earliest")
            raise Problem(Reason.INVALID, fields=[early])
        binding = await desk.binding(change, binding_id)
        if isinstance(binding, Refused):
            # A stranger does not learn which ids exist.
            allow(caller, Role.CLERK, Role.MEMBER)
            await change.act(caller, Action.END, thing_id=recordable(binding_id))
            link = await desk.kinship_link(change, binding_id)
            if isinstance(link, KinshipLink) and concerns(caller, link.holder_id, link.shown_id):
                return replace(binding, details=(IS_A_LINK,))
            return binding
        allow(caller, Role.CLERK, person_id=binding.payer_id)
        ended = shown(BindingOut, await desk.end(change, caller, binding, end_date))
        if isinstance(ended, Refused):
            return ended
        return EndOut(**ended.model_dump(), changed=ended.valid_until != binding.valid_until)

    return respond(await desk.once(caller, idempotency_key, content, 200, work))


def _wrong_days(asked: BindingIn, caller: Caller, today: date) -> Iterator[FieldProblem]:
    """What is wrong with the days of a binding in themselves."""
    if caller.role is Role.MEMBER and asked.valid_from is not None and asked.valid_from < today:
        problem = "must be today at the earliest; a clerk at the counter can enter the paper form of an earlier day"
        yield FieldProblem(field="valid_from", problem=problem)
    if asked.valid_until is None:
        return
    if asked.valid_until <= (asked.valid_from or today):
        yield FieldProblem(field="valid_until", problem="must be later than valid_from")
    elif asked.valid_until <= today:
        yield FieldProblem(field="valid_until", problem="must be later than today, or the binding is over already")
