"""Regions, institutions, persons, accounts: what operators and the enrolment feed say."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.binding.api.door import Asker, Content, Desk, IdempotencyKey, PersonPath, allow, granted, respond
from services.binding.handler import Handler
from services.binding.model import Caller, Person, Refused
from services.binding.resources import (
    FreezeOut,
    InstitutionIn,
    InstitutionOut,
    Page,
    PersonIn,
    PersonOut,
    PersonSought,
    PolicyIn,
    PolicyOut,
)
from services.binding.sealing import mask_id_number, mask_name
from services.binding.transactions import Change
from shared.domain.ids import INSTITUTION_ID_PATTERN
from shared.domain.policy import PolicyCode, RegionPolicy
from shared.domain.reasons import Reason
from shared.domain.roles import Role
from shared.domain.times import shanghai_date

router = APIRouter()


@router.put("/regions/{region_code}/policy", tags=["regions"])
async def put_policy(region_code: PolicyCode, said: PolicyIn, caller: Asker, desk: Desk) -> PolicyOut:
    """A new dated version of a region's policy, effective today if no date is given.

    Fields left out have the shipped default's values.
    """
    allow(caller, Role.OPERATOR)
    effective_from = said.effective_from or shanghai_date(desk.clock())
    policy = RegionPolicy.model_validate({**said.model_dump(), "effective_from": effective_from})
    version = await desk.put_policy(caller, region_code, policy)
    return PolicyOut(region_code=region_code, version=version, **policy.model_dump())


@router.put("/institutions/{institution_id}", tags=["institutions"], responses={201: {"model": InstitutionOut}})
async def put_institution(
    institution_id: Annotated[str, Path(pattern=INSTITUTION_ID_PATTERN)],
    said: InstitutionIn,
    caller: Asker,
    desk: Desk,
    response: Response,
    exclusive: Annotated[
        bool,
        Query(description="Refuse a user of the broker that another institution has: it could send in both names."),
    ] = False,
) -> InstitutionOut:
    """Registers an institution, or changes what is known of it.

    A name, a status and keys that are left out are as they were; a new one is called by its id, is active and has no keys.
    """
    allow(caller, Role.OPERATOR)
    institution, is_new = granted(await desk.put_institution(caller, institution_id, said, exclusive=exclusive))
    response.status_code = 201 if is_new else 200
    return InstitutionOut.model_validate(institution, from_attributes=True)


@router.put("/persons/{person_id}", tags=["persons"])
async def put_person(person_id: PersonPath, said: PersonIn, caller: Asker, desk: Desk) -> PersonOut:
    """What the enrolment feed says of a person.

    Bindings that this makes impossible end today, with their cause: those of a payer who leaves employee insurance or
    moves to another pooling area, those of a beneficiary who moves to another province. A suspension ends none.
    """
    allow(caller, Role.FEED)
    return _person_out(await desk.put_person(caller, person_id, said), desk)


@router.get("/persons/{person_id}", tags=["persons"])
async def get_person(person_id: PersonPath, caller: Asker, desk: Desk) -> PersonOut:
    """A person's enrolment; the name and the ID number are masked."""
    allow(caller, Role.CLERK, person_id=person_id)
    return _person_out(granted(await desk.person(caller, person_id)), desk)


@router.post("/person-searches", tags=["persons"])
async def find_persons(said: PersonSought, caller: Asker, desk: Desk) -> Page[PersonOut]:
    """Whose ID number this is, for somebody at a counter who does not know their person id.

    The number is in the body, for an address would be written down on its way. It changes nothing and may be repeated.
    """
    allow(caller, Role.CLERK)
    return Page(items=[_person_out(person, desk) for person in await desk.find_persons(caller, said)], next=None)


@router.post("/accounts/{person_id}/freeze", response_model=FreezeOut, tags=["accounts"])
async def freeze(
    person_id: PersonPath, caller: Asker, desk: Desk, content: Content, idempotency_key: IdempotencyKey = None
) -> Response:
    """From now on the account neither gives nor receives."""
    return await _freeze(person_id, caller, desk, content, idempotency_key, frozen=True)


@router.post("/accounts/{person_id}/unfreeze", response_model=FreezeOut, tags=["accounts"])
async def unfreeze(
    person_id: PersonPath, caller: Asker, desk: Desk, content: Content, idempotency_key: IdempotencyKey = None
) -> Response:
    """The account may be used again."""
    return await _freeze(person_id, caller, desk, content, idempotency_key, frozen=False)


async def _freeze(
    person_id: str, caller: Caller, desk: Handler, content: bytes, key: str | None, *, frozen: bool
) -> Response:
    allow(caller, Role.OPERATOR)

    async def work(change: Change) -> FreezeOut | Refused:
        if not await desk.freeze(change, caller, person_id, frozen=frozen):
            return Refused((Reason.NOT_FOUND,))
        return FreezeOut(person_id=person_id, account_frozen=frozen)

    return respond(await desk.once(caller, key, content, 200, work))


def _person_out(person: Person, desk: Handler) -> PersonOut:
    opened = {
        field: desk.sealer.open(sealed, person_id=person.person_id, field=field)
        for field, sealed in (("name", person.name_sealed), ("id_number", person.id_number_sealed))
    }
    return PersonOut(
        person_id=person.person_id,
        name=mask_name(opened["name"]),
        id_number=mask_id_number(opened["id_number"]),
        region_code=person.region_code,
        insurance=person.insurance,
        status=person.status,
        account_frozen=person.account_frozen,
    )
