"""What a payer's region lets be shared: which money, for which expenses, up to which limit. To the fen, over the broker."""

from typing import Any

import pytest

from cli.audit import prove
from tests.support.world import Answer, World

DEFAULT = "330100"


async def family(world: World, region: str = "130100", fen: tuple[int, int] = (100_000, 0), **binding: Any) -> None:
    """A payer with this year's and earlier years' money, and a child whom the payer binds."""
    world.start_worker()
    await world.family()
    await world.person("PAYER", region_code=region)
    await world.person("CHILD", region_code=region, insurance="resident")
    await world.bind("PAYER", "CHILD", **binding)
    for fund, amount in zip(("current_year", "prior_years"), fen, strict=True):
        if amount:
            await world.credit("PAYER", amount, fund, insured_region=region)


async def told(world: World, *amounts: int, person_id: str = "CHILD") -> list[str | None]:
    """What settlements of these amounts say, one after the other; None is settled."""
    return [(await world.settle(person_id, amount))["reason"] for amount in amounts]


async def holds(world: World) -> bool:
    found = await prove(world.database_url)
    assert found["holds"], found
    return True


# ---- which money ----

# What the region shares; how much of 500 yuan of this year and 300 of earlier years that is; what is left then.
SHARES: dict[str, tuple[dict[str, Any], int, tuple[int, int]]] = {
    "the whole balance": ({}, 80_000, (0, 0)),
    "earlier years": ({"funds": "prior_years"}, 30_000, (50_000, 0)),
    "above what is kept": ({"keep_fen": 20_000}, 60_000, (20_000, 0)),
    "above what is kept, from both parts": ({"keep_fen": 49_999}, 30_001, (49_999, 0)),
    "earlier years above what is kept": ({"funds": "prior_years", "keep_fen": 20_000}, 10_000, (50_000, 20_000)),
}


@pytest.mark.parametrize(("policy", "usable_fen", "left"), SHARES.values(), ids=SHARES)
async def test_a_payer_shares_to_the_last_fen_and_not_one_more(
    world: World, policy: dict[str, Any], usable_fen: int, left: tuple[int, int]
) -> None:
    """One fen too much is refused whole; all of it is paid, earlier years' money first; then there is nothing."""
    await world.policy("1301", **policy)
    await family(world, fen=(50_000, 30_000))

    said = await told(world, usable_fen + 1, usable_fen, 1)

    assert said == ["richest_payer_insufficient", None, "payer_balance_zero"]
    assert await world.balances() == {"PAYER": (*left, 0)}
    assert await holds(world)


async def test_a_payer_gives_earlier_years_first_and_a_patient_this_years(world: World) -> None:
    """Exact parts on both sides of one settlement."""
    await family(world, fen=(20_000, 30_000))
    await world.person("CHILD")
    await world.credit("CHILD", 4_000, "current_year")
    await world.credit("CHILD", 1_000, "prior_years")

    first = await world.settle(amount_fen=4_500)
    between = await world.balances()
    second = await world.settle(amount_fen=35_000)

    assert (first["own_account_fen"], first["mutual_aid_fen"]) == (4_500, 0)
    assert between == {"CHILD": (0, 500, 0), "PAYER": (20_000, 30_000, 0)}
    assert (second["own_account_fen"], second["mutual_aid_fen"]) == (500, 34_500)
    assert await world.balances() == {"CHILD": (0, 0, 0), "PAYER": (15_500, 0, 0)}
    assert await holds(world)


async def test_what_a_region_keeps_back_a_patient_spends_alone(world: World) -> None:
    """Only what is shared is limited; one's own money is one's own."""
    await world.policy("1301", funds="prior_years", keep_fen=50_000, shared_expense_types=[])
    await family(world)

    answer = await world.settle("PAYER", 100_000, expense_type="inpatient")

    assert (answer["outcome"], answer["own_account_fen"], answer["own_balance_fen"]) == ("settled", 100_000, 0)


async def test_the_richest_is_who_may_share_most(world: World) -> None:
    """The father's account is fuller, but his area keeps most of it back: the mother pays, or nobody does."""
    world.start_worker()
    await world.policy("13", scope="province")
    await world.policy("1302", scope="province", keep_fen=100_000)
    await world.family("MOTHER", fen=50_000)
    await world.person("FATHER", region_code="130200")
    await world.bind("FATHER", "CHILD")
    await world.credit("FATHER", 140_000, insured_region="130200")

    paid = await world.settle(amount_fen=45_000)
    next_paid = await world.settle(amount_fen=30_000)
    refused = await world.settle(amount_fen=11_000)

    assert [(each["payer_id"], each["reason"]) for each in (paid, next_paid, refused)] == [
        ("MOTHER", None),
        ("FATHER", None),
        (None, "richest_payer_insufficient"),
    ]
    assert await world.balances() == {"MOTHER": (5_000, 0, 0), "FATHER": (110_000, 0, 0)}


# ---- up to which limit ----

LIMITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "of the policy": ({"annual_limit_fen": 3_000}, {}),
    "of the binding": ({}, {"annual_limit_fen": 3_000}),
    "of the policy, the smaller": ({"annual_limit_fen": 3_000}, {"annual_limit_fen": 3_001}),
    "of the binding, the smaller": ({"annual_limit_fen": 3_001}, {"annual_limit_fen": 3_000}),
}


@pytest.mark.parametrize(("policy", "binding"), LIMITS.values(), ids=LIMITS)
async def test_a_yearly_limit_counts_over_settlements(
    world: World, policy: dict[str, Any], binding: dict[str, Any]
) -> None:
    """What leaves less than the shortfall refuses it whole and uses nothing; the last fen of it is paid."""
    await world.policy("1301", **policy)
    await family(world, **binding)
    over = "authorised_limit_exceeded"

    said = await told(world, 2_000, 1_001, 500, 501, 500, 1)

    assert said == [None, over, None, over, None, over]
    assert await world.balances() == {"PAYER": (97_000, 0, 0)}


async def test_two_bindings_of_one_payer_do_not_share_a_limit(world: World) -> None:
    """Each relative may use as much as the policy says."""
    await world.policy("1301", annual_limit_fen=3_000)
    await family(world)
    await world.person("DAUGHTER", insurance="resident")
    await world.bind("PAYER", "DAUGHTER", "daughter")

    sons = await told(world, 3_000, 1)
    daughters = await told(world, 3_000, 1, person_id="DAUGHTER")

    assert sons == daughters == [None, "authorised_limit_exceeded"]
    assert await world.balances() == {"PAYER": (94_000, 0, 0)}


async def test_a_payer_whose_limit_is_used_up_makes_room_for_another(world: World) -> None:
    """Who is out is not in the ranking, however rich."""
    await family(world, annual_limit_fen=1_000)
    await world.person("AUNT")
    await world.bind("AUNT", "CHILD")
    await world.credit("AUNT", 5_000)

    payers = [(await world.settle(amount_fen=fen))["payer_id"] for fen in (1_000, 1_000)]

    assert payers == ["PAYER", "AUNT"]


async def test_a_limit_put_later_counts_what_was_used_before(world: World) -> None:
    """The year's use is the year's use, whenever the policy came."""
    await family(world)
    before = await told(world, 2_000)
    await world.policy("1301", annual_limit_fen=3_000)

    after = await told(world, 1_001, 1_000)

    assert (before, after) == ([None], ["authorised_limit_exceeded", None])


# ---- for which expenses ----


async def test_inpatient_care_is_shared_where_the_region_says_so(world: World) -> None:
    """Not by the default, while the pharmacy is; put into the policy, the same bill is paid."""
    await family(world, DEFAULT)
    inpatient, pharmacy = [await _expense(world, each) for each in ("inpatient", "pharmacy")]
    await world.policy("33", shared_expense_types=["inpatient"])
    opened, closed = [await _expense(world, each) for each in ("inpatient", "pharmacy")]

    assert [(each["outcome"], each["reason"]) for each in (inpatient, pharmacy, opened, closed)] == [
        ("declined", "expense_not_shared"),
        ("settled", None),
        ("settled", None),
        ("declined", "expense_not_shared"),
    ]


async def test_a_relative_pays_the_premium_at_the_tax_office(world: World) -> None:
    """Unless the payer's region has not opened it."""
    await family(world)
    await world.institution("TAX", kind="tax_office")
    premium: dict[str, Any] = {"institution_id": "TAX", "expense_type": "resident_premium"}

    paid = await world.settle(amount_fen=40_000, **premium)
    await world.policy("1301", shared_expense_types=["outpatient"])
    refused = await world.settle(amount_fen=40_000, **premium)

    assert (paid["outcome"], paid["payer_id"], paid["mutual_aid_fen"]) == ("settled", "PAYER", 40_000)
    assert (refused["outcome"], refused["reason"]) == ("declined", "expense_not_shared")


@pytest.mark.parametrize("expense", ["public_health", "fitness", "wellness"])
async def test_what_is_never_covered_is_paid_by_nobody(world: World, expense: str) -> None:
    """Neither from the own account nor by a relative; an outpatient bill of the same amount is."""
    await family(world)

    own = await world.settle("PAYER", 1_000, expense_type=expense)
    relatives = await world.settle("CHILD", 1_000, expense_type=expense)
    covered = [await world.settle(person_id, 1_000) for person_id in ("PAYER", "CHILD")]

    assert [(each["outcome"], each["reason"], each["cash_fen"]) for each in (own, relatives)] == [
        ("declined", "expense_not_covered", 1_000)
    ] * 2
    assert [each["outcome"] for each in covered] == ["settled"] * 2
    assert await world.balances() == {"PAYER": (98_000, 0, 0)}


async def _expense(world: World, expense_type: str) -> Answer:
    return await world.settle(amount_fen=1_000, insured_region=DEFAULT, expense_type=expense_type)
