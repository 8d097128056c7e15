"""Policies that cannot be put: over HTTP and by `gongji policy check`, with the field that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.policy import check
from cli.policy_files import read_policies
from shared.domain.roles import Role
from tests.support.world import World

# What is put, and the field that is named.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"kept_fen": 1}, "kept_fen"),
    "an unknown field of the wallet": ({"wallet": {"per_week": 3}}, "wallet.per_week"),
    "an unknown relation": ({"relations": ["spouse", "cousin"]}, "relations"),
    "an unknown scope": ({"scope": "county"}, "scope"),
    "unknown funds": ({"funds": "this_year"}, "funds"),
    "an unknown expense": ({"shared_expense_types": ["travel"]}, "shared_expense_types"),
    "public health": ({"shared_expense_types": ["outpatient", "public_health"]}, "shared_expense_types"),
    "fitness": ({"shared_expense_types": ["fitness"]}, "shared_expense_types"),
    "wellness": ({"shared_expense_types": ["wellness"]}, "shared_expense_types"),
    "a limit for nobody": ({"members_max_by_relation": {"cousin": 1}}, "members_max_by_relation"),
    "a negative limit for somebody": ({"members_max_by_relation": {"son": -1}}, "members_max_by_relation.son"),
    "a limit for whom the region does not allow": (
        {"relations": ["spouse"], "members_max_by_relation": {"son": 3}},
        "members_max_by_relation",
    ),
    "a limit for a group of whom the region allows nobody": (
        {"relations": ["spouse", "father"], "members_max_by_relation": {"parents": 1, "children": 3}},
        "members_max_by_relation",
    ),
    "a limit above the whole": (
        {"members_max": 2, "members_max_by_relation": {"children": 3}},
        "members_max_by_relation",
    ),
    "a limit above the default's whole": ({"members_max_by_relation": {"children": 9}}, "members_max_by_relation"),
    "a limit above its group's": ({"members_max_by_relation": {"children": 1, "son": 3}}, "members_max_by_relation"),
    "negative members": ({"members_max": -1}, "members_max"),
    "negative payers": ({"payers_max_per_beneficiary": -1}, "payers_max_per_beneficiary"),
    "a negative keep": ({"keep_fen": -1}, "keep_fen"),
    "a negative limit": ({"annual_limit_fen": -1}, "annual_limit_fen"),
    "negative days": ({"unbind_after_days": -1}, "unbind_after_days"),
    "a negative transfer": ({"wallet": {"per_transfer_fen": -1}}, "wallet.per_transfer_fen"),
    "negative transfers": ({"wallet": {"per_day": -1}}, "wallet.per_day"),
    "no such day": ({"effective_from": "2026-02-30"}, "effective_from"),
    "a day in words": ({"effective_from": "tomorrow"}, "effective_from"),
    "no such time": ({"wallet": {"accept_by": "24:00"}}, "wallet.accept_by"),
}


@pytest.mark.parametrize(("fields", "named"), WRONG.values(), ids=WRONG)
async def test_a_wrong_policy_is_refused_by_the_name_of_its_field(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], named: str
) -> None:
    """422 over HTTP, nothing kept; the command says the same field of the same file."""
    said = {"effective_from": "2026-01-01", **fields}
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps({"1301": said}), encoding="utf-8")

    response = await world.call(Role.OPERATOR, "PUT", "/v1/regions/1301/policy", said)
    with pytest.raises(typer.Exit):
        check(file)

    assert (response.status_code, response.json()["reason"]) == (422, "invalid")
    assert [_without_place(each["field"]) for each in response.json()["fields"]] == [named]
    assert f"policy.yaml: 1301.{named}" in capsys.readouterr().err
    assert await world.count("registry.region_policies") == 0


# Unusual, but each can be kept to: what closes something is not wrong.
CLOSING: dict[str, dict[str, Any]] = {
    "nobody": {"relations": []},
    "none of whom the region does not allow": {"relations": ["spouse"], "members_max_by_relation": {"children": 0}},
    "a limit that is the whole": {"members_max": 2, "members_max_by_relation": {"children": 2}},
    "no limit of the whole": {"members_max": None, "members_max_by_relation": {"children": 20}},
    "no expense": {"shared_expense_types": []},
    "no money": {"annual_limit_fen": 0},
    "no transfer": {"wallet": {"per_day": 0, "per_transfer_fen": 200_000}},
    "never closed": {"wallet": {"closed_from": "06:00", "closed_until": "06:00"}},
}


@pytest.mark.parametrize("fields", CLOSING.values(), ids=CLOSING)
async def test_a_policy_that_closes_something_can_be_put(world: World, tmp_path: Path, fields: dict[str, Any]) -> None:
    """Over HTTP and by the command alike."""
    said = {"effective_from": "2026-01-01", **fields}
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps({"1301": said}), encoding="utf-8")

    response = await world.call(Role.OPERATOR, "PUT", "/v1/regions/1301/policy", said)

    assert response.status_code == 200
    assert list(read_policies(file)) == ["1301"]


async def test_a_policy_that_stands_is_read_though_it_could_no_longer_be_put(world: World) -> None:
    """What has become stricter since does not stop those who are settled under it."""
    await world.policy("1301", relations=["spouse"])
    await world.db.execute(
        """UPDATE registry.region_policies SET policy = policy || '{"members_max_by_relation": {"children": 99}}'"""
    )
    await world.person("PAYER")
    await world.person("CHILD", insurance="resident")

    assert await world.bind("PAYER", "CHILD", "spouse")


async def test_an_unknown_field_of_any_other_body_is_not_named_but_the_known_ones_are(world: World) -> None:
    """A made-up name may itself be personal."""
    response = await world.call(Role.CLERK, "POST", "/v1/kinship-links", {"holder_id": "A", "张三丰": 1})

    assert response.json()["fields"] == [
        {"field": "shown_id", "problem": "Field required"},
        {"field": "(unknown field)", "problem": "no such field; fields are holder_id, shown_id"},
    ]


async def test_of_a_body_that_is_wrong_in_thousands_of_places_some_are_told(world: World) -> None:
    """The answer is no longer than what was sent."""
    response = await world.call(Role.CLERK, "POST", "/v1/kinship-links", {f"f{number}": 1 for number in range(5_000)})

    *fields, rest = response.json()["fields"]
    assert response.status_code == 422
    assert len(fields) == 200
    assert rest == {"field": "body", "problem": "4802 more things in it are wrong"}


async def test_a_policy_comes_back_in_one_order(world: World) -> None:
    """However it was put."""
    said = {"relations": ["daughter", "spouse", "father"], "shared_expense_types": ["pharmacy", "outpatient"]}

    put = (await world.call(Role.OPERATOR, "PUT", "/v1/regions/1301/policy", said)).json()

    assert put["relations"] == ["spouse", "father", "daughter"]
    assert put["shared_expense_types"] == ["outpatient", "pharmacy"]


@pytest.mark.parametrize("code", ["3", "133", "13010", "1301000", "hebei", "13\n"])
async def test_a_policy_stands_under_two_four_or_six_digits(world: World, code: str) -> None:
    """Anything else is no region code."""
    response = await world.call(
        Role.OPERATOR, "PUT", f"/v1/regions/{code.replace(chr(10), '%0A')}/policy", {"effective_from": "2026-01-01"}
    )

    assert (response.status_code, [each["field"] for each in response.json()["fields"]]) == (422, ["region_code"])


def _without_place(field: str) -> str:
    """relations.1 -> relations: which of them it is does not matter here."""
    head, _, last = field.rpartition(".")
    return head if last.isdigit() else field


async def test_a_wrong_value_is_said_over_http(world: World) -> None:
    """A policy has nothing that is anybody's own; a body that is no JSON is told from a field."""
    wrong = await world.call(Role.OPERATOR, "PUT", "/v1/regions/33/policy", {"scope": "county", "keep_fen": -1})
    broken = await world.http.put(
        "/v1/regions/33/policy",
        content=b'{"scope": ',
        headers={"Authorization": f"Bearer {world.token(Role.OPERATOR)}", "Content-Type": "application/json"},
    )

    assert [(each["field"], each["problem"].partition(", not ")[2]) for each in wrong.json()["fields"]] == [
        ("scope", "county"),
        ("keep_fen", "-1"),
    ]
    assert broken.json()["fields"] == [{"field": "body", "problem": "is not JSON at character 10"}]
