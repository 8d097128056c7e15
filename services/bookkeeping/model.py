"""What the bookkeeper hands on: plain, frozen data."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from shared.domain.ids import moment_of
from shared.domain.times import shanghai_date


@dataclass(frozen=True, slots=True)
class Seal:
    """A stretch of a province's chain: what was written under `ids` has come to be part of it."""

    province: int
    seal_no: int
    ids: tuple[UUID, ...]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """What one movement did to one person's account, in fen."""

    province: int
    movement_id: UUID
    person_id: str
    kind: str
    institution_id: str | None
    request_id: str | None
    binding_id: UUID | None
    current_year_fen: int
    prior_years_fen: int
    wallet_fen: int
    original_id: UUID | None
    original_province: int
    insured_region: str
    care_region: str | None
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of a binding."""

    province: int
    notice_no: int
    event: str
    at: datetime
    binding_id: UUID
    payer_id: str
    beneficiary_province: int
    beneficiary_id: str
    valid_from: date
    valid_until: date | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Book:
    """A province's days: how far they are closed, and the first id that was sealed there."""

    province: int
    last_closed: date | None
    first_id: UUID

    @property
    def next_day(self) -> date:
        """The first Shanghai day that is not closed. A day before the first id: another may have been made before it."""
        if self.last_closed:
            return self.last_closed + timedelta(days=1)
        return shanghai_date(moment_of(self.first_id)) - timedelta(days=1)
