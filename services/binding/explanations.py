"""A decision of the worker, as it is explained to the person whom it is about."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.domain.reasons import Reason


@dataclass(frozen=True, slots=True)
class Ranked:
    """A relative whom a settlement considered: how much could be shared, and why not, if they were out."""

    payer_id: str
    binding_id: str
    bound_at: datetime
    policy: str
    usable_fen: int | None
    limit_left_fen: int | None
    out: Reason | None


@dataclass(frozen=True, slots=True)
class Moved:
    """What one movement did to one person's account, in fen; what was taken is negative."""

    movement_id: str
    person_id: str
    kind: str
    request_id: str | None
    binding_id: str | None
    current_year_fen: int
    prior_years_fen: int
    wallet_fen: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of the worker: what was asked and answered, who was considered, what moved then and later."""

    decision_id: str
    institution_id: str
    request_id: str
    operation: str
    outcome: str
    reason: Reason | None
    subject_id: str | None
    request: dict[str, Any]
    answer: dict[str, Any]
    policy: str | None
    locked: tuple[str, ...]
    candidates: tuple[Ranked, ...]
    moved: tuple[Moved, ...]
    later: tuple[Moved, ...]
    decided_at: datetime
    cancelled_by: str | None

    def as_told_to(self, person_id: str) -> "Decision":
        """Without what relatives have: their balances, limits and accounts are theirs to know."""
        return replace(
            self,
            candidates=tuple(
                each if each.payer_id == person_id else replace(each, usable_fen=None, limit_left_fen=None)
                for each in self.candidates
            ),
            moved=tuple(each for each in self.moved if each.person_id == person_id),
            later=tuple(each for each in self.later if each.person_id == person_id),
        )
