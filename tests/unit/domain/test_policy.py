"""Region policies: which one holds where and when, and which are refused. Contract: "Region policy"."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.policy import PolicyBook, PolicyVersion, RegionPolicy, UnreadablePolicy, shipped_policies
from tests.support.builders import policy

DAY = date(2026, 11, 22)


def book(*put: PolicyVersion) -> PolicyBook:
    return PolicyBook.of(put)


# ---- which one holds ----


@pytest.mark.parametrize(
    ("put", "holds"),
    [
        pytest.param(["130102", "1301", "13"], "130102", id="full code"),
        pytest.param(["1301", "13"], "1301", id="four digits"),
        pytest.param(["130100", "1301", "13"], "1301", id="another full code does not count"),
        pytest.param(["1302", "13"], "13", id="another area does not count"),
        pytest.param(["13"], "13", id="two digits"),
        pytest.param(["130102"], "130102", id="full code alone"),
        pytest.param(["1"], "13", id="one digit is no code"),
        pytest.param(["13010"], "13", id="five digits are no code"),
    ],
)
def test_region_uses_the_policy_of_its_longest_code(put: list[str], holds: str) -> None:
    """Full code, else first four digits, else first two, whatever the order in which they were put."""
    versions = [policy(code) for code in put]

    assert book(*versions).on("130102", DAY).code == holds
    assert book(*reversed(versions)).on("130102", DAY).code == holds


@pytest.mark.parametrize("region", ["650100", "990000", "000000"])
def test_region_without_any_uses_the_shipped_default(region: str) -> None:
    """The default holds wherever nothing else does, in places that are in no list too."""
    found = book(policy("13")).on(region, DAY)

    assert (found.code, found.version) == ("", 0)


def test_shipped_policies_name_hebei_as_published() -> None:
    """Hebei: within the province, eight members, the whole balance, unbinding at any time."""
    found = book().on("130100", DAY)

    assert found.code == "13"
    assert (found.policy.scope, found.policy.members_max, found.policy.funds) == ("province", 8, "all")
    assert (found.policy.keep_fen, found.policy.unbind_after_days, found.policy.annual_limit_fen) == (
        0,
        0,
        None,
    )


def test_shipped_default_is_parents_spouse_and_children_in_one_area() -> None:
    """What holds everywhere, and the nationwide wallet: three transfers a day, closed at night."""
    found = book().on("650100", DAY).policy

    assert found.scope == "pool"
    assert found.relations == {"spouse", "father", "mother", "son", "daughter"}
    assert (found.wallet.per_day, found.wallet.per_transfer_fen) == (3, 200_000)
    assert (found.wallet.closed_from.hour, found.wallet.closed_until.hour, found.wallet.accept_by.hour) == (
        22,
        6,
        6,
    )


def test_operators_policy_comes_before_the_shipped_one() -> None:
    """Even where it is in effect from an earlier day than what was shipped."""
    found = book(policy("13", effective_from="2019-01-01", keep_fen=1)).on("130100", DAY)

    assert (found.name, found.policy.keep_fen) == ("13@1", 1)


@pytest.mark.parametrize(
    ("day", "keep_fen"),
    [
        pytest.param(date(2026, 1, 1), 1, id="first"),
        pytest.param(date(2026, 6, 30), 1, id="last day of the first"),
        pytest.param(date(2026, 7, 1), 2, id="first day of the second"),
        pytest.param(date(2026, 12, 31), 2, id="last day of the second"),
        pytest.param(date(2027, 1, 1), 3, id="first day of the third"),
        pytest.param(date(2099, 1, 1), 3, id="long after"),
    ],
)
def test_latest_policy_in_effect_on_the_day_holds(day: date, keep_fen: int) -> None:
    """A policy holds from its date on, until the next one's."""
    versions = [
        policy("13", 1, effective_from="2026-01-01", keep_fen=1),
        policy("13", 3, effective_from="2027-01-01", keep_fen=3),
        policy("13", 2, effective_from="2026-07-01", keep_fen=2),
    ]

    assert book(*versions).on("130100", day).policy.keep_fen == keep_fen


def test_policy_of_the_future_leaves_the_one_of_today() -> None:
    """Until its day the shipped one, or the one of the shorter code, holds."""
    tomorrow = book(policy("13", effective_from="2026-11-23"))
    narrower = book(policy("1301", effective_from="2026-11-23"), policy("13", keep_fen=5))

    assert tomorrow.on("130100", DAY).name == "13@0"
    assert narrower.on("130100", DAY).policy.keep_fen == 5


def test_later_version_replaces_one_of_the_same_date() -> None:
    """A correction put under the same date holds."""
    versions = [policy("13", 2, keep_fen=2), policy("13", 10, keep_fen=10), policy("13", 1, keep_fen=1)]

    assert book(*versions).on("130100", DAY).policy.keep_fen == 10


