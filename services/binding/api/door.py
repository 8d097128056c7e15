"""What every call passes first: who asks, what they sent, and how they are told no."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

import orjson
from fastapi import Depends, Header, Path, Query, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from services.binding.handler import Answered, Handler
from services.binding.model import Caller, Refused
from services.binding.problems import FieldProblem, Problem, ProblemDetails
from services.binding.resources import Page
from shared.domain.ids import LEAST_ID, PERSON_ID_PATTERN, PUBLIC_ID_PATTERN, parse_public_id
from shared.domain.reasons import Reason
from shared.domain.roles import Role

LIMIT_MAX = 200
# It says in the description how to prove who asks; whether it is proof was judged before, in admission.py.
BEARER = HTTPBearer(bearerFormat="JWT", auto_error=False)

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemDetails, "description": text}
    for status, text in {
        401: "no valid bearer token",
        403: "this token may not do that",
        404: "there is no such thing",
        408: "what was sent did not come in time",
        409: "refused; every reason that applies is named",
        413: "the body is too large",
        422: "wrong in itself; the fields are named",
        429: "too many calls; `Retry-After` says in how many seconds there may be another",
        431: "the address and the headers are too large",
        500: "something went wrong that nobody foresaw",
        503: "the database is away; try again",
    }.items()
}


def desk_of(request: Request) -> Handler:
    desk: Handler = request.app.state.handler
    return desk


def caller_of(request: Request, _: Annotated[object, Security(BEARER)]) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def content_of(request: Request) -> bytes:
    """What an Idempotency-Key stands for: the method, the path and the body."""
    return b"\n".join([request.method.encode(), request.scope["path"].encode(), await request.body()])


Desk = Annotated[Handler, Depends(desk_of)]
Asker = Annotated[Caller, Depends(caller_of)]
Content = Annotated[bytes, Depends(content_of)]
PersonPath = Annotated[str, Path(pattern=PERSON_ID_PATTERN)]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str | None, Query(pattern=PUBLIC_ID_PATTERN)]

Good = TypeVar("Good")
Thing = TypeVar("Thing")
Out = TypeVar("Out", bound=BaseModel)


def allow(caller: Caller, *roles: Role, person_id: str | None = None, institution_id: str | None = None) -> None:
    """Lets these roles pass, a member who is that person, and that institution. Raises Problem(forbidden)."""
    if caller.role in roles or (person_id is not None and caller.is_person(person_id)):
        return
    if institution_id is not None and caller.is_institution(institution_id):
        return
    raise Problem(Reason.FORBIDDEN)


def concerns(caller: Caller, *person_ids: str) -> bool:
    """Whether these people's affairs may be told to the caller."""
    return caller.role is Role.CLERK or any(caller.is_person(person_id) for person_id in person_ids)


def granted(result: Good | Refused) -> Good:
    if isinstance(result, Refused):
        fields = [FieldProblem(field=place, problem=problem) for place, problem in result.faults]
        raise Problem(*result.reasons, fields=fields, details=result.details)
    return result


def shown(kind: type[Out], result: object | Refused) -> Out | Refused:
    """What is shown of a thing; a refusal is passed on."""
    return result if isinstance(result, Refused) else kind.model_validate(result, from_attributes=True)


def page(kind: type[Out], found: Sequence[Thing], limit: int, cursor_of: Callable[[Thing], str]) -> Page[Out]:
    """One page of what was found, where one more than `limit` was asked for to see whether there is another page."""
    items = [kind.model_validate(each, from_attributes=True) for each in found[:limit]]
    return Page(items=items, next=cursor_of(found[limit - 1]) if len(found) > limit else None)


def respond(result: Answered | Refused) -> Response:
    answered = granted(result)
    return Response(orjson.dumps(answered.body), status_code=answered.status, media_type="application/json")


def either(**sides: str | None) -> tuple[str, str]:
    """The person asked for and the side they are on, of two query parameters named <side>_id."""
    given = [(person_id, name.removesuffix("_id")) for name, person_id in sides.items() if person_id is not None]
    if len(given) != 1:
        problem = f"give either {' or '.join(sides)}"
        raise Problem(Reason.INVALID, fields=[FieldProblem(field=name, problem=problem) for name in sides])
    return given[0]


def after(cursor: str | None, start: UUID = LEAST_ID) -> UUID:
    """Where a page begins: after the row that a cursor names, or at the start of the list."""
    if cursor is None:
        return start
    place = parse_public_id(cursor)
    assert place, "the pattern is a public id's"
    return place[1]
