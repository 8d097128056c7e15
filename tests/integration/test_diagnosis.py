"""Why can we not share? Over HTTP, against what a settlement over the broker then says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.domain.roles import Role
from shared.domain.times import shanghai_date
from tests.support.world import World

TODAY = shanghai_date(datetime.now(UTC))


async def ask(
    world: World,
    *,
    payer_id: str | None = "PAYER",
    role: Role = Role.CLERK,
    as_person: str | None = None,
    language: str | None = None,
    **bill: Any,
) -> httpx.Response:
    asked = {"beneficiary_id": "CHILD", **({"payer_id": payer_id} if payer_id else {}), **bill}
    headers = {"Accept-Language": language} if language else {}
    return await world.call(role, "GET", "/v1/diagnosis", person_id=as_person, params=asked, headers=headers)


async def diagnosis(world: World, **asked: Any) -> dict[str, Any]:
    response = await ask(world, **asked)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def failed(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(check["check"], check["reason"]) for check in found["checks"] if not check["passed"]]


def seen(found: dict[str, Any], name: str) -> dict[str, Any]:
    (check,) = [check for check in found["checks"] if check["check"] == name]
    return dict(check)


# ---- the administration's four causes, and the others ----


async def not_enrolled(world: World) -> None:
    await world.family("PAYER")
    await world.person("CHILD", insurance="resident", status="ended")


async def kinship_account_only(world: World) -> None:
    await world.family(fen=0)
    await world.person("PAYER")
    link = {"holder_id": "PAYER", "shown_id": "CHILD"}
    (await world.call(Role.CLERK, "POST", "/v1/kinship-links", link)).raise_for_status()


async def balance_zero(world: World) -> None:
    await world.family()
    await world.person("PAYER")
    await world.bind("PAYER", "CHILD")


async def other_pooling_area(world: World) -> None:
    await world.family("PAYER")
    await world.policy("1302", scope="pool")
    await world.person("CHILD", insurance="resident", region_code="130200")


async def never_bound(world: World) -> None:
    await world.family()
    await world.person("PAYER")


async def starts_later(world: World) -> None:
    await never_bound(world)
    await world.bind("PAYER", "CHILD", valid_from=(TODAY + timedelta(days=10)).isoformat())


async def is_over(world: World) -> None:
    await never_bound(world)
    binding_id = await world.bind("PAYER", "CHILD")
    (await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding_id}/end")).raise_for_status()


async def other_province(world: World) -> None:
    await world.family()
    await world.person("PAYER", region_code="110100")
    await world.bind("PAYER", "CHILD", wallet=True)


async def payer_moved(world: World) -> None:
    await world.family("PAYER")
    await world.person("PAYER", region_code="110100")


async def payer_retired_to_residents(world: World) -> None:
    await world.family("PAYER")
    await world.person("PAYER", insurance="resident")


async def payer_suspended(world: World) -> None:
    await world.family("PAYER")
    await world.person("PAYER", status="suspended")


async def frozen(world: World) -> None:
    await world.family("PAYER")
    (await world.call(Role.OPERATOR, "POST", "/v1/accounts/PAYER/freeze")).raise_for_status()


async def expense_not_shared(world: World) -> None:
    await world.family("PAYER")
    await world.policy("1301", shared_expense_types=["pharmacy"])


async def yearly_limit_used_up(world: World) -> None:
    await never_bound(world)
    await world.bind("PAYER", "CHILD", annual_limit_fen=1_000)
    await world.credit("PAYER", 100_000)
    assert (await world.settle(amount_fen=1_000))["outcome"] == "settled"


async def only_earlier_years_money_is_shared(world: World) -> None:
    await world.family("PAYER")
    await world.policy("1301", funds="prior_years")


# Scene, the first failed check, its reason, and what value and advice say in either language.
CAUSES: dict[str, tuple[Any, str, str, tuple[str, str], tuple[str, str]]] = {
    "not enrolled": (
        not_enrolled,
        "beneficiary_insured",
        "person_not_insured",
        ("终止参保", "恢复缴费"),
        ("ended", "enrol or resume paying"),
    ),
    "kinship account only": (
        kinship_account_only,
        "bound",
        "kinship_account_only",
        ("只绑定了亲情账户", "另行办理家庭共济绑定"),
        ("Only a kinship account", "bind the beneficiary for mutual aid as well"),
    ),
    "balance zero": (
        balance_zero,
        "has_usable_balance",
        "payer_balance_zero",
        ("可共济余额0.00元", "入账后即可使用"),
        ("0.00 yuan can be shared", "once money that may be shared has come"),
    ),
    "other pooling area": (
        other_pooling_area,
        "region_connected",
        "region_not_connected",
        ("不在同一统筹区", "同一统筹区的亲属绑定"),
        ("two pooling areas", "a relative in the same pooling area"),
    ),
    "never bound": (
        never_bound,
        "bound",
        "no_binding",
        ("没有家庭共济绑定", "办理家庭共济绑定"),
        ("There is no binding", "should bind the beneficiary"),
    ),
    "starts later": (
        starts_later,
        "bound",
        "no_binding",
        ("目前尚未生效", f"自{TODAY + timedelta(days=10)}起生效"),
        (f"only from {TODAY + timedelta(days=10)}", "wait until then"),
    ),
    "is over": (
        is_over,
        "bound",
        "no_binding",
        (f"已于{TODAY}终止（经办窗口解除）", "重新办理"),
        (f"over on {TODAY} (ended at the counter)", "bind the beneficiary again"),
    ),
    "other province": (
        other_province,
        "region_connected",
        "region_not_connected",
        ("不同省份", "医保钱包"),
        ("different provinces", "wallet"),
    ),
    "payer in another province": (
        payer_moved,
        "region_connected",
        "region_not_connected",
        ("自动终止：共济人变更了参保统筹区", "重新办理"),
        ("moved to another pooling area", "bind the beneficiary again"),
    ),
    "payer left": (
        payer_retired_to_residents,
        "payer_eligible",
        "payer_not_eligible",
        ("自动终止：共济人已不再参加职工医保", "恢复职工参保"),
        ("the payer left employee insurance", "insured as an employee"),
    ),
    "payer suspended": (
        payer_suspended,
        "payer_eligible",
        "payer_not_eligible",
        ("职工医保，暂停参保", "恢复职工参保"),
        ("Insured as an employee, suspended", "insured as an employee"),
    ),
    "frozen": (
        frozen,
        "account_not_frozen",
        "payer_account_frozen",
        ("已冻结", "申请解冻"),
        ("is frozen", "have it released"),
    ),
    "expense not shared": (
        expense_not_shared,
        "expense_shared",
        "expense_not_shared",
        ("门诊费用未开通共济", "自付"),
        ("does not share", "by other means"),
    ),
    "yearly limit used up": (
        yearly_limit_used_up,
        "within_yearly_limit",
        "authorised_limit_exceeded",
        ("已用10.00元，剩余额度0.00元", "1月1日"),
        ("10.00 yuan were used this year; 0.00 yuan are left", "1 January"),
    ),
    "this year's money": (
        only_earlier_years_money_is_shared,
        "has_usable_balance",
        "payer_balance_zero",
        ("可共济余额0.00元", "入账后即可使用"),
        ("0.00 yuan can be shared", "by other means"),
    ),
}


@pytest.mark.parametrize(("scene", "check", "reason", "chinese", "english"), CAUSES.values(), ids=CAUSES)
async def test_a_cause_is_named_with_advice_as_the_settlement_names_it(
    world: World, scene: Any, check: str, reason: str, chinese: tuple[str, str], english: tuple[str, str]
) -> None:
    """The first failed check, its value, its rule and what to do, in Chinese and in English; the till hears the same."""
    world.start_worker()
    await scene(world)

    found = {language: await diagnosis(world, language=language) for language in ("zh-CN", "en")}

    for language, (value, advice) in (("zh-CN", chinese), ("en", english)):
        assert (found[language]["possible"], found[language]["reason"]) == (False, reason)
        assert failed(found[language])[0] == (check, reason)
        told = seen(found[language], check)
        assert value in told["value"]
        assert advice in told["advice"]
        assert told["rule"]
    assert (await diagnosis(world, payer_id=None))["reason"] == reason
    assert (await world.settle(amount_fen=1))["reason"] == reason


async def test_nobody_by_that_id_is_not_enrolled_either(world: World) -> None:
    """A beneficiary who is not registered is an answer, not an error."""
    found = await diagnosis(world)

    assert (found["possible"], found["reason"]) == (False, "person_unknown")
    assert "参保登记" in seen(found, "beneficiary_known")["advice"]


# ---- who pays ----


async def test_a_happy_family_can_share(world: World) -> None:
    """Every check has passed and there is nothing to do; the bill is then paid."""
    world.start_worker()
    await world.family("PAYER")

    found = await diagnosis(world, amount_fen=100_000)

    assert (found["possible"], found["reason"], failed(found)) == (True, None, [])
    assert all(check["advice"] is None and check["rule"] and check["value"] for check in found["checks"])
    assert [check["check"] for check in found["checks"]] == [
        "beneficiary_known",
        "beneficiary_insured",
        "expense_covered",
        "bound",
        "region_connected",
        "payer_eligible",
        "account_not_frozen",
        "expense_shared",
        "within_yearly_limit",
        "has_usable_balance",
        "is_the_richest",
        "can_pay_the_whole",
    ]
    assert (await world.settle(amount_fen=100_000))["payer_id"] == "PAYER"


async def test_the_second_richest_hears_that_another_comes_first(world: World) -> None:
    """A settlement would be paid, so there is no reason; it would be paid by somebody else."""
    world.start_worker()
    await world.family("PAYER", "RICH")
    await world.credit("RICH", 1)

    found = await diagnosis(world)

    assert (found["possible"], found["reason"], failed(found)) == (False, None, [("is_the_richest", None)])
    assert "RICH" in seen(found, "is_the_richest")["value"]
    assert (await diagnosis(world, payer_id="RICH"))["possible"]
    assert (await world.settle(amount_fen=1))["payer_id"] == "RICH"


async def test_a_bill_that_the_patient_pays_alone_needs_nobody(world: World) -> None:
    """Own money first: what it covers asks no relative; one fen more does."""
    world.start_worker()
    await world.family()
    await world.person("PAYER")
    await world.person("CHILD")
    await world.credit("CHILD", 5_000)

    covered = await diagnosis(world, amount_fen=5_000)
    beyond = await diagnosis(world, amount_fen=5_001)

    assert (covered["possible"], covered["reason"]) == (True, None)
    assert "50.00元" in seen(covered, "own_money_suffices")["value"]
    assert failed(covered)[0] == ("bound", "no_binding")
    assert (beyond["possible"], beyond["reason"]) == (False, "no_binding")
    assert (await world.settle(amount_fen=5_001))["reason"] == "no_binding"


async def test_a_bill_beyond_the_richest_is_nobodys(world: World) -> None:
    """Two who could pay it together do not; the bill's kind and amount are the question's."""
    world.start_worker()
    await world.family("PAYER", "OTHER", fen=5_000)

    found = await diagnosis(world, payer_id=None, amount_fen=5_001, expense_type="inpatient")

    assert (found["possible"], found["reason"]) == (False, "richest_payer_insufficient")
    assert {check["payer_id"] for check in found["checks"]} == {None, "PAYER", "OTHER"}
    answer = await world.settle(amount_fen=5_001, expense_type="inpatient")
    assert answer["reason"] == "richest_payer_insufficient"


async def test_what_was_never_covered_is_not_covered_for_a_family(world: World) -> None:
    world.start_worker()
    await world.family("PAYER")

    found = await diagnosis(world, expense_type="fitness")

    assert (found["possible"], found["reason"]) == (False, "expense_not_covered")
    assert failed(found)[0] == ("expense_covered", "expense_not_covered")
    assert "本人账户" not in seen(found, "expense_shared")["advice"]
    assert "自付" in seen(found, "expense_shared")["advice"]


async def test_what_a_region_keeps_back_cannot_be_shared(world: World) -> None:
    """The rule says how much that is."""
    world.start_worker()
    await world.family("PAYER", fen=200_000)
    await world.policy("1301", keep_fen=200_000)

    found = await diagnosis(world)

    assert (found["possible"], found["reason"]) == (False, "payer_balance_zero")
    assert "须保留2,000.00元" in seen(found, "has_usable_balance")["rule"]


async def test_a_payer_who_has_not_bound_hears_what_else_is_in_the_way(world: World) -> None:
    """A counter clerk sees before binding that it would not help."""
    world.start_worker()
    await never_bound(world)
    await world.person("PAYER", insurance="resident")

    found = await diagnosis(world)

    assert [check for check, _ in failed(found)][:2] == ["bound", "payer_eligible"]
    assert found["reason"] == "no_binding"


async def test_an_unknown_payer_is_said_to_be_unknown(world: World) -> None:
    """To a clerk, who may have mistyped it."""
    world.start_worker()
    await world.family()

    await world.person("CHILD")
    await world.credit("CHILD", 5_000)

    found = await diagnosis(world, payer_id="NOBODY")
    covered = await diagnosis(world, payer_id="NOBODY", amount_fen=5_000)

    assert "查不到" in seen(found, "bound")["value"]
    assert (covered["possible"], seen(covered, "bound")) == (True, seen(found, "bound"))


# ---- languages ----


async def test_chinese_is_spoken_unless_english_is_preferred(world: World) -> None:
    """The response says which language it is in, and that this depends on the header."""
    spoken = {language: await ask(world, language=language) for language in (None, "zh-CN,en;q=0.5", "en-GB,zh;q=0.5")}

    assert [each.headers["content-language"] for each in spoken.values()] == ["zh-CN", "zh-CN", "en"]
    assert all(each.headers["vary"] == "Accept-Language" for each in spoken.values())


# ---- who may ask, and what they see ----

MONEY = ("1,234.56", "6,543.21", "7,777.77")


async def rich_family(world: World) -> None:
    """A father and a mother who pay for a child, each with an amount that is easily recognised."""
    await world.family()
    await world.person("CHILD")
    for person, fen in (("PAYER", 123_456), ("RICH", 654_321)):
        await world.person(person)
        await world.bind(person, "CHILD")
        await world.credit(person, fen)
    await world.credit("CHILD", 777_777)


@pytest.mark.parametrize(
    ("role", "person", "payer_id", "amounts", "names"),
    [
        (Role.CLERK, None, "PAYER", {"1,234.56", "6,543.21"}, {"PAYER", "RICH"}),
        (Role.OPERATOR, None, None, {"1,234.56", "6,543.21"}, {"PAYER", "RICH"}),
        (Role.MEMBER, "PAYER", "PAYER", {"1,234.56"}, {"PAYER"}),
        (Role.MEMBER, "CHILD", "PAYER", set(), {"PAYER"}),
        (Role.MEMBER, "CHILD", None, set(), {"PAYER", "RICH"}),
    ],
    ids=["clerk", "operator", "payer", "beneficiary of one", "beneficiary"],
)
async def test_each_sees_their_own_money(
    world: World, role: Role, person: str | None, payer_id: str | None, amounts: set[str], names: set[str]
) -> None:
    """The payer their balance, the beneficiary nobody's, neither the other relatives; the office both payers'."""
    world.start_worker()
    await rich_family(world)

    text = (await ask(world, role=role, as_person=person, payer_id=payer_id)).text

    assert {amount for amount in MONEY if amount in text} == amounts
    assert {name for name in ("PAYER", "RICH") if name in text} == names
    assert "三丰" not in text
    assert "199003" not in text


async def test_a_beneficiary_reads_of_a_balance_only_whether_there_is_any(world: World) -> None:
    """Nothing, or something."""
    world.start_worker()
    await world.family("PAYER", fen=5_000)

    found = await diagnosis(world, role=Role.MEMBER, as_person="CHILD")

    assert seen(found, "has_usable_balance")["value"] == "有可共济余额。"
    assert seen(found, "can_pay_the_whole")["value"] == "足以付清差额。"


@pytest.mark.parametrize("person_id", ["PAYER", "CHILD"])
async def test_neither_side_may_try_amounts(world: World, person_id: str) -> None:
    """Asking again and again with another amount would tell the other's balance to the fen."""
    await balance_zero(world)
    query = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "amount_fen": 100}

    response = await world.call(Role.MEMBER, "GET", "/v1/diagnosis", person_id=person_id, params=query)

    assert (response.status_code, response.json()["reason"]) == (403, "forbidden")


