"""The binding service does what its OpenAPI description says, whatever it is sent: generated calls to every operation.

New operations are taken in by themselves. What is generated depends on the description alone, so a failure comes again.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import orjson
import pytest
import requests
import schemathesis
import stamina
from schemathesis.checks import positive_data_acceptance
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from contracts.__main__ import openapi
from deploy.devstack.state import StackState
from services.binding.app import run
from services.binding.settings import BindingSettings
from shared.domain.roles import Role
from shared.runtime.serving import HEADERS
from shared.runtime.tokens import sign_token
from tests.conftest import clone
from tests.support.ports import free_port

CONFIG = SchemathesisConfig.from_dict(
    {"generation": {"max-examples": 40, "deterministic": True, "with-security-parameters": False}}
)
SCHEMA = schemathesis.openapi.from_dict(openapi(), config=CONFIG)

# Who is there to be found; good data about people is made to be about them.
PARENT, CHILD, HOSPITAL = "PARENT", "CHILD", "H1"
SOMEBODY = {
    "person_id": PARENT,
    "payer_id": PARENT,
    "beneficiary_id": CHILD,
    "holder_id": PARENT,
    "shown_id": CHILD,
    "institution_id": HOSPITAL,
}

# Who calls: the first of them who is let through. A member comes last: most operations know them as one person alone.
CALLERS: dict[Role, dict[str, str]] = {
    Role.CLERK: {},
    Role.OPERATOR: {},
    Role.FEED: {},
    Role.INSTITUTION: {"institution_id": HOSPITAL},
    Role.MEMBER: {"person_id": PARENT},
}

# How often somebody may call is another test's affair.
UNLIMITED = {f"{who}_calls_per_minute": 1_000_000 for who in (*Role, "address")}

# Every check is made but this: where a rule between fields, or with today, cannot be said in JSON Schema, 422 is right for
# a body that the schema takes. Each other operation must take whatever its schema takes.
MORE_THAN_THE_SCHEMA = {
    (
        "PUT",
        "/v1/regions/{region_code}/policy",
    ): "members_max_by_relation names relations; some expenses are never covered",
    ("POST", "/v1/bindings"): "valid_until is later than valid_from and today; nobody is bound to themselves",
    ("GET", "/v1/bindings"): "either payer_id or beneficiary_id",
    ("POST", "/v1/bindings/{binding_id}/end"): "end_date is today at the earliest",
    ("POST", "/v1/kinship-links"): "holder and shown are two people",
    ("GET", "/v1/kinship-links"): "either holder_id or shown_id",
    ("POST", "/v1/reconciliations"): "the day is of this millennium; the file is a day's",
    ("GET", "/v1/transfers"): "either from_person_id or to_person_id",
    ("GET", "/v1/persons/{person_id}/payments"): "to_date is not before from_date",
}


# Words of whoever wrote the service, and of what it is made of.
INSIDE = ("Traceback", "asyncpg", "pydantic", "starlette", ".py", "registry.", "SELECT ", "INSERT ")
WITH_BODY = [
    (method.upper(), path)
    for path, methods in openapi()["paths"].items()
    for method, operation in methods.items()
    if "application/json" in operation.get("requestBody", {}).get("content", {})
]
KINDS = [
    "application/json",
    "application/xml",
    "text/plain",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "x",
]


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON, names of the API's own among its keys."""
    names = st.sampled_from([*SOMEBODY, "relation", "amount_fen", "scope", "wallet", "id_number"]) | st.text(max_size=5)
    scalars = (
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20)
    )
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5), max_leaves=10
    )


@dataclass(frozen=True)
class Service:
    """A binding service as it is deployed, and a token for each role."""

    url: str
    tokens: dict[Role, str]
    session: requests.Session


