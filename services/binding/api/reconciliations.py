"""Reconciliations: an institution's whole day beside ours, from a file (对账)."""

import asyncio
import csv
from collections.abc import AsyncIterator
from io import StringIO
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from services.binding.api.door import Asker, Cursor, IdempotencyKey, Limit, after, allow, granted, page, respond
from services.binding.dayfile import HEADER, Limits
from services.binding.days import DayAsked, Reconciliation
from services.binding.model import Action, Caller, Refused
from services.binding.problems import FieldProblem, Problem
from services.binding.reconciling import Reconciler
from services.binding.resources import Page, ReconciliationOut
from shared.domain.ids import GREATEST_ID, INSTITUTION_ID_PATTERN, REQUEST_ID_PATTERN
from shared.domain.reasons import Reason
from shared.domain.regions import REGION_CODE_PATTERN
from shared.domain.roles import Role
from shared.domain.times import Day
from shared.messages.reconcile import DATE_MAX, DATE_MIN, Difference

router = APIRouter()
MEDIA_TYPE = "text/csv"
# A sender that says nothing for so long is taken for gone.
SILENCE_MAX_S = 60.0
# Nor may a file drip in for ever: 100 MiB in this time are 60 KB a second.
FILE_MAX_S = 1_800.0
COLUMNS = (
    "request_id",
    "kind",
    "our_settlement_id",
    "our_account_fen",
    "their_account_fen",
    "our_mutual_aid_fen",
    "their_mutual_aid_fen",
)
# The one body that is read as it comes, and bounded as it is read.
STREAMED = ("POST", "/v1/reconciliations")
EXAMPLE = f"{','.join(HEADER)}\nREQ-1,1000,700\nREQ-2,50,50\n"
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The day's lines, UTF-8, a header first: {','.join(HEADER)}.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": EXAMPLE}},
    }
}


def reconciler_of(request: Request) -> Reconciler:
    reconciler: Reconciler = request.app.state.reconciler
    return reconciler


Comparer = Annotated[Reconciler, Depends(reconciler_of)]
ReconciliationPath = Annotated[str, Path(max_length=64)]


