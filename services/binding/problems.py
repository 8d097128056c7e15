"""application/problem+json (RFC 9457), with the contract's reason codes."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.binding.metrics import REFUSALS
from shared.domain.fields import NAMED
from shared.domain.reasons import TEXTS, Reason, Text
from shared.messages.catalogue import PROBLEMS_MAX, place
from shared.telemetry.logging import places

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

STATUS: dict[Reason, int] = {
    Reason.UNAUTHENTICATED: 401,
    Reason.FORBIDDEN: 403,
    Reason.NOT_FOUND: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.TOO_LARGE: 413,
    Reason.INVALID: 422,
    Reason.SELF_BINDING: 422,
    Reason.RATE_LIMITED: 429,
    Reason.INTERNAL_ERROR: 500,
    Reason.UNAVAILABLE: 503,
}
CONFLICT = 409
VALUE_LENGTH_MAX = 100
FRAMES_LOGGED = 8
OF_HTTP = {
    401: Reason.UNAUTHENTICATED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    405: Reason.METHOD_NOT_ALLOWED,
    429: Reason.RATE_LIMITED,
    503: Reason.UNAVAILABLE,
}

HEADERS: dict[Reason, dict[str, str]] = {
    Reason.UNAUTHENTICATED: {"WWW-Authenticate": "Bearer"},
    Reason.UNAVAILABLE: {"Retry-After": "2"},
}


class FieldProblem(BaseModel):
    """One field and what it should be; what it was only where it cannot be anybody's own."""

    field: str
    problem: str


class ProblemDetails(BaseModel):
    """What every refusal looks like. `detail` is Chinese, `detail_en` English."""

    type: str
    title: str
    status: int
    detail: str
    detail_en: str
    reason: Reason
    reasons: list[Reason]
    fields: list[FieldProblem] = []


class Problem(Exception):
    """A refusal on its way out of the HTTP edge. Its status is its first reason's, where HTTP has no nearer one."""

    def __init__(
        self,
        *reasons: Reason,
        fields: Sequence[FieldProblem] = (),
        details: Sequence[Text] = (),
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons
        self.fields = fields
        self.details = details or [TEXTS[reason] for reason in reasons]
        self.status = status or STATUS.get(reasons[0], CONFLICT)
        self.headers = {**HEADERS.get(reasons[0], {}), **(headers or {})}


def problem_response(problem: Problem) -> JSONResponse:
    first = problem.reasons[0]
    REFUSALS.labels(first).inc()
    body = ProblemDetails(
        type=f"urn:gongji:reason:{first}",
        title=first.replace("_", " "),
        status=problem.status,
        detail="".join(text.chinese for text in problem.details),
        detail_en=" ".join(text.english for text in problem.details),
        reason=first,
        reasons=list(problem.reasons),
        fields=list(problem.fields),
    )
    return JSONResponse(
        body.model_dump(mode="json", exclude_defaults=True),
        status_code=body.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


async def on_problem(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Problem)
    return problem_response(problem)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """FastAPI's own findings, without the values they were found in; but a policy's values are nobody's own."""
    assert isinstance(error, RequestValidationError)
    # By the route, not by the path: somebody may be called `policy`.
    route = request.scope.get("route")
    with_value = route is not None and route.path.endswith("/policy")
    found = error.errors()
    fields = [_field_problem(each, with_value=with_value) for each in found[:PROBLEMS_MAX]]
    if (more := len(found) - len(fields)) > 0:
        fields.append(FieldProblem(field="body", problem=f"{more} more things in it are wrong"))
    return problem_response(Problem(Reason.INVALID, fields=fields))


def _field_problem(found: Mapping[str, Any], *, with_value: bool) -> FieldProblem:
    if found["type"] == "json_invalid":
        return FieldProblem(field="body", problem=f"is not JSON at character {found['loc'][-1]}")
    problem = found["msg"].removeprefix("Value error, ")
    value = found.get("input")
    if with_value and isinstance(value, str | int | float) and found["type"] != NAMED:
        problem = f"{problem}, not {str(value)[:VALUE_LENGTH_MAX]}"
    return FieldProblem(field=place(found["type"], found["loc"][1:]), problem=problem)


async def on_http(_: Request, error: Exception) -> JSONResponse:
    """What the router says: no such path, not by this method, not to be read."""
    assert isinstance(error, HTTPException)
    return problem_response(Problem(OF_HTTP.get(error.status_code, Reason.INVALID), headers=error.headers))


class Unexpected:
    """Tells whoever called that something nobody foresaw went wrong, and no more; the log tells where, without values."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001 the last place where it can be answered
            # An error's own words may repeat what somebody sent.
            log.error("unexpected_error", error=type(error).__name__, where=places(error)[-FRAMES_LOGGED:])  # noqa: TRY400
            if begun:
                raise ConnectionAbortedError("an answer that has begun cannot be taken back") from None
            await problem_response(Problem(Reason.INTERNAL_ERROR))(scope, receive, send)
