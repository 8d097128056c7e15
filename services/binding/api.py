"""The HTTP edge: who may ask, what they sent, what they get. Source: contract.md, "Binding service, HTTP"."""

from typing import Annotated, Any, TypeVar
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response

from services.binding.bindings import FIRST
from services.binding.handler import Answered, Change, Handler
from services.binding.model import Binding, Caller, KinshipLink, Person, Refused
from services.binding.problems import FieldProblem, Problem, ProblemDetails
from services.binding.resources import (
    BindingIn,
    BindingOut,
    EndIn,
    FreezeOut,
    InstitutionIn,
    InstitutionOut,
    KinshipLinkIn,
    KinshipLinkOut,
    Page,
    PersonIn,
    PersonOut,
    PolicyIn,
    PolicyOut,
)
from services.binding.sealing import mask_id_number, mask_name
from shared.domain.ids import INSTITUTION_ID_PATTERN, PERSON_ID_PATTERN, parse_public_id
from shared.domain.policy import PolicyCode, RegionPolicy
from shared.domain.reasons import Reason
from shared.domain.roles import Role
from shared.domain.times import shanghai_date

LIMIT_MAX = 200

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemDetails, "content": {"application/problem+json": {}}, "description": text}
    for status, text in {
        401: "no valid bearer token",
        403: "this token may not do that",
        404: "there is no such thing",
        409: "refused; every reason that applies is named",
        422: "wrong in itself; the fields are named",
        503: "the database is away; try again",
    }.items()
}
router = APIRouter(prefix="/v1", responses=REFUSALS)


def desk_of(request: Request) -> Handler:
    desk: Handler = request.app.state.handler
    return desk


def caller_of(request: Request, authorization: Annotated[str | None, Header()] = None) -> Caller:
    caller: Caller | None = request.app.state.authenticator.caller(authorization)
    if caller is None:
        raise Problem(Reason.UNAUTHENTICATED)
    return caller


async def content_of(request: Request) -> bytes:
    """What an Idempotency-Key stands for: the method, the path and the body."""
    return b"\n".join([request.method.encode(), request.url.path.encode(), await request.body()])


Desk = Annotated[Handler, Depends(desk_of)]
Asker = Annotated[Caller, Depends(caller_of)]
Content = Annotated[bytes, Depends(content_of)]
PersonPath = Annotated[str, Path(pattern=PERSON_ID_PATTERN)]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str | None, Query(max_length=64)]

Good = TypeVar("Good")


def allow(caller: Caller, *roles: Role, person_id: str | None = None) -> None:
    """Lets these roles pass, and a member who is that person. Raises Problem(forbidden)."""
    if caller.role in roles or (person_id is not None and caller.is_person(person_id)):
        return
    raise Problem(Reason.FORBIDDEN)


def granted(result: Good | Refused) -> Good:
    if isinstance(result, Refused):
        raise Problem(*result.reasons)
    return result


def respond(result: Answered | Refused) -> Response:
    answered = granted(result)
    return Response(orjson.dumps(answered.body), status_code=answered.status, media_type="application/json")


# ---- the registry's facts ----


@router.put("/regions/{region_code}/policy", tags=["regions"])
async def put_policy(region_code: PolicyCode, said: PolicyIn, caller: Asker, desk: Desk) -> PolicyOut:
    """A new dated version of a region's policy, effective today if no date is given.

    Fields left out have the shipped default's values.
    """
    allow(caller, Role.OPERATOR)
    effective_from = said.effective_from or shanghai_date(desk.clock())
    policy = RegionPolicy.model_validate({**said.model_dump(), "effective_from": effective_from})
    version = await desk.put_policy(region_code, policy, caller)
    return PolicyOut(region_code=region_code, version=version, **policy.model_dump())


@router.put("/institutions/{institution_id}", tags=["institutions"], responses={201: {"model": InstitutionOut}})
async def put_institution(
    institution_id: Annotated[str, Path(pattern=INSTITUTION_ID_PATTERN)],
    said: InstitutionIn,
    caller: Asker,
    desk: Desk,
    response: Response,
) -> InstitutionOut:
    """Registers an institution, or changes what is known of it."""
    allow(caller, Role.OPERATOR)
    response.status_code = 201 if await desk.put_institution(institution_id, said) else 200
    return InstitutionOut(institution_id=institution_id, **said.model_dump())


@router.put("/persons/{person_id}", tags=["persons"])
async def put_person(person_id: PersonPath, said: PersonIn, caller: Asker, desk: Desk) -> PersonOut:
    """What the enrolment feed says of a person."""
    allow(caller, Role.FEED)
    return _person_out(await desk.put_person(person_id, said), desk)


@router.get("/persons/{person_id}", tags=["persons"])
async def get_person(person_id: PersonPath, caller: Asker, desk: Desk) -> PersonOut:
    """A person's enrolment; the name and the ID number are masked."""
    allow(caller, Role.CLERK, person_id=person_id)
    return _person_out(granted(await desk.person(person_id)), desk)


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
        if not await desk.freeze(change, person_id, frozen=frozen):
            return Refused((Reason.NOT_FOUND,))
        return FreezeOut(person_id=person_id, account_frozen=frozen)

    return respond(await desk.once(caller, key, content, 200, work))


# ---- bindings ----