@router.post(
    "/reconciliations", response_model=ReconciliationOut, tags=["reconciliations"], status_code=201, openapi_extra=FILE
)
async def reconcile_day(
    request: Request,
    caller: Asker,
    comparer: Comparer,
    institution_id: Annotated[str, Query(pattern=INSTITUTION_ID_PATTERN)],
    insured_region: Annotated[str, Query(pattern=REGION_CODE_PATTERN, description="Its province is what is compared.")],
    date: Annotated[Day, Query(ge=DATE_MIN, le=DATE_MAX, description="The day, in Shanghai.")],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Compares a file of an institution's settlements of one day with ours, and keeps what differs.

    It is read as it comes, at most 1,000,000 lines and 100 MiB, and meanwhile is in the list with `lines_read`. One wrong
    line, and all of it is refused; the first 20 are named by their number.
    """
    allow(caller, Role.OPERATOR, institution_id=institution_id)
    _must_be_a_file(request, comparer.limits)
    day = DayAsked(institution_id, insured_region, date)
    return respond(await comparer.reconcile(caller, day, _pieces(request), idempotency_key))


@router.get("/reconciliations", tags=["reconciliations"])
async def list_reconciliations(
    caller: Asker,
    comparer: Comparer,
    institution_id: Annotated[str, Query(pattern=INSTITUTION_ID_PATTERN)],
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ReconciliationOut]:
    """An institution's reconciliations from files, newest first, those included that are being read."""
    allow(caller, Role.OPERATOR, institution_id=institution_id)
    found = await comparer.list_of(caller, institution_id, before=after(cursor, GREATEST_ID), limit=limit + 1)
    return page(ReconciliationOut, found, limit, lambda each: each.reconciliation_id)


@router.get("/reconciliations/{reconciliation_id}", tags=["reconciliations"])
async def get_reconciliation(
    reconciliation_id: ReconciliationPath, caller: Asker, comparer: Comparer
) -> ReconciliationOut:
    """How far a file is read, or what came of it."""
    found = await _seen(caller, comparer, Action.READ_RECONCILIATION, reconciliation_id)
    return ReconciliationOut.model_validate(found, from_attributes=True)


@router.get("/reconciliations/{reconciliation_id}/differences", tags=["reconciliations"])
async def list_differences(
    reconciliation_id: ReconciliationPath,
    caller: Asker,
    comparer: Comparer,
    limit: Limit = 50,
    cursor: Annotated[str, Query(pattern=REQUEST_ID_PATTERN)] | None = None,
) -> Page[Difference]:
    """What differs, by request id, as it was when the file was compared; not found before that."""
    found = await _compared(caller, comparer, Action.LIST_DIFFERENCES, reconciliation_id)
    differing = await comparer.differences(found, after=cursor or "", limit=limit + 1)
    return page(Difference, differing, limit, lambda each: each.request_id)


@router.get(
    "/reconciliations/{reconciliation_id}/differences.csv",
    tags=["reconciliations"],
    response_class=StreamingResponse,
    responses={200: {"description": "Every difference", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def download_differences(
    reconciliation_id: ReconciliationPath, caller: Asker, comparer: Comparer
) -> StreamingResponse:
    """All that differs, as a file: a header, then a line each, by request id. Empty where a side has nothing."""
    found = await _compared(caller, comparer, Action.DOWNLOAD_DIFFERENCES, reconciliation_id)
    name = f"differences-{found.institution_id}-{found.date}.csv"
    return StreamingResponse(
        _as_csv(comparer.every_difference(found)),
        media_type=MEDIA_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _seen(caller: Caller, comparer: Reconciler, action: Action, reconciliation_id: str) -> Reconciliation:
    """What was asked for, if it is the caller's affair. That an operator was let through is written down before it is told."""
    found = await comparer.find(reconciliation_id)
    if isinstance(found, Refused):
        # A stranger does not learn which ids exist.
        allow(caller, Role.OPERATOR, Role.INSTITUTION)
    else:
        allow(caller, Role.OPERATOR, institution_id=found.institution_id)
    await comparer.record(caller, action, reconciliation_id)
    return granted(found)


async def _compared(caller: Caller, comparer: Reconciler, action: Action, reconciliation_id: str) -> Reconciliation:
    made = await _seen(caller, comparer, action, reconciliation_id)
    if made.compared_at is None:
        raise Problem(Reason.NOT_FOUND)
    return made


def _must_be_a_file(request: Request, limits: Limits) -> None:
    """What the headers tell is refused before anything is read. Raises Problem(invalid)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise Problem(Reason.INVALID, fields=[FieldProblem(field="Content-Type", problem=f"must be {MEDIA_TYPE}")])
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.bytes_max:
        problem = f"must be at most {limits.bytes_max} bytes"
        raise Problem(Reason.INVALID, fields=[FieldProblem(field="body", problem=problem)])


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Problem(invalid) if it stops before its end."""
    stream = request.stream()
    over_at = asyncio.get_running_loop().time() + FILE_MAX_S
    try:
        while True:
            silent_at = asyncio.get_running_loop().time() + SILENCE_MAX_S
            async with asyncio.timeout_at(min(silent_at, over_at)):
                piece = await anext(stream, None)
            if piece is None:
                return
            yield piece
    except (ClientDisconnect, TimeoutError):
        problem = "ended before it was complete: send it again"
        raise Problem(Reason.INVALID, fields=[FieldProblem(field="body", problem=problem)]) from None


async def _as_csv(parts: AsyncIterator[list[Difference]]) -> AsyncIterator[str]:
    yield _written([COLUMNS])
    async for part in parts:
        yield _written([_row(each) for each in part])


def _written(rows: list[Any]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _row(difference: Difference) -> tuple[Any, ...]:
    ours, theirs = difference.ours, difference.theirs
    return (
        difference.request_id,
        difference.kind,
        ours and ours.settlement_id,
        ours and ours.account_fen,
        theirs and theirs.account_fen,
        ours and ours.mutual_aid_fen,
        theirs and theirs.mutual_aid_fen,
    )
