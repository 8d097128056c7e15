"""Regions: who may share with whom.

A region code has six digits: the first two name the province, the first four usually the pooling area. The codes
are not a GB/T 2260 list (379900 and 430199 exist), so nothing here looks them up. Source: domain.md, rule 7.
"""

from enum import StrEnum

REGION_CODE_PATTERN = r"^[0-9]{6}$"


class Scope(StrEnum):
    """How far a region has opened its sharing."""

    POOL = "pool"
    PROVINCE = "province"
    NATION = "nation"


def province_of(region: str) -> int:
    """The province of a region code: "130100" -> 13. It decides which cell holds the account."""
    return int(region[:2])


def whole_province(province: int) -> str:
    """The region code that stands for a province where nothing nearer is known: 13 -> "130000"."""
    return f"{province:02d}0000"


def pooling_area_of(region: str) -> str:
    return region[:4]


def connected(payer_region: str, payer_scope: Scope, beneficiary_region: str, beneficiary_scope: Scope) -> bool:
    """The sharing region rule: same pooling area, or one province that both areas have opened.

    Across provinces money moves only through the wallet, whatever the scopes say.
    """
    if pooling_area_of(payer_region) == pooling_area_of(beneficiary_region):
        return True
    if province_of(payer_region) != province_of(beneficiary_region):
        return False
    return Scope.POOL not in (payer_scope, beneficiary_scope)