@router.post("/bindings", response_model=BindingOut, tags=["bindings"], status_code=201)
async def bind(
    asked: BindingIn, caller: Asker, desk: Desk, content: Content, idempotency_key: IdempotencyKey = None
) -> Response:
    """Lets `payer_id` pay for `beneficiary_id`. A refusal names every reason that applies."""
    allow(caller, Role.CLERK, person_id=asked.payer_id)
    today = shanghai_date(desk.clock())
    if asked.valid_until is not None and asked.valid_until <= (asked.valid_from or today):
        raise Problem(
            Reason.INVALID,
            fields=[FieldProblem(field="valid_until", problem="must be later than valid_from")],
        )

    async def work(change: Change) -> BindingOut | Refused:
        made = await desk.bind(change, caller, asked)
        return made if isinstance(made, Refused) else _binding_out(made)

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
    """A person's bindings, those that are over included, in the order in which they were made."""
    person_id, side = _either(payer_id=payer_id, beneficiary_id=beneficiary_id)
    allow(caller, Role.CLERK, person_id=person_id)
    found = await desk.bindings_of(person_id, side=side, after=_after(cursor), limit=limit + 1)
    last = found[limit - 1].binding_id if len(found) > limit else None
    return Page(items=[_binding_out(each) for each in found[:limit]], next=last)


@router.post("/bindings/{binding_id}/end", response_model=BindingOut, tags=["bindings"])
async def end_binding(
    binding_id: Annotated[str, Path(max_length=64)],
    caller: Asker,
    desk: Desk,
    content: Content,
    asked: EndIn | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ends a binding on a date, today if left out. From that day on it pays for nothing."""
    end_date = asked.end_date if asked else None
    if end_date is not None and end_date < shanghai_date(desk.clock()):
        raise Problem(Reason.INVALID, fields=[FieldProblem(field="end_date", problem="must be today at the earliest")])

    async def work(change: Change) -> BindingOut | Refused:
        binding = await desk.binding(change, binding_id)
        if isinstance(binding, Refused):
            # A stranger does not learn which ids exist.
            allow(caller, Role.CLERK, Role.MEMBER)
            return binding
        allow(caller, Role.CLERK, person_id=binding.payer_id)
        ended = await desk.end(change, caller, binding, end_date)
        return ended if isinstance(ended, Refused) else _binding_out(ended)

    return respond(await desk.once(caller, idempotency_key, content, 200, work))


# ---- kinship links ----


@router.post("/kinship-links", response_model=KinshipLinkOut, tags=["kinship links"], status_code=201)
async def link(
    asked: KinshipLinkIn, caller: Asker, desk: Desk, content: Content, idempotency_key: IdempotencyKey = None
) -> Response:
    """Lets the holder show somebody's code on a phone. It moves no money: to pay for a relative, make a binding."""
    allow(caller, Role.CLERK, person_id=asked.holder_id)

    async def work(change: Change) -> KinshipLinkOut | Refused:
        made = await desk.link(change, caller, asked)
        return made if isinstance(made, Refused) else _link_out(made)

    return respond(await desk.once(caller, idempotency_key, content, 201, work))


@router.get("/kinship-links", tags=["kinship links"])
async def list_links(
    caller: Asker,
    desk: Desk,
    holder_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    shown_id: Annotated[str | None, Query(pattern=PERSON_ID_PATTERN)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[KinshipLinkOut]:
    """The standing kinship links of a person, as the holder or as the one whose code is shown."""
    person_id, side = _either(holder_id=holder_id, shown_id=shown_id)
    allow(caller, Role.CLERK, person_id=person_id)
    found = await desk.links_of(person_id, side=side, after=_after(cursor), limit=limit + 1)
    last = found[limit - 1].kinship_link_id if len(found) > limit else None
    return Page(items=[_link_out(each) for each in found[:limit]], next=last)


@router.delete("/kinship-links/{kinship_link_id}", tags=["kinship links"], status_code=204)
async def unlink(kinship_link_id: Annotated[str, Path(max_length=64)], caller: Asker, desk: Desk) -> None:
    """Ends a kinship link."""
    allow(caller, Role.CLERK, Role.MEMBER)
    async with desk.change() as change:
        found = granted(await desk.kinship_link(change, kinship_link_id))
        allow(caller, Role.CLERK, person_id=found.holder_id)
        await desk.unlink(change, found)


def _either(**sides: str | None) -> tuple[str, str]:
    """The person asked for and the side they are on, of two query parameters named <side>_id."""
    given = [(person_id, name.removesuffix("_id")) for name, person_id in sides.items() if person_id is not None]
    if len(given) != 1:
        problem = f"give either {' or '.join(sides)}"
        raise Problem(Reason.INVALID, fields=[FieldProblem(field=name, problem=problem) for name in sides])
    return given[0]


def _after(cursor: str | None) -> UUID:
    if cursor is None:
        return FIRST
    place = parse_public_id(cursor)
    if place is None:
        raise Problem(
            Reason.INVALID,
            fields=[FieldProblem(field="cursor", problem="must be the `next` of an earlier page")],
        )
    return place[1]


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


def _binding_out(binding: Binding) -> BindingOut:
    return BindingOut.model_validate(binding, from_attributes=True)


def _link_out(link: KinshipLink) -> KinshipLinkOut:
    return KinshipLinkOut.model_validate(link, from_attributes=True)
