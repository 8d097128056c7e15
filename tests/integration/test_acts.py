"""What clerks and operators do for others is written down, and what people do for themselves is not."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from cli.acts import acts
from services.binding.api import reconciliations
from services.binding.model import Action
from shared.domain.roles import Role
from tests.support.world import World

PERSON = {"name": "某人", "id_number": "130102199003071234", "region_code": "130100", "insurance": "employee"}
INSTITUTION = {"name": "机构", "kind": "hospital", "region_code": "130100"}
BINDING = {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son"}
LINK = {"holder_id": "PAYER", "shown_id": "CHILD"}
DIAGNOSIS = "/v1/diagnosis?payer_id=PAYER&beneficiary_id=CHILD"
DAY = "/v1/reconciliations?institution_id=H1&insured_region=130100&date=2026-11-22"
FILE = "request_id,account_fen,mutual_aid_fen\nREQ-1,1,0\n"
RECONCILIATION = "/v1/reconciliations/{day}"
CSV = {"Content-Type": "text/csv"}
BOTH, PAYER = ["PAYER", "CHILD"], ["PAYER"]

# Who, method, path, body; then the action, the people and the thing that are written down. {made}: the answer's own id.
ACTS: dict[str, tuple[Role, str, str, Any, tuple[str, list[str], str | None]]] = {
    "bind": (Role.CLERK, "POST", "/v1/bindings", BINDING, ("bind", BOTH, "{made}")),
    "end": (Role.CLERK, "POST", "/v1/bindings/{binding}/end", None, ("end", BOTH, "{binding}")),
    "link": (Role.CLERK, "POST", "/v1/kinship-links", LINK, ("link", BOTH, "{made}")),
    "unlink": (Role.CLERK, "DELETE", "/v1/kinship-links/{link}", None, ("unlink", BOTH, "{link}")),
    "read a person": (Role.CLERK, "GET", "/v1/persons/PAYER", None, ("read_person", PAYER, None)),
    "find persons": (
        Role.CLERK,
        "POST",
        "/v1/person-searches",
        {"id_number": "130102199003071234", "region_code": "130100"},
        ("find_persons", ["CHILD", "PAYER"], None),
    ),
    "list bindings": (Role.CLERK, "GET", "/v1/bindings?payer_id=PAYER", None, ("list_bindings", PAYER, None)),
    "list links": (Role.CLERK, "GET", "/v1/kinship-links?holder_id=PAYER", None, ("list_links", PAYER, None)),
    "list payments": (Role.CLERK, "GET", "/v1/persons/PAYER/payments", None, ("list_payments", PAYER, None)),
    "list acts": (Role.CLERK, "GET", "/v1/persons/PAYER/acts", None, ("list_acts", PAYER, None)),
    "diagnose": (Role.CLERK, "GET", DIAGNOSIS, None, ("diagnose", BOTH, None)),
    "an operator diagnoses": (Role.OPERATOR, "GET", DIAGNOSIS, None, ("diagnose", BOTH, None)),
    "freeze": (Role.OPERATOR, "POST", "/v1/accounts/PAYER/freeze", None, ("freeze", PAYER, None)),
    "unfreeze": (Role.OPERATOR, "POST", "/v1/accounts/PAYER/unfreeze", None, ("unfreeze", PAYER, None)),
    "put policy": (Role.OPERATOR, "PUT", "/v1/regions/1301/policy", {}, ("put_policy", [], "1301")),
    "put institution": (Role.OPERATOR, "PUT", "/v1/institutions/H9", INSTITUTION, ("put_institution", [], "H9")),
    "reconcile a day": (Role.OPERATOR, "POST", DAY, FILE, ("reconcile", [], "{made}")),
    "list reconciliations": (
        Role.OPERATOR,
        "GET",
        "/v1/reconciliations?institution_id=H1",
        None,
        ("list_reconciliations", [], "H1"),
    ),
    "read a reconciliation": (Role.OPERATOR, "GET", RECONCILIATION, None, ("read_reconciliation", [], "{day}")),
    "list differences": (
        Role.OPERATOR,
        "GET",
        f"{RECONCILIATION}/differences",
        None,
        ("list_differences", [], "{day}"),
    ),
    "download differences": (
        Role.OPERATOR,
        "GET",
        f"{RECONCILIATION}/differences.csv",
        None,
        ("download_differences", [], "{day}"),
    ),
}
UNRECORDED: dict[str, tuple[Role, str, str, Any]] = {
    "a member binds": (Role.MEMBER, "POST", "/v1/bindings", BINDING),
    "a member ends": (Role.MEMBER, "POST", "/v1/bindings/{binding}/end", None),
    "a member links": (Role.MEMBER, "POST", "/v1/kinship-links", LINK),
    "a member unlinks": (Role.MEMBER, "DELETE", "/v1/kinship-links/{link}", None),
    "a member reads": (Role.MEMBER, "GET", "/v1/persons/PAYER", None),
    "a member lists bindings": (Role.MEMBER, "GET", "/v1/bindings?payer_id=PAYER", None),
    "a member lists links": (Role.MEMBER, "GET", "/v1/kinship-links?holder_id=PAYER", None),
    "a member lists payments": (Role.MEMBER, "GET", "/v1/persons/PAYER/payments", None),
    "a member lists acts": (Role.MEMBER, "GET", "/v1/persons/PAYER/acts", None),
    "a member diagnoses": (Role.MEMBER, "GET", DIAGNOSIS, None),
    "an institution reconciles": (Role.INSTITUTION, "POST", DAY, FILE),
    "an institution reads": (Role.INSTITUTION, "GET", f"{RECONCILIATION}/differences.csv", None),
    "the feed speaks": (Role.FEED, "PUT", "/v1/persons/PAYER", PERSON),
}


def test_every_action_is_among_them() -> None:
    """None is written down that nobody has looked at; to explain takes a decision, in test_decisions.py."""
    assert {expected[0] for *_, expected in ACTS.values()} == set(Action) - {Action.EXPLAIN}


@pytest.mark.parametrize(("role", "method", "path", "body", "expected"), ACTS.values(), ids=ACTS)
async def test_an_act_is_written_down_once(
    world: World, role: Role, method: str, path: str, body: Any, expected: tuple[str, list[str], str | None]
) -> None:
    """Who, as what, did what, for whom, to which thing, and when."""
    names = await _scene(world, path)
    response = await world.call(role, method, path.format(**names), body, headers=CSV if body is FILE else {})
    acts = await _acts(world, names)

    response.raise_for_status()
    made = response.json() if response.content and not path.endswith(".csv") else {}
    names["made"] = made.get("binding_id") or made.get("kinship_link_id") or made.get("reconciliation_id") or ""
    action, person_ids, thing = expected
    assert [(act["subject"], act["role"], act["action"], act["person_ids"], act["thing_id"]) for act in acts] == [
        (f"{role}:local-{role}", role, action, person_ids, thing and thing.format(**names))
    ]
    assert acts[0]["at"]


@pytest.mark.parametrize(("role", "method", "path", "body"), UNRECORDED.values(), ids=UNRECORDED)
async def test_what_people_do_for_themselves_is_not(
    world: World, role: Role, method: str, path: str, body: Any
) -> None:
    """Nor what the feed says."""
    names = await _scene(world, path)

    who = {"institution_id": "H1"} if role is Role.INSTITUTION else {"person_id": "PAYER"}
    response = await world.call(role, method, path.format(**names), body, **who, headers=CSV if body is FILE else {})

    response.raise_for_status()
    assert await _acts(world, names) == []


async def test_a_refused_act_is_written_down_without_a_thing(world: World) -> None:
    """A clerk was let through and learnt something of two people, though nothing was made."""
    await world.person("PAYER")
    response = await world.call(Role.CLERK, "POST", "/v1/bindings", BINDING)

    acts = await _acts(world)
    assert response.status_code == 409
    assert [(act["action"], act["person_ids"], act["thing_id"]) for act in acts] == [("bind", BOTH, None)]


NO_ID = "13-" + "0" * 32
# Who, method, path, body; then why not, the action, and the thing that is written down of what was not there or not taken.
IN_VAIN: dict[str, tuple[Role, str, str, Any, str, tuple[str, str | None]]] = {
    "end": (Role.CLERK, "POST", f"/v1/bindings/{NO_ID}/end", None, "not_found", ("end", NO_ID)),
    "end, a word": (Role.CLERK, "POST", "/v1/bindings/Zhang/end", None, "not_found", ("end", None)),
    "end, a link": (Role.CLERK, "POST", "/v1/bindings/{link}/end", None, "not_found", ("end", "{link}")),
    "unlink": (Role.CLERK, "DELETE", f"/v1/kinship-links/{NO_ID}", None, "not_found", ("unlink", NO_ID)),
    "unlink, a word": (Role.CLERK, "DELETE", "/v1/kinship-links/Zhang", None, "not_found", ("unlink", None)),
    "unlink, a binding": (
        Role.CLERK,
        "DELETE",
        "/v1/kinship-links/{binding}",
        None,
        "not_found",
        ("unlink", "{binding}"),
    ),
    "a day of nobody": (
        Role.OPERATOR,
        "POST",
        DAY.replace("H1", "H7"),
        FILE,
        "institution_unknown",
        ("reconcile", "H7"),
    ),
    "a wrong file": (Role.OPERATOR, "POST", DAY, FILE.replace("1,0", "1,-1"), "invalid", ("reconcile", "H1")),
    "a line twice": (Role.OPERATOR, "POST", DAY, FILE + "REQ-1,1,0\n", "invalid", ("reconcile", "H1")),
    "read a reconciliation": (
        Role.OPERATOR,
        "GET",
        f"/v1/reconciliations/{NO_ID}",
        None,
        "not_found",
        ("read_reconciliation", NO_ID),
    ),
    "list differences": (
        Role.OPERATOR,
        "GET",
        f"/v1/reconciliations/{NO_ID}/differences",
        None,
        "not_found",
        ("list_differences", NO_ID),
    ),
    "download differences": (
        Role.OPERATOR,
        "GET",
        "/v1/reconciliations/Zhang/differences.csv",
        None,
        "not_found",
        ("download_differences", None),
    ),
}


@pytest.mark.parametrize(("role", "method", "path", "body", "reason", "expected"), IN_VAIN.values(), ids=IN_VAIN)
async def test_an_act_in_vain_is_written_down_too(
    world: World, role: Role, method: str, path: str, body: Any, reason: str, expected: tuple[str, str | None]
) -> None:
    """They were let through, and learnt that there is no such thing, or what is wrong with a file; what is no id is not written down."""
    names = await _scene(world, path)

    response = await world.call(role, method, path.format(**names), body, headers=CSV if body else {})
    acts = await _acts(world, names)

    action, thing = expected
    assert response.json()["reason"] == reason
    assert [(act["subject"], act["action"], act["person_ids"], act["thing_id"]) for act in acts] == [
        (f"{role}:local-{role}", action, [], thing and thing.format(**names))
    ]


async def test_a_file_that_stops_coming_is_an_act_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the reconciliation that it has left, abandoned."""
    monkeypatch.setattr(reconciliations, "SILENCE_MAX_S", 0.1)
    names = await _scene(world, DAY)

    async def body() -> AsyncIterator[bytes]:
        yield FILE.encode()
        await asyncio.Event().wait()

    bearer = {"Authorization": f"Bearer {world.token(Role.OPERATOR)}", **CSV}
    response = await world.http.post(DAY, content=body(), headers=bearer)
    (made,) = await world.db.fetch("SELECT * FROM registry.reconciliations")

    assert (response.status_code, made["state"]) == (422, "abandoned")
    assert [(act["action"], act["thing_id"]) for act in await _acts(world, names)] == [
        ("reconcile", f"13-{made['reconciliation_id'].hex}")
    ]


