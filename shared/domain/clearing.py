"""Clearing between regions: who owes whom for care that insured people had elsewhere. Pure.

An account pays for care at an institution of another pooling area; the institution is paid by the area where it is, and
that area is owed the sum by the one that insures the account's holder. Source: domain.md, "clearing".
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shared.domain.regions import pooling_area_of


class Line(Protocol):
    """What accounts of a region paid to an institution for care in a region, less what came back, in fen."""

    @property
    def insured_region(self) -> str: ...
    @property
    def care_region(self) -> str: ...
    @property
    def owed_fen(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Debt:
    """What one pooling area owes another, in fen; below nothing where more came back than was paid."""

    debtor: str
    creditor: str
    owed_fen: int


@dataclass(frozen=True, slots=True)
class Position:
    """A pooling area's sums, in fen: `net_fen` is what it gets in the end, below nothing what it pays."""

    area: str
    owes_fen: int
    is_owed_fen: int

    @property
    def net_fen(self) -> int:
        return self.is_owed_fen - self.owes_fen


def debts(lines: Iterable[Line]) -> list[Debt]:
    """What each pooling area owes each other one for its people's care there."""
    sums: Counter[tuple[str, str]] = Counter()
    for line in lines:
        debtor, creditor = pooling_area_of(line.insured_region), pooling_area_of(line.care_region)
        if debtor != creditor:
            sums[debtor, creditor] += line.owed_fen
    return [Debt(*pair, fen) for pair, fen in sorted(sums.items()) if fen]


def positions(owed: Iterable[Debt]) -> list[Position]:
    """Where each pooling area stands; the net sums add up to nothing."""
    owes: Counter[str] = Counter()
    is_owed: Counter[str] = Counter()
    for debt in owed:
        owes[debt.debtor] += debt.owed_fen
        is_owed[debt.creditor] += debt.owed_fen
    return [Position(area, owes[area], is_owed[area]) for area in sorted(owes.keys() | is_owed.keys())]
