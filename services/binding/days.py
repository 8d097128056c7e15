"""An institution's day beside ours, as the registry keeps it."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.domain.ids import public_id
from shared.domain.regions import province_of
from shared.messages.reconcile import Totals

# The field is named so, which hides the type within its class.
Date = date


class DayLine(NamedTuple):
    """A line of an institution's day: its number in the file, the settlement, what accounts paid and mutual aid of it."""

    line: int
    request_id: str
    account_fen: int
    mutual_aid_fen: int


@dataclass(frozen=True, slots=True)
class DayAsked:
    """Whose Shanghai day is compared, within the province of `insured_region`."""

    institution_id: str
    insured_region: str
    date: Date

    @property
    def province(self) -> int:
        return province_of(self.insured_region)


class ReconciliationState(StrEnum):
    """Reading until the file is compared: balanced if no line differs. Abandoned: the file did not come to its end."""

    READING = "reading"
    BALANCED = "balanced"
    DIFFERS = "differs"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class DayTotals:
    """What the lines of a file add up to; a file says nothing of refunds."""

    count: int
    account_fen: int
    mutual_aid_fen: int


@dataclass(frozen=True, slots=True)
class DifferenceCounts:
    missing_here: int
    missing_there: int
    different: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A file beside our day. What was found is there once it is compared, and never changes."""

    row_id: UUID
    day: DayAsked
    state: ReconciliationState
    lines_read: int
    started_at: datetime
    compared_at: datetime | None = None
    ours: Totals | None = None
    theirs: DayTotals | None = None
    differences: DifferenceCounts | None = None

    @property
    def province(self) -> int:
        return self.day.province

    @property
    def reconciliation_id(self) -> str:
        return public_id(self.province, self.row_id)

    @property
    def institution_id(self) -> str:
        return self.day.institution_id

    @property
    def insured_region(self) -> str:
        return self.day.insured_region

    @property
    def date(self) -> Date:
        return self.day.date
