"""What every request and every answer carries. Source: contract.md, "Messages"."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from shared.domain.ids import INSTITUTION_ID_PATTERN, PERSON_ID_PATTERN, REQUEST_ID_PATTERN
from shared.domain.money import AMOUNT_MAX_FEN, AMOUNT_MIN_FEN
from shared.domain.reasons import Reason
from shared.domain.regions import REGION_CODE_PATTERN

BODY_BYTES_MAX = 64 * 1024
OCCURRED_AHEAD_MAX = timedelta(days=1)

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Operation(StrEnum):
    SETTLE = "settle"
    SETTLE_BULK = "settle_bulk"
    CREDIT = "credit"
    QUOTE = "quote"
    LOOKUP = "lookup"
    TRANSFER = "transfer"
    REFUND = "refund"
    CANCEL = "cancel"
    RECONCILE = "reconcile"


class Outcome(StrEnum):
    SETTLED = "settled"
    ANSWERED = "answered"
    PARTIAL = "partial"
    CREDITED = "credited"
    FOUND = "found"
    NOT_FOUND = "not_found"
    TRANSFERRED = "transferred"
    PENDING = "pending"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    BALANCED = "balanced"
    DIFFERS = "differs"
    DECLINED = "declined"
    REJECTED = "rejected"


def _written_as_rfc3339(value: Any) -> Any:
    if not (isinstance(value, str) and RFC3339.fullmatch(value)):
        raise ValueError("must be an RFC 3339 time with an offset, such as 2026-11-22T09:30:00+08:00")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be a time that can be written in UTC") from error


# Kept in UTC, so that two spellings of one moment are equal as values.
Moment = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_written_as_rfc3339, json_schema_input_type=str),
    AfterValidator(_in_utc),
]
PersonIdField = Annotated[str, Field(pattern=PERSON_ID_PATTERN)]
InstitutionIdField = Annotated[str, Field(pattern=INSTITUTION_ID_PATTERN)]
RequestIdField = Annotated[str, Field(pattern=REQUEST_ID_PATTERN)]
RegionField = Annotated[str, Field(pattern=REGION_CODE_PATTERN)]
# PostgreSQL keeps every character but NUL.
FreeText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
AmountField = Annotated[int, Field(ge=AMOUNT_MIN_FEN, le=AMOUNT_MAX_FEN)]
# Always UTC, so that it is written with a Z.
AnsweredMoment = Annotated[datetime, AfterValidator(_in_utc)]


class Request(BaseModel):
    """The fields common to every request; each operation adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    operation: ClassVar[Operation]

    request_id: RequestIdField
    institution_id: InstitutionIdField
    insured_region: RegionField
    occurred_at: Moment

    def content(self) -> str:
        """The request as canonical JSON: equal values give equal text, defaults are left out.

        Leaving defaults out keeps a stored content comparable when a later release adds an optional field.
        """
        return self.model_dump_json(exclude_defaults=True)


class Answer(BaseModel):
    """The fields common to every answer; money that does not apply is null."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: str | None
    request_id: str | None
    institution_id: str | None
    outcome: Outcome
    reason: Reason | None = None
    reason_text: str | None = None
    decided_at: AnsweredMoment
    replayed: bool = False
