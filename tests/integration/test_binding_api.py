"""The binding service over HTTP: bindings, refusals with every reason, idempotency, personal data at rest."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.binding.registry import SQL
from shared.domain.roles import Role
from shared.domain.times import shanghai_date, system_clock
from tests.support.world import World

ID_NUMBER = "130102199003071234"


def today() -> date:
    return shanghai_date(datetime.now(UTC))


async def refusal(world: World, **body: Any) -> tuple[int, list[str]]:
    """The status and every reason of a binding that is not made."""
    asked = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son", **body}
    response = await world.call(Role.CLERK, "POST", "/v1/bindings", asked)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["reason"] == problem["reasons"][0]
    return response.status_code, problem["reasons"]


async def pair(world: World, payer: dict[str, Any] | None = None, beneficiary: dict[str, Any] | None = None) -> None:
    await world.person("PAYER", **(payer or {}))
    await world.person("CHILD", **{"insurance": "resident", **(beneficiary or {})})


async def test_a_binding_comes_back_whole(world: World) -> None:
    """201, with its id and the days it is valid."""
    await pair(world)

    response = await world.call(
        Role.CLERK,
        "POST",
        "/v1/bindings",
        {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son", "annual_limit_fen": 5_000},
    )

    made = response.json()
    assert response.status_code == 201
    assert made["binding_id"].startswith("13-")
    assert (made["valid_from"], made["valid_until"]) == (today().isoformat(), None)
    assert (made["annual_limit_fen"], made["wallet"], made["ended_at"]) == (5_000, False, None)


async def test_the_payers_region_says_which_relations(world: World) -> None:
    """Brothers may share in Hebei, and may not where the region allows parents, spouse and children alone."""
    await pair(world, {"region_code": "440100"}, {"region_code": "440100"})

    assert await refusal(world, relation="brother") == (409, ["relation_not_allowed"])
    assert await world.bind("PAYER", "CHILD", "spouse")


async def test_another_province_is_within_reach_of_the_wallet_alone(world: World) -> None:
    """A binding across provinces is for transfers."""
    await pair(world, {"region_code": "120100"})

    assert await refusal(world) == (409, ["region_not_connected"])
    assert (await world.bind("PAYER", "CHILD", wallet=True)).startswith("12-")


async def test_the_same_two_are_bound_once(world: World) -> None:
    """A second binding is refused while the first is in force, and made after its end."""
    await pair(world)
    first = await world.bind("PAYER", "CHILD")
    assert await refusal(world) == (409, ["already_bound"])

    ended = await world.call(Role.CLERK, "POST", f"/v1/bindings/{first}/end")

    assert (ended.status_code, ended.json()["valid_until"]) == (200, today().isoformat())
    assert await world.bind("PAYER", "CHILD") != first


async def test_limits_come_from_the_policies(world: World) -> None:
    """Members per payer and per relation from the payer's region, payers per beneficiary from the beneficiary's."""
    await world.policy(
        "1301", scope="province", members_max=3, members_max_by_relation={"children": 2}, payers_max_per_beneficiary=1
    )
    await pair(world)
    for name in ("SON", "WIFE", "MUM", "OTHER"):
        await world.person(name)
    await world.bind("PAYER", "CHILD", "son")
    await world.bind("PAYER", "SON", "son")

    third_child = await refusal(world, beneficiary_id="OTHER", relation="daughter")
    second_payer = await refusal(world, payer_id="OTHER")
    await world.bind("PAYER", "WIFE", "spouse")
    fourth_member = await refusal(world, beneficiary_id="MUM", relation="mother")

    assert third_child == (409, ["relation_limit_reached"])
    assert second_payer == (409, ["payer_limit_reached"])
    assert fourth_member == (409, ["member_limit_reached"])


async def test_clerks_at_once_cannot_exceed_a_limit(world: World) -> None:
    """Twenty concurrent binds by one payer with room for eight make eight."""
    await world.person("PAYER")
    for number in range(20):
        await world.person(f"CHILD-{number}", insurance="resident")

    responses = await asyncio.gather(
        *(
            world.call(
                Role.CLERK,
                "POST",
                "/v1/bindings",
                {"payer_id": "PAYER", "beneficiary_id": f"CHILD-{number}", "relation": "son"},
            )
            for number in range(20)
        )
    )

    assert sorted(response.status_code for response in responses) == [201] * 8 + [409] * 12
    assert await world.count("registry.bindings") == 8


async def test_clerks_at_once_cannot_exceed_a_beneficiarys_limit(world: World) -> None:
    """Ten payers at once for somebody who may have one."""
    await world.policy("1301", payers_max_per_beneficiary=1)
    await world.person("CHILD", insurance="resident")
    for number in range(10):
        await world.person(f"PAYER-{number}")

    responses = await asyncio.gather(
        *(
            world.call(
                Role.CLERK,
                "POST",
                "/v1/bindings",
                {"payer_id": f"PAYER-{number}", "beneficiary_id": "CHILD", "relation": "son"},
            )
            for number in range(10)
        )
    )

    assert sorted(response.status_code for response in responses) == [201] + [409] * 9


async def test_unbinding_too_soon_is_refused(world: World) -> None:
    """Where the region says ninety days; a binding old enough is ended."""
    await world.policy("1301", unbind_after_days=90)
    await pair(world)
    await world.person("OLD", insurance="resident")
    young = await world.bind("PAYER", "CHILD")
    old = await world.bind("PAYER", "OLD", valid_from=(today() - timedelta(days=90)).isoformat())

    refused = await world.call(Role.CLERK, "POST", f"/v1/bindings/{young}/end")
    ended = await world.call(Role.CLERK, "POST", f"/v1/bindings/{old}/end")

    assert (refused.status_code, refused.json()["reasons"]) == (409, ["bound_too_recently"])
    assert ended.status_code == 200


async def test_an_end_lies_today_at_the_earliest(world: World) -> None:
    """Yesterday is invalid, with the field named; a later day is kept as it is."""
    await pair(world)
    binding = await world.bind("PAYER", "CHILD")
    yesterday, next_week = (today() - timedelta(days=1)).isoformat(), (today() + timedelta(days=7)).isoformat()

    refused = await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding}/end", {"end_date": yesterday})
    ended = await world.call(Role.CLERK, "POST", f"/v1/bindings/{binding}/end", {"end_date": next_week})

    assert (refused.status_code, refused.json()["reason"]) == (422, "invalid")
    assert refused.json()["fields"][0]["field"] == "end_date"
    assert ended.json()["valid_until"] == next_week


async def test_lists_are_paged_and_keep_what_is_over(world: World) -> None:
    """Every binding once, in the order in which they were made, the ended one included."""
    await world.person("PAYER")
    made = []
    for number in range(5):
        await world.person(f"CHILD-{number}", insurance="resident")
        made.append(await world.bind("PAYER", f"CHILD-{number}"))
    await world.call(Role.CLERK, "POST", f"/v1/bindings/{made[1]}/end")

    seen, cursor = [], ""
    while cursor is not None:
        page = await world.call(
            Role.CLERK, "GET", f"/v1/bindings?payer_id=PAYER&limit=2{cursor and f'&cursor={cursor}'}"
        )
        seen += [each["binding_id"] for each in page.json()["items"]]
        cursor = page.json()["next"]

    assert seen == made


async def test_a_repeated_post_with_its_key_is_done_once(world: World) -> None:
    """The same Idempotency-Key and content: the same answer. Other content: refused."""
    await pair(world)
    body = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son"}
    key = {"Idempotency-Key": "counter-7-0001"}

    responses = await asyncio.gather(
        *(world.call(Role.CLERK, "POST", "/v1/bindings", body, headers=key) for _ in range(5))
    )
    other = await world.call(Role.CLERK, "POST", "/v1/bindings", {**body, "relation": "daughter"}, headers=key)

    assert {response.status_code for response in responses} == {201}
    assert len({response.json()["binding_id"] for response in responses}) == 1
    assert (other.status_code, other.json()["reason"]) == (409, "request_conflict")


async def test_an_answer_is_kept_while_somebody_else_forgets_old_ones(world: World) -> None:
    """Whoever forgets them may wait for a province's authority; nobody waits for whoever does, with an authority of their own perhaps."""
    await pair(world)
    await world.db.execute(
        """INSERT INTO registry.idempotency_keys (subject, key, content, status, body, kept_at)
        VALUES ('clerk:li', 'of last month', '', 201, '{}', now() - interval '30 days')"""
    )
    elsewhere = await asyncpg.connect(world.database_url)
    body = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son"}

    async with elsewhere.transaction():
        now = system_clock()
        await elsewhere.execute(SQL["remember_answer"], "clerk:wu", "k", b"", 201, "{}", now, now)
        made = await world.call(Role.CLERK, "POST", "/v1/bindings", body, headers={"Idempotency-Key": "k"})
    left = await elsewhere.fetch("SELECT subject, key FROM registry.idempotency_keys ORDER BY subject")
    await elsewhere.close()

    assert made.status_code == 201
    assert "of last month" not in {row["key"] for row in left}
    assert len(left) == 2


