"""Every endpoint, every role, one's own and somebody else's."""

import secrets
import time
from datetime import UTC, datetime

import jwt
import pytest

from shared.domain.ids import public_id, time_ordered_uuid
from shared.domain.roles import Role
from shared.runtime.tokens import ALGORITHM, AUDIENCE
from tests.support.world import World

PERSON = {"name": "某人", "id_number": "130102199003071234", "region_code": "130100", "insurance": "employee"}
INSTITUTION = {"name": "机构", "kind": "hospital", "region_code": "130100"}
BINDING = {"payer_id": "ME", "beneficiary_id": "OTHER", "relation": "son"}
LINK = {"holder_id": "ME", "shown_id": "OTHER"}
DAY = "/v1/reconciliations?institution_id=H1&insured_region=130100&date=2026-11-22"
FILE = "request_id,account_fen,mutual_aid_fen\nREQ-1,1,0\n"

# Method, path, body, and who may: roles; "self" is the member whose affair it is.
ENDPOINTS = {
    "put policy": ("PUT", "/v1/regions/1301/policy", {"effective_from": "2026-01-01"}, {"operator"}),
    "put institution": ("PUT", "/v1/institutions/H9", INSTITUTION, {"operator"}),
    "put person": ("PUT", "/v1/persons/ME", PERSON, {"feed"}),
    "get person": ("GET", "/v1/persons/ME", None, {"self", "clerk"}),
    "find persons": ("POST", "/v1/person-searches", {"id_number": "x" * 18, "region_code": "130100"}, {"clerk"}),
    "list acts": ("GET", "/v1/persons/ME/acts", None, {"self", "clerk"}),
    "list payments": ("GET", "/v1/persons/ME/payments", None, {"self", "clerk"}),
    "freeze": ("POST", "/v1/accounts/ME/freeze", None, {"operator"}),
    "unfreeze": ("POST", "/v1/accounts/ME/unfreeze", None, {"operator"}),
    "bind": ("POST", "/v1/bindings", BINDING, {"self", "clerk"}),
    "list as payer": ("GET", "/v1/bindings?payer_id=ME", None, {"self", "clerk"}),
    "list as beneficiary": ("GET", "/v1/bindings?beneficiary_id=ME", None, {"self", "clerk"}),
    "end": ("POST", "/v1/bindings/{binding}/end", None, {"self", "clerk"}),
    "diagnosis as beneficiary": ("GET", "/v1/diagnosis?beneficiary_id=ME", None, {"self", "clerk", "operator"}),
    "diagnosis as payer": (
        "GET",
        "/v1/diagnosis?payer_id=ME&beneficiary_id=OTHER",
        None,
        {"self", "the other side", "clerk", "operator"},
    ),
    "link": ("POST", "/v1/kinship-links", LINK, {"self", "clerk"}),
    "list links": ("GET", "/v1/kinship-links?holder_id=ME", None, {"self", "clerk"}),
    "list links shown": ("GET", "/v1/kinship-links?shown_id=ME", None, {"self", "clerk"}),
    "list transfers": ("GET", "/v1/transfers", None, {"self", "another member", "the other side"}),
    "list what one gave": ("GET", "/v1/transfers?from_person_id=ME", None, {"self"}),
    "list what one was given": ("GET", "/v1/transfers?to_person_id=ME", None, {"self"}),
    "accept": ("POST", "/v1/transfers/{transfer}/accept", None, {"self"}),
    "explain": ("GET", "/v1/decisions/{decision}", None, {"self", "operator"}),
    "unlink": ("DELETE", "/v1/kinship-links/{link}", None, {"self", "clerk"}),
    "reconcile a day": ("POST", DAY, FILE, {"operator", "the institution"}),
    "list reconciliations": (
        "GET",
        "/v1/reconciliations?institution_id=H1",
        None,
        {"operator", "the institution"},
    ),
    "get a reconciliation": ("GET", "/v1/reconciliations/{reconciliation}", None, {"operator", "the institution"}),
    "list differences": (
        "GET",
        "/v1/reconciliations/{reconciliation}/differences",
        None,
        {"operator", "the institution"},
    ),
    "download differences": (
        "GET",
        "/v1/reconciliations/{reconciliation}/differences.csv",
        None,
        {"operator", "the institution"},
    ),
}
CALLERS: dict[str, tuple[Role | None, dict[str, str]]] = {
    "self": (Role.MEMBER, {"person_id": "ME"}),
    "another member": (Role.MEMBER, {"person_id": "CHILD"}),
    "the other side": (Role.MEMBER, {"person_id": "OTHER"}),
    "clerk": (Role.CLERK, {}),
    "operator": (Role.OPERATOR, {}),
    "feed": (Role.FEED, {}),
    "the institution": (Role.INSTITUTION, {"institution_id": "H1"}),
    "another institution": (Role.INSTITUTION, {"institution_id": "H2"}),
    "nobody": (None, {}),
}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_each_role_may_do_its_own_and_no_more(world: World, endpoint: str) -> None:
    """Allowed callers get what they ask for; the others 403, and 401 without a token.

    Also refused is the other side of a binding or a link: whoever is paid for, or shown.
    """
    method, path, body, allowed = ENDPOINTS[endpoint]

    statuses = {}
    for name, (role, who) in CALLERS.items():
        await _scene(world)
        place = path.format(
            binding=await world.bind("ME", "OTHER") if "{binding}" in path else "",
            link=await _link(world) if "{link}" in path else "",
            transfer=await _transfer(world) if "{transfer}" in path else "",
            decision=await _decision(world) if "{decision}" in path else "",
            reconciliation=await _reconciliation(world) if "{reconciliation}" in path else "",
        )
        headers = {"Content-Type": "text/csv"} if isinstance(body, str) else {}
        statuses[name] = (await world.call(role, method, place, body, headers=headers, **who)).status_code

    for name, status in statuses.items():
        expected = (200, 201, 204) if name in allowed else (401,) if name == "nobody" else (403,)
        assert status in expected, (name, status)