def test_policy_is_named_by_code_and_version() -> None:
    """The name that an explanation shows."""
    assert (policy("1301", 4).name, book().on("650100", DAY).name) == ("1301@4", "default@0")


@pytest.mark.parametrize("version", shipped_policies(), ids=lambda version: version.name)
def test_shipped_policies_never_share_what_is_never_covered(version: PolicyVersion) -> None:
    """Public health, fitness and wellness are in no policy."""
    assert not version.policy.shared_expense_types & {"public_health", "fitness", "wellness"}


# ---- which are refused ----

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": ({"kept_fen": 1}, "kept_fen"),
    "no date": ({"effective_from": None}, "effective_from"),
    "no such date": ({"effective_from": "2026-02-30"}, "effective_from"),
    "unknown scope": ({"scope": "county"}, "scope"),
    "unknown relation": ({"relations": ["spouse", "cousin"]}, "relations"),
    "parents of the spouse": ({"relations": ["mother_in_law"]}, "relations"),
    "unknown funds": ({"funds": "this_year"}, "funds"),
    "negative keep": ({"keep_fen": -1}, "keep_fen"),
    "keep in fractions of a fen": ({"keep_fen": 0.5}, "keep_fen"),
    "negative members": ({"members_max": -1}, "members_max"),
    "negative limit": ({"annual_limit_fen": -1}, "annual_limit_fen"),
    "negative days": ({"unbind_after_days": -1}, "unbind_after_days"),
    "unknown expense": ({"shared_expense_types": ["travel"]}, "shared_expense_types"),
    "public health shared": ({"shared_expense_types": ["outpatient", "public_health"]}, "public_health"),
    "fitness shared": ({"shared_expense_types": ["fitness"]}, "fitness"),
    "wellness shared": ({"shared_expense_types": ["wellness"]}, "wellness"),
    "limit for an unknown relation": ({"members_max_by_relation": {"cousin": 1}}, "cousin"),
    "negative limit for a relation": (
        {"members_max_by_relation": {"children": -1}},
        "members_max_by_relation",
    ),
    "unknown wallet field": ({"wallet": {"per_week": 3}}, "per_week"),
    "negative transfer": ({"wallet": {"per_transfer_fen": -1}}, "per_transfer_fen"),
    "no such time": ({"wallet": {"closed_from": "25:00"}}, "closed_from"),
    "wallet is a number": ({"wallet": 3}, "wallet"),
}


@pytest.mark.parametrize(("fields", "named"), REFUSED.values(), ids=REFUSED)
def test_bad_policy_is_refused_with_what_is_wrong(fields: dict[str, Any], named: str) -> None:
    """The message names the field or the word at fault."""
    with pytest.raises(ValidationError, match=named):
        RegionPolicy.model_validate({"effective_from": "2026-01-01", **fields})


def test_policy_without_a_date_is_refused() -> None:
    """Policies are dated."""
    with pytest.raises(ValidationError, match=r"effective_from\n.*required"):
        RegionPolicy.model_validate({"scope": "province"})


def test_message_says_which_relations_are_known() -> None:
    """Who mistypes a relation is told which there are."""
    with pytest.raises(ValidationError, match=r"unknown cousin; known: .*children.*spouse"):
        RegionPolicy.model_validate({"effective_from": "2026-01-01", "members_max_by_relation": {"cousin": 1}})


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "nation"},
        {"members_max_by_relation": {"father": 1, "mother": 1, "spouse": 1, "children": 3}},
        {"payers_max_per_beneficiary": 1, "unbind_after_days": 90},
        {"funds": "prior_years", "keep_fen": 200_000},
        {"shared_expense_types": []},
        {"annual_limit_fen": 0},
        {"members_max": None, "annual_limit_fen": None},
        {
            "wallet": {
                "per_transfer_fen": 200_000,
                "per_day": 3,
                "closed_from": "22:00",
                "closed_until": "06:00",
            }
        },
    ],
    ids=ascii,
)
def test_policies_of_the_regions_seen_can_be_put(fields: dict[str, Any]) -> None:
    """Every region's differences are data; what is put is what holds, from JSON and back."""
    put = RegionPolicy.model_validate({"effective_from": "2026-01-01", **fields})

    assert RegionPolicy.model_validate_json(put.model_dump_json()) == put


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        ('{"effective_from": "2026-01-01", "of_tomorrow": 1}', "of_tomorrow"),
        ('{"effective_from": "2026-01-01", "scope": "galaxy"}', "scope"),
        ("[]", "all of it"),
    ],
    ids=ascii,
)
def test_a_stored_policy_that_is_not_understood_is_named(stored: str, what: str) -> None:
    """With its place and its field, and what to do; whoever has put it runs another release."""
    with pytest.raises(UnreadablePolicy, match=rf"version 4 of the policy of 1301 \({what}\): run the release"):
        PolicyBook.of_rows([{"code": "1301", "version": 4, "policy": stored}])