async def test_personal_data_is_sealed_at_rest_and_masked_in_answers(world: World) -> None:
    """No column holds a name or an ID number in the clear, and no answer shows one whole."""
    await world.person("PAYER", name="欧阳修文", id_number=ID_NUMBER)

    shown = (await world.call(Role.CLERK, "GET", "/v1/persons/PAYER")).json()
    row = await world.db.fetchrow("SELECT * FROM registry.persons")
    twin = await _index_of(world, "TWIN", ID_NUMBER)
    stranger = await _index_of(world, "STRANGER", "130102199003071235")

    assert (shown["name"], shown["id_number"]) == ("欧***", "130***********1234")
    assert row is not None
    assert all("欧阳" not in str(value) and ID_NUMBER not in str(value) for value in row.values())
    assert "欧阳".encode() not in bytes(row["name_sealed"])
    assert ID_NUMBER.encode() not in bytes(row["id_number_sealed"])
    assert (row["id_number_index"] == twin, row["id_number_index"] == stranger) == (True, False)


async def test_the_feed_moves_a_person_to_another_province(world: World) -> None:
    """They are insured where the feed says last; a freeze is not the feed's affair."""
    await world.person("MOVER", region_code="130100")
    (await world.call(Role.OPERATOR, "POST", "/v1/accounts/MOVER/freeze")).raise_for_status()
    await world.person("MOVER", region_code="130600")
    frozen = (await world.call(Role.CLERK, "GET", "/v1/persons/MOVER")).json()

    await world.person("MOVER", region_code="330100")
    shown = (await world.call(Role.CLERK, "GET", "/v1/persons/MOVER")).json()

    assert (frozen["region_code"], frozen["account_frozen"]) == ("130600", True)
    assert shown["region_code"] == "330100"
    assert await world.db.fetchval("SELECT moved_to FROM registry.persons WHERE province = 13") == "330100"


