"""What the bookkeeper hands on: plain, frozen data."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


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
