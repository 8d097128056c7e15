"""reconcile (对账): an institution's day beside ours."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.domain.ids import public_id
from shared.domain.times import Day
from shared.messages.envelope import Answer, Operation, Request, RequestIdField

# The field is named so, which hides the type within its class.
Date = date
LINES_MAX = 5_000
DATE_MIN, DATE_MAX = Date(2000, 1, 1), Date(2999, 12, 31)
# A day's totals: no institution comes near a hundred million requests or 10^16 fen.
CountField = Annotated[int, Field(ge=0, le=10**8)]
TotalField = Annotated[int, Field(ge=0, le=10**16)]
# Below nothing on a day on which more refunds of earlier days were cancelled than money was returned.
RefundedField = Annotated[int, Field(ge=-(10**16), le=10**16)]


class Line(BaseModel):
    """One settlement of the day: what accounts paid (own, wallet and mutual aid), and mutual aid of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    request_id: RequestIdField
    account_fen: TotalField
    mutual_aid_fen: TotalField


class OurLine(Line):
    settlement_id: str


class Totals(BaseModel):
    """A day in four figures; `refunded_fen` is what was returned on that day, whenever the original was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    account_fen: int
    mutual_aid_fen: int
    refunded_fen: int


class DifferenceKind(StrEnum):
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    DIFFERENT = "different"


class Difference(BaseModel):
    """One settlement on which the two sides differ, with both sides' figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str
    kind: DifferenceKind
    ours: OurLine | None
    theirs: Line | None


class ReconcileRequest(Request):
    """The totals of a Shanghai day, and if they like the settlements one by one."""

    operation = Operation.RECONCILE

    date: Annotated[Day, Field(strict=False, ge=DATE_MIN, le=DATE_MAX)]
    count: CountField
    account_fen: TotalField
    mutual_aid_fen: TotalField
    refunded_fen: RefundedField
    lines: Annotated[tuple[Line, ...], Field(max_length=LINES_MAX, strict=False)] | None = None

    @field_validator("lines")
    @classmethod
    def _each_once(cls, lines: tuple[Line, ...] | None) -> tuple[Line, ...] | None:
        if lines and len({line.request_id for line in lines}) < len(lines):
            raise ValueError("each request_id must be named once")
        return lines


class ReconcileAnswer(Answer):
    """`differences` where lines were given; at most 5,000 of them, and how many were left out."""

    date: Date | None = None
    ours: Totals | None = None
    theirs: Totals | None = None
    differences: tuple[Difference, ...] | None = None
    differences_left_out: int | None = None


def difference_of(province: int, row: Any) -> Difference:
    """What a row of the database says of one settlement that differs: request_id, kind, our_ and their_ figures."""
    request_id, kind = row["request_id"], DifferenceKind(row["kind"])
    ours = theirs = None
    if kind is not DifferenceKind.MISSING_HERE:
        ours = OurLine(
            request_id=request_id,
            account_fen=row["our_account_fen"],
            mutual_aid_fen=row["our_mutual_aid_fen"],
            settlement_id=public_id(province, row["our_movement_id"]),
        )
    if kind is not DifferenceKind.MISSING_THERE:
        theirs = Line(
            request_id=request_id, account_fen=row["their_account_fen"], mutual_aid_fen=row["their_mutual_aid_fen"]
        )
    return Difference(request_id=request_id, kind=kind, ours=ours, theirs=theirs)