async def test_kinship_links_are_made_listed_and_ended(world: World) -> None:
    """They stand apart from bindings; the same link again is the same link."""
    await pair(world)
    body = {"holder_id": "PAYER", "shown_id": "CHILD"}

    made = await world.call(Role.CLERK, "POST", "/v1/kinship-links", body)
    again = await world.call(Role.CLERK, "POST", "/v1/kinship-links", body)
    listed = await world.call(Role.CLERK, "GET", "/v1/kinship-links?shown_id=CHILD")
    ended = await world.call(Role.CLERK, "DELETE", f"/v1/kinship-links/{made.json()['kinship_link_id']}")
    after = await world.call(Role.CLERK, "GET", "/v1/kinship-links?holder_id=PAYER")

    assert made.status_code == 201
    assert again.json() == made.json()
    assert [each["kinship_link_id"] for each in listed.json()["items"]] == [made.json()["kinship_link_id"]]
    assert (ended.status_code, after.json()["items"]) == (204, [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("relation", "cousin"),
        ("payer_id", "有空格 "),
        ("valid_from", "2026-02-30"),
        ("valid_from", 1),
        ("annual_limit_fen", 0),
        ("annual_limit_fen", "5"),
        ("wallet", "yes"),
    ],
)
async def test_an_invalid_body_names_the_field_and_repeats_no_value(world: World, field: str, value: object) -> None:
    """422 with what each field should be."""
    body = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son", field: value}

    response = await world.call(Role.CLERK, "POST", "/v1/bindings", body)

    problem = response.json()
    assert (response.status_code, problem["reason"]) == (422, "invalid")
    assert [each["field"] for each in problem["fields"]] == [field]
    assert "有空格" not in response.text