async def test_every_route_is_in_the_table(world: World) -> None:
    """Nobody adds an endpoint without saying who may call it."""
    described = (await world.http.get("/openapi.json")).json()["paths"]
    routes = {(method.upper(), path) for path, methods in described.items() for method in methods}

    in_table = {
        (
            method,
            path.partition("?")[0]
            .replace("/regions/1301", "/regions/{region_code}")
            .replace("/institutions/H9", "/institutions/{institution_id}")
            .replace("/persons/ME", "/persons/{person_id}")
            .replace("/accounts/ME", "/accounts/{person_id}")
            .replace("{binding}", "{binding_id}")
            .replace("{link}", "{kinship_link_id}")
            .replace("{transfer}", "{transfer_id}")
            .replace("{decision}", "{decision_id}")
            .replace("{reconciliation}", "{reconciliation_id}"),
        )
        for method, path, _, _ in ENDPOINTS.values()
    }
    assert routes == in_table


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"exp": -60}, "own"),
        ({"aud": "elsewhere"}, "own"),
        ({"role": "emperor"}, "own"),
        ({"role": "member"}, "own"),
        ({"role": "institution", "person_id": "ME"}, "own"),
        ({}, "none"),
        ({}, "hmac"),
    ],
    ids=[
        "expired",
        "other audience",
        "unknown role",
        "member without a person",
        "institution without one",
        "unsigned",
        "public key as secret",
    ],
)
async def test_a_token_that_proves_nothing_is_refused(world: World, change: dict[str, object], key: str) -> None:
    """The algorithm is pinned; expiry, audience and role are checked."""
    now = int(time.time())
    claims = {"sub": "x", "role": "clerk", "aud": AUDIENCE, "iat": now, "exp": now + 600, **change}
    if claims["exp"] == -60:
        claims |= {"iat": now - 700, "exp": now - 60}
    if key == "own":
        token = jwt.encode(claims, world.private_key, ALGORITHM)
    elif key == "none":
        token = jwt.encode(claims, "", "none")
    else:
        token = jwt.encode(claims, "a secret that is long enough to be taken for one", "HS256")

    response = await world.http.get("/v1/persons/ME", headers={"Authorization": f"Bearer {token}"})

    assert (response.status_code, response.json()["reason"]) == (401, "unauthenticated")


async def _scene(world: World) -> None:
    """Everybody as they were before."""
    await world.db.execute("TRUNCATE registry.persons, registry.bindings, registry.kinship_links")
    for person_id in ("ME", "CHILD", "OTHER"):
        await world.person(person_id)
    await world.institution("H1")


async def _link(world: World) -> str:
    response = await world.call(Role.CLERK, "POST", "/v1/kinship-links", LINK)
    link_id: str = response.json()["kinship_link_id"]
    return link_id


async def _reconciliation(world: World) -> str:
    response = await world.call(Role.OPERATOR, "POST", DAY, FILE, headers={"Content-Type": "text/csv"})
    reconciliation_id: str = response.json()["reconciliation_id"]
    return reconciliation_id


async def _transfer(world: World) -> str:
    """A pending transfer to ME, as the worker would have written it."""
    row_id = time_ordered_uuid(datetime.now(UTC), secrets.token_hex(8))
    await world.db.execute(
        """
        INSERT INTO ledger.transfers (
            province, transfer_id, from_person_id, to_province, to_person_id, binding_id, current_year_fen,
            prior_years_fen, state, made_at, accept_by
        )
        VALUES (13, $1, 'OTHER', 13, 'ME', $1, 100, 0, 'pending', now(), now() + interval '1 hour')
        """,
        row_id,
    )
    return public_id(13, row_id)


async def _decision(world: World) -> str:
    """A declined bill of ME's, as the worker would have written it."""
    row_id = time_ordered_uuid(datetime.now(UTC), secrets.token_hex(8))
    await world.db.execute(
        """
        INSERT INTO ledger.decisions (
            province, decision_id, institution_id, request_id, operation, outcome, reason, moved, request, record, answer, decided_at
        )
        VALUES (13, $1, 'H1', 'R1', 'settle', 'declined', 'no_binding', false, '{"person_id": "ME"}', '{}', '{}', now())
        """,
        row_id,
    )
    return public_id(13, row_id)