@pytest.fixture(scope="module")
def service(servers: StackState, template: str, keys: dict[str, Path]) -> Iterator[Service]:
    """Started once for all operations, in a thread: the generated calls are synchronous."""
    port, loop, stop = free_port(), asyncio.new_event_loop(), asyncio.Event()
    files = {name.removeprefix("GONGJI_").lower(): path for name, path in keys.items() if "PRIVATE" not in name}
    key = keys["GONGJI_JWT_PRIVATE_KEY_FILE"].read_bytes()

    async def serve() -> None:
        async with clone(servers, template) as database:
            told = BindingSettings.model_validate(
                {"database_url": database.url, "http_port": port, **files, **UNLIMITED}
            )
            await run(told, stop)

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    with requests.Session() as session:
        tokens = {role: sign_token(key, role, **who, life_s=3_600) for role, who in CALLERS.items()}
        started = Service(f"http://127.0.0.1:{port}", tokens, session)
        _wait_for(started.url)
        for person_id in (PARENT, CHILD):
            _person(started, person_id)
        _institution(started, HOSPITAL)
        yield started
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@SCHEMA.parametrize()
def test_an_operation_does_what_its_description_says(case: schemathesis.Case[Any], service: Service) -> None:
    """A described status and body and no server error; bad data, other methods and no token refused, good data taken."""
    _be_about_somebody(case)
    for token in service.tokens.values():
        response = case.call(service.url, service.session, {"Authorization": f"Bearer {token}"})
        if response.status_code != 403:
            break

    more = (case.method, case.operation.path) in MORE_THAN_THE_SCHEMA
    case.validate_response(
        response, additional_checks=[tells_no_more], excluded_checks=[positive_data_acceptance] if more else []
    )


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
@hypothesis.given(body=st.binary(max_size=300) | json_values().map(orjson.dumps), kind=st.sampled_from(KINDS))
@hypothesis.settings(derandomize=True, max_examples=60, deadline=None)
def test_a_body_that_is_anything_is_refused(service: Service, method: str, path: str, body: bytes, kind: str) -> None:
    """Bytes that are no JSON, JSON that is no body, under any content type: refused with a problem, by whoever may call."""
    place = path.replace("{region_code}", "13").replace("{person_id}", PARENT).replace("{institution_id}", HOSPITAL)
    statuses = set()
    for token in service.tokens.values():
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        response = service.session.request(method, f"{service.url}{place}", data=body, headers=headers, timeout=10)
        statuses.add(response.status_code)

        assert response.status_code < 500
        assert response.ok or response.headers["content-type"] == "application/problem+json"
        assert not [word for word in INSIDE if word in response.text]

    assert statuses <= {200, 201, 403, 404, 409, 422}


def tells_no_more(_: object, response: Any, case: object) -> None:
    """No answer tells how the service is made, and each has the headers of safety."""
    assert not [word for word in INSIDE if word in response.text]
    assert not {name for name, value in HEADERS.items() if response.headers.get(name.lower(), [None])[0] != value}


def test_every_exception_is_an_operation() -> None:
    """What is no longer there needs none."""
    described = {(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods}

    assert MORE_THAN_THE_SCHEMA.keys() <= described


@stamina.retry(on=requests.ConnectionError, attempts=None, timeout=30, wait_max=0.2)
def _wait_for(url: str) -> None:
    requests.get(f"{url}/readyz", timeout=5).raise_for_status()


def _be_about_somebody(case: schemathesis.Case[Any]) -> None:
    """Generated ids are nobody's, and calls about nobody come no further than that. A PUT says who somebody is: it may not."""
    assert case.meta
    if case.method == "PUT" or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, dict):
            part.update({name: SOMEBODY[name] for name in part.keys() & SOMEBODY.keys()})


def _person(service: Service, person_id: str) -> None:
    body = {"name": "张三丰", "id_number": "130102199003071234", "region_code": "130100", "insurance": "employee"}
    service.session.put(
        f"{service.url}/v1/persons/{person_id}",
        json=body,
        headers={"Authorization": f"Bearer {service.tokens[Role.FEED]}"},
        timeout=5,
    ).raise_for_status()


def _institution(service: Service, institution_id: str) -> None:
    service.session.put(
        f"{service.url}/v1/institutions/{institution_id}",
        json={"name": "机构", "kind": "hospital", "region_code": "130100"},
        headers={"Authorization": f"Bearer {service.tokens[Role.OPERATOR]}"},
        timeout=5,
    ).raise_for_status()
