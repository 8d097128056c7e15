"""Who may share with whom. Contract: "Sharing region rule"; domain.md, rule 7."""

import pytest

from shared.domain.regions import Scope, connected, pooling_area_of, province_of

SAME_CODE, SAME_AREA, SAME_PROVINCE, ELSEWHERE = "130100", "130102", "139900", "110100"
POOL, PROVINCE, NATION = Scope.POOL, Scope.PROVINCE, Scope.NATION

TABLE = {
    (POOL, POOL): False,
    (POOL, PROVINCE): False,
    (POOL, NATION): False,
    (PROVINCE, POOL): False,
    (PROVINCE, PROVINCE): True,
    (PROVINCE, NATION): True,
    (NATION, POOL): False,
    (NATION, PROVINCE): True,
    (NATION, NATION): True,
}


@pytest.mark.parametrize("scopes", TABLE, ids="-".join)
@pytest.mark.parametrize("region", [SAME_CODE, SAME_AREA])
def test_same_pooling_area_shares_whatever_the_scopes(region: str, scopes: tuple[Scope, Scope]) -> None:
    """The same first four digits: always."""
    assert connected(SAME_CODE, scopes[0], region, scopes[1])


@pytest.mark.parametrize(("scopes", "shares"), TABLE.items(), ids=["-".join(scopes) for scopes in TABLE])
def test_one_province_shares_where_both_areas_have_opened_it(scopes: tuple[Scope, Scope], shares: bool) -> None:
    """Both policies must have scope province or nation."""
    assert connected(SAME_CODE, scopes[0], SAME_PROVINCE, scopes[1]) == shares
    assert connected(SAME_PROVINCE, scopes[0], SAME_CODE, scopes[1]) == shares


@pytest.mark.parametrize("scopes", TABLE, ids="-".join)
def test_across_provinces_nobody_shares_whatever_the_scopes(scopes: tuple[Scope, Scope]) -> None:
    """Only the wallet crosses provinces."""
    assert not connected(SAME_CODE, scopes[0], ELSEWHERE, scopes[1])


@pytest.mark.parametrize(
    ("region", "province", "area"),
    [
        ("130100", 13, "1301"),
        ("379900", 37, "3799"),
        ("430199", 43, "4301"),
        ("110000", 11, "1100"),
        ("010203", 1, "0102"),
    ],
)
def test_first_two_digits_are_the_province_and_four_the_area(region: str, province: int, area: str) -> None:
    """Codes that are in no list of places are as good as others."""
    assert (province_of(region), pooling_area_of(region)) == (province, area)