async def test_of_somebody_called_policy_nothing_is_repeated_either(world: World) -> None:
    """A policy's own values are told back, and their path ends as this one does."""
    person = {"name": "李大山", "id_number": "130102198001010011!", "insured_region": 7}

    response = await world.call(Role.OPERATOR, "PUT", "/v1/persons/policy", person)

    assert (response.status_code, response.json()["reason"]) == (422, "invalid")
    assert "李大山" not in response.text
    assert "130102198001010011" not in response.text


async def test_a_policy_is_versioned_and_checked(world: World) -> None:
    """Each put is a new version; an unknown field or relation is a clear problem."""
    first = await world.call(
        Role.OPERATOR, "PUT", "/v1/regions/1301/policy", {"effective_from": "2026-01-01", "members_max": 2}
    )
    second = await world.call(
        Role.OPERATOR, "PUT", "/v1/regions/1301/policy", {"effective_from": "2026-06-01", "members_max": 3}
    )
    unknown = await world.call(
        Role.OPERATOR,
        "PUT",
        "/v1/regions/1301/policy",
        {"effective_from": "2026-01-01", "relations": ["cousin"], "colour": "red"},
    )

    assert [first.json()["version"], second.json()["version"]] == [1, 2]
    assert unknown.status_code == 422
    assert {each["field"] for each in unknown.json()["fields"]} == {"relations.0", "colour"}


async def _index_of(world: World, person_id: str, id_number: str) -> bytes:
    await world.person(person_id, id_number=id_number)
    query = "SELECT id_number_index FROM registry.persons WHERE person_id = $1"
    index: bytes = await world.db.fetchval(query, person_id)
    return index


async def test_a_policy_without_a_date_is_effective_today(world: World) -> None:
    """And the shipped default's values stand where nothing is said."""
    response = await world.call(Role.OPERATOR, "PUT", "/v1/regions/44/policy", {"scope": "province"})

    put = response.json()
    assert response.status_code == 200
    assert (put["effective_from"], put["scope"], put["members_max"]) == (today().isoformat(), "province", 8)


async def test_a_wrong_method_is_told_the_right_ones(world: World) -> None:
    """405 with its own reason; `Allow` names every method of the path, whichever of its routes comes first."""
    person = await world.call(Role.CLERK, "POST", "/v1/persons/SOMEBODY")
    probe = await world.call(None, "POST", "/healthz")

    assert (person.status_code, person.json()["reason"], person.headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, PUT",
    )
    assert (probe.status_code, probe.json()["reason"]) == (405, "method_not_allowed")
    assert "GET" in probe.headers["allow"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("members_max", "8"),
        ("keep_fen", True),
        ("effective_from", 1_700_000_000),
        ("effective_from", "2026-01-01T00:00:00"),
        ("wallet", {"closed_from": "22:00:00Z"}),
        ("wallet", {"closed_from": 79_200}),
    ],
)
async def test_a_policy_is_taken_as_it_is_written(world: World, field: str, value: object) -> None:
    """Nothing is guessed from another type; a time of day has no offset of its own."""
    response = await world.call(Role.OPERATOR, "PUT", "/v1/regions/1301/policy", {field: value})

    assert response.status_code == 422
    assert response.json()["fields"][0]["field"].startswith(field)


async def test_what_is_not_there_is_not_found(world: World) -> None:
    """A person, an account, a binding, a link; a list of nobody's bindings is empty."""
    nobody = await world.call(Role.CLERK, "GET", "/v1/persons/NOBODY")
    account = await world.call(Role.OPERATOR, "POST", "/v1/accounts/NOBODY/freeze")
    binding = await world.call(Role.CLERK, "POST", f"/v1/bindings/13-{'0' * 32}/end")
    link = await world.call(Role.CLERK, "POST", "/v1/kinship-links", {"holder_id": "NOBODY", "shown_id": "NEITHER"})
    listed = await world.call(Role.CLERK, "GET", "/v1/bindings?payer_id=NOBODY")

    assert [(each.status_code, each.json()["reason"]) for each in (nobody, account, binding, link)] == [
        (404, "not_found")
    ] * 4
    assert (listed.status_code, listed.json()) == (200, {"items": [], "next": None})