async def test_a_payer_learns_nothing_of_a_stranger(world: World) -> None:
    """Not even whether they are insured; the first tie opens the checks."""
    await never_bound(world)
    await world.person("CHILD", insurance="resident", status="suspended")
    payer: dict[str, Any] = {"role": Role.MEMBER, "as_person": "PAYER"}

    before = await diagnosis(world, **payer)
    nobody = await diagnosis(world, **payer, beneficiary_id="NOBODY")
    await world.person("CHILD", insurance="resident")
    await world.bind("PAYER", "CHILD")
    await world.person("CHILD", insurance="resident", status="suspended")
    after = await diagnosis(world, **payer)

    assert [check["check"] for check in before["checks"]] == ["bound"]
    assert {**before, "beneficiary_id": None} == {**nobody, "beneficiary_id": None}
    assert after["reason"] == "person_not_insured"


async def test_a_beneficiary_learns_nothing_of_somebody_who_has_not_bound_them(world: World) -> None:
    """Not even whether there is such a person."""
    world.start_worker()
    await never_bound(world)
    await world.credit("PAYER", 1_000)
    child: dict[str, Any] = {"role": Role.MEMBER, "as_person": "CHILD"}

    somebody = await diagnosis(world, **child)
    nobody = await diagnosis(world, **child, payer_id="NOBODY")

    assert {**somebody, "payer_id": None, "checks": []} == {**nobody, "payer_id": None, "checks": []}
    assert [{**check, "payer_id": None} for check in somebody["checks"]] == [
        {**check, "payer_id": None} for check in nobody["checks"]
    ]
    assert somebody["checks"][-1]["check"] == "bound"