async def test_who_is_not_let_through_leaves_no_act(world: World) -> None:
    """What is forbidden or invalid never reached anybody's data."""
    forbidden = await world.call(Role.OPERATOR, "GET", "/v1/persons/PAYER")
    invalid = await world.call(Role.CLERK, "POST", "/v1/bindings", {})

    assert (forbidden.status_code, invalid.status_code) == (403, 422)
    assert await _acts(world) == []


async def test_an_act_repeated_under_its_key_is_one_act(world: World) -> None:
    """The second answer is the first one told again."""
    names = await _scene(world, "")
    for _ in range(2):
        (
            await world.call(Role.CLERK, "POST", "/v1/bindings", BINDING, headers={"Idempotency-Key": "k1"})
        ).raise_for_status()

    assert [act["action"] for act in await _acts(world, names)] == ["bind"]


async def test_a_person_sees_who_looked_at_them(world: World) -> None:
    """Newest first, in pages: when, and in which role; not which clerk it was, nor whom else it was about."""
    await _scene(world, "")
    for path in ("/v1/persons/PAYER", "/v1/persons/CHILD", DIAGNOSIS, "/v1/persons/PAYER/payments"):
        await world.call(Role.CLERK, "GET", path)
    await world.call(Role.OPERATOR, "POST", "/v1/accounts/PAYER/freeze")

    first = (await world.call(Role.MEMBER, "GET", "/v1/persons/PAYER/acts?limit=3", person_id="PAYER")).json()
    rest = (
        await world.call(
            Role.MEMBER, "GET", f"/v1/persons/PAYER/acts?limit=3&cursor={first['next']}", person_id="PAYER"
        )
    ).json()

    seen = [(each["role"], each["action"]) for each in first["items"] + rest["items"]]
    assert seen == [
        ("operator", "freeze"),
        ("clerk", "list_payments"),
        ("clerk", "diagnose"),
        ("clerk", "read_person"),
    ]
    assert {name for each in first["items"] for name in each} == {"at", "role", "action"}
    assert rest["next"] is None


async def test_an_auditor_finds_who_looked_at_whom(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By person, by subject, since a day; newest first, and no more than wanted."""
    await _scene(world, "")
    for path in ("/v1/persons/PAYER", "/v1/persons/CHILD", DIAGNOSIS):
        await world.call(Role.CLERK, "GET", path)
    await world.call(Role.OPERATOR, "GET", DIAGNOSIS)
    monkeypatch.setenv("GONGJI_DATABASE_URL", world.database_url)

    async def told(**asked: Any) -> list[tuple[str, str]]:
        await asyncio.to_thread(acts, **asked, as_json=True)
        return [(act["subject"], act["action"]) for act in json.loads(capsys.readouterr().out)]

    about_child = await told(person="CHILD")
    by_clerk = await told(subject="clerk:local-clerk", limit=2)
    to_come = await told(since=datetime(2999, 1, 1))  # noqa: DTZ001 only its date counts

    clerk, operator = "clerk:local-clerk", "operator:local-operator"
    assert about_child == [(operator, "diagnose"), (clerk, "diagnose"), (clerk, "read_person")]
    assert by_clerk == [(clerk, "diagnose"), (clerk, "read_person")]
    assert to_come == []


async def _scene(world: World, path: str) -> dict[str, Any]:
    """Two people, with the binding or the link that the path is about, and the last act of those that made them."""
    await world.person("PAYER")
    await world.person("CHILD", insurance="resident")
    names: dict[str, Any] = {}
    if "{binding}" in path:
        names["binding"] = await world.bind("PAYER", "CHILD")
    if "{link}" in path:
        made = await world.call(Role.CLERK, "POST", "/v1/kinship-links", LINK)
        names["link"] = made.json()["kinship_link_id"]
    if "/reconciliations" in path:
        await world.institution("H1")
    if "{day}" in path:
        made = await world.call(Role.OPERATOR, "POST", DAY, FILE, headers=CSV)
        names["day"] = made.json()["reconciliation_id"]
    names["last_act"] = await world.db.fetchval("SELECT coalesce(max(act_id), 0) FROM registry.acts")
    return names


async def _acts(world: World, names: dict[str, Any] | None = None) -> list[Any]:
    """Those since the scene was set."""
    query = "SELECT * FROM registry.acts WHERE act_id > $1 ORDER BY act_id"
    return list(await world.db.fetch(query, names["last_act"] if names else 0))


async def test_what_was_never_an_id_is_not_written_down(world: World) -> None:
    """An ID number that a clerk gives for a person id; anything at all that an operator asks about as a decision."""
    id_number = "13010219900307123X"
    read = await world.call(Role.CLERK, "GET", f"/v1/persons/{id_number}")
    bound = await world.call(
        Role.CLERK, "POST", "/v1/bindings", {"payer_id": id_number, "beneficiary_id": "CHILD", "relation": "son"}
    )
    asked = [
        (await world.call(Role.OPERATOR, "GET", f"/v1/decisions/{word}")).status_code
        for word in ("欧阳修文", "Zhang%00San", id_number)
    ]

    acts = await world.db.fetch("SELECT action, person_ids, thing_id FROM registry.acts ORDER BY act_id")

    assert (read.status_code, bound.status_code, asked) == (404, 409, [404, 404, 404])
    assert [tuple(act.values()) for act in acts] == [
        ("read_person", ["[redacted]"], None),
        ("bind", ["[redacted]", "CHILD"], None),
        ("explain", [], None),
        ("explain", [], None),
        ("explain", [], None),
    ]