@pytest.mark.parametrize(
    ("role", "person", "asked"),
    [
        (Role.FEED, None, {}),
        (Role.MEMBER, "STRANGER", {}),
        (Role.MEMBER, "STRANGER", {"payer_id": None}),
        (Role.MEMBER, "PAYER", {"payer_id": None}),
        (Role.MEMBER, "PAYER", {"payer_id": "RICH"}),
        (Role.MEMBER, "PAYER", {"amount_fen": 1_000}),
    ],
    ids=["the feed", "a stranger", "a stranger to all", "a payer on all", "a payer on another", "a payer with a bill"],
)
async def test_what_is_not_ones_affair_is_forbidden(
    world: World, role: Role, person: str | None, asked: dict[str, Any]
) -> None:
    """A bill's amount would tell a payer, by trying, what the beneficiary has."""
    response = await ask(world, role=role, as_person=person, **asked)

    assert (response.status_code, response.json()["reason"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"amount_fen": 0}, "invalid"),
        ({"amount_fen": 10**11 + 1}, "invalid"),
        ({"expense_type": "holiday"}, "invalid"),
        ({"beneficiary_id": "no such\x00id"}, "invalid"),
        ({"payer_id": "CHILD"}, "self_binding"),
    ],
    ids=["no amount", "too much", "unknown expense", "no id", "oneself"],
)
async def test_a_question_that_is_wrong_in_itself(world: World, asked: dict[str, Any], reason: str) -> None:
    response = await ask(world, **asked)

    assert (response.status_code, response.json()["reason"]) == (422, reason)
