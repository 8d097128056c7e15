"""The HTTP door as it is deployed, and callers who mean it no good: floods, huge or endless requests, forged addresses."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from services.binding.api import reconciliations
from services.binding.app import run
from services.binding.handler import Handler
from services.binding.settings import BindingSettings
from shared.domain.roles import Role
from shared.runtime import serving as listening
from shared.runtime.serving import HEADERS, serving
from shared.runtime.tokens import AUDIENCE, sign_token
from tests.conftest import Database
from tests.support.ports import free_port
from tests.support.world import until

PERSON = "/v1/persons/NOBODY"
DAY = "/v1/reconciliations?institution_id=H1&insured_region=130100&date=2026-11-22"
BINDING = {"payer_id": "A", "beneficiary_id": "B", "relation": "son"}
# Another address of this machine.
ELSEWHERE = "127.0.0.2"
HOSPITAL = {"name": "x", "kind": "hospital", "region_code": "130100"}


@dataclass
class Door:
    """A binding service that listens, and somebody outside."""

    port: int
    http: httpx.AsyncClient
    key: bytes

    def bearer(self, role: Role = Role.CLERK, **who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {sign_token(self.key, role, life_s=600, **who)}"}

    async def get(
        self, path: str = PERSON, role: Role | None = Role.CLERK, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.http.get(path, headers={**(self.bearer(role) if role else {}), **(headers or {})})

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection, on which anything can be sent, as slowly as one likes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def silent_from(self, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from this address, on which nothing is said yet."""
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))


Opened = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture
def opened(database: Database, keys: dict[str, Path]) -> Opened:
    """Opens a door that is told something else than the defaults."""

    @asynccontextmanager
    async def open_door(**told: Any) -> AsyncIterator[Door]:
        port, stop = free_port(), asyncio.Event()
        files = {name.removeprefix("GONGJI_").lower(): path for name, path in keys.items() if "PRIVATE" not in name}
        settings = BindingSettings.model_validate(
            {"database_url": database.url, "http_port": port, "drain_timeout_s": 1, **files, **told}
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run(settings, stop))
            try:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
                    await until(lambda: _listens(http))
                    yield Door(port, http, keys["GONGJI_JWT_PRIVATE_KEY_FILE"].read_bytes())
            finally:
                stop.set()

    return open_door


@pytest.fixture
async def door(opened: Opened) -> AsyncIterator[Door]:
    async with opened() as door:
        yield door


def head(door: Door, method: str, path: str, **headers: object) -> bytes:
    """A request's head as it goes over the wire."""
    told = {"Host": "x", **door.bearer(), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["reason"]


# ---- how often ----


async def test_a_subject_that_floods_is_told_when_to_come_back(opened: Opened) -> None:
    """429 and `Retry-After`; whoever else calls, and the probes, are served as before."""
    async with opened(clerk_calls_per_minute=5) as door:
        flood = [await door.get() for _ in range(8)]
        other = await door.get("/v1/diagnosis?beneficiary_id=B", Role.OPERATOR)
        probe = await door.get("/readyz")

    assert [answer.status_code for answer in flood] == [404] * 5 + [429] * 3
    assert problem(flood[-1]) == (429, "rate_limited")
    assert 1 <= int(flood[-1].headers["retry-after"]) <= 60 / 5
    assert (other.status_code, probe.status_code) == (200, 200)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.CLERK, Role.OPERATOR, Role.FEED, Role.INSTITUTION])
async def test_each_role_has_a_limit_of_its_own(opened: Opened, role: Role) -> None:
    """Also where what is asked for is forbidden to it."""
    async with opened(**{f"{role}_calls_per_minute": 2}) as door:
        bearer = door.bearer(role, person_id="P", institution_id="H1")
        answers = [await door.http.get("/v1/bindings", headers=bearer) for _ in range(3)]

    assert [answer.status_code == 429 for answer in answers] == [False, False, True]


async def test_whoever_has_no_token_is_counted_by_address(opened: Opened) -> None:
    """An invented X-Forwarded-For makes no new address of it; who has a token is not held up."""
    async with opened(address_calls_per_minute=3) as door:
        flood = [await door.get(role=None, headers={"X-Forwarded-For": f"10.0.0.{n}"}) for n in range(5)]
        holder = await door.get()

    assert [answer.status_code for answer in flood] == [401] * 3 + [429] * 2
    assert holder.status_code == 404


async def test_a_trusted_proxy_speaks_for_others(opened: Opened) -> None:
    """Then each address it names has its own limit, of IPv6 each home's network; and whoever came by TLS is told to stay."""
    async with opened(address_calls_per_minute=1, trusted_proxies="127.0.0.1") as door:
        named = ["10.0.0.1", "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
        answers = [await door.get(role=None, headers={"X-Forwarded-For": each}) for each in named]
        by_tls = await door.get(headers={"X-Forwarded-Proto": "https"})

    assert [answer.status_code for answer in answers] == [401, 429, 401, 401, 429, 401]
    assert by_tls.headers["strict-transport-security"].startswith("max-age=31536000")


async def test_a_subject_has_so_many_calls_under_way(opened: Opened) -> None:
    """One that opens many and finishes none leaves room for others."""
    async with opened(calls_at_once_max=1) as door, door.wire() as (_, writer):
        operator = door.bearer(Role.OPERATOR)
        (await door.http.put("/v1/institutions/H1", headers=operator, json=HOSPITAL)).raise_for_status()
        writer.write(head(door, "POST", DAY, **operator, Content_Type="text/csv", Content_Length=100))
        await writer.drain()
        await until(lambda: _is(429, door.get("/v1/diagnosis?beneficiary_id=B", Role.OPERATOR)))
        busy = await door.get("/v1/diagnosis?beneficiary_id=B", Role.OPERATOR)
        other = await door.get()

    assert problem(busy) == (429, "rate_limited")
    assert busy.headers["retry-after"] == "1"
    assert other.status_code == 404


# ---- how much ----


@pytest.mark.parametrize("told", [{"Content_Length": 10**12}, {"Content_Length": 65_537}], ids=["a terabyte", "a byte"])
async def test_a_body_that_says_it_is_too_large_is_not_waited_for(door: Door, told: dict[str, Any]) -> None:
    """413 at once, though nothing of it has come."""
    async with door.wire() as (reader, writer):
        writer.write(head(door, "POST", "/v1/bindings", Content_Type="application/json", **told))
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)

    assert b" 413 " in answer


async def test_a_body_without_a_length_is_counted_as_it_comes(door: Door) -> None:
    """Chunk by chunk, to the limit."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1_024

    answer = await door.http.post("/v1/bindings", content=chunks(), headers=door.bearer())

    assert problem(answer) == (413, "too_large")


async def test_nobody_without_a_token_has_a_body_read(door: Door) -> None:
    """Refused by the head alone, whatever was to come."""
    async with door.wire() as (reader, writer):
        forged = head(door, "POST", "/v1/bindings", Authorization="Bearer no", Content_Length=60_000)
        writer.write(forged)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)

    assert b" 401 " in answer


async def test_a_body_that_drips_in_is_given_up(opened: Opened) -> None:
    """408, and the connection is of no more use."""
    async with opened(http_body_timeout_s=0.3) as door, door.wire() as (reader, writer):
        writer.write(head(door, "POST", "/v1/bindings", Content_Length=1_000) + b"{")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)

    assert b" 408 " in answer


@pytest.mark.parametrize(
    ("path", "headers"),
    [(PERSON, {"X-Large": "x" * 9_000}), (f"{PERSON}?x={'x' * 9_000}", {}), (f"/v1/persons/{'x' * 9_000}", {})],
    ids=["a header", "a query", "a path"],
)
async def test_a_head_is_bounded(door: Door, path: str, headers: dict[str, str]) -> None:
    """431, said in our own words."""
    answer = await door.get(path, headers=headers)

    assert problem(answer) == (431, "too_large")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"\x16\x03\x01 TLS?\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["an endless head", "no HTTP", "a length that is none"],
)
async def test_what_is_no_request_is_told_nothing(door: Door, sent: bytes) -> None:
    """400, and the connection is closed; no trace, no name of a library."""
    async with door.wire() as (reader, writer):
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 5)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer
    assert b"uvicorn" not in answer.lower()
    assert b"h11" not in answer


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"payer_id":' * 5_000,
        b'{"payer_id": ' + b"9" * 60_000 + b"}",
        b'{"payer_id": NaN}',
        b"\xff\xfe{",
    ],
    ids=["nested lists", "nested objects", "a number without end", "not a number", "UTF-16"],
)
async def test_a_body_made_to_break_a_parser_is_invalid(door: Door, body: bytes) -> None:
    """As any other that cannot be read."""
    answer = await door.http.post(
        "/v1/bindings", content=body, headers={**door.bearer(), "Content-Type": "application/json"}
    )

    assert problem(answer) == (422, "invalid")


# ---- how slowly, how many ----


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nX: "], ids=["nothing", "half a head"])
async def test_a_connection_that_says_nothing_is_closed(
    door: Door, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """However slowly its head goes on."""
    monkeypatch.setattr(listening, "HEAD_TIMEOUT_S", 0.5)
    async with door.wire() as (reader, writer):
        writer.write(sent)
        dripping = asyncio.create_task(_drip(writer, b"x" if sent else b""))
        ended = await asyncio.wait_for(_end(reader), 10)
        dripping.cancel()

    assert ended == b""


async def test_the_rest_of_a_refused_body_is_not_listened_to_for_ever(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has their answer and drips on is cut off."""
    monkeypatch.setattr(listening, "HEAD_TIMEOUT_S", 0.5)
    async with door.wire() as (reader, writer):
        writer.write(head(door, "POST", "/v1/bindings", Authorization="no", Content_Length=60_000))
        dripping = asyncio.create_task(_drip(writer, b"x"))
        answer = await asyncio.wait_for(_end(reader), 10)
        dripping.cancel()

    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_call_under_way_is_not_cut_off(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body may take longer than a head."""
    monkeypatch.setattr(listening, "HEAD_TIMEOUT_S", 0.3)
    body = json.dumps(BINDING).encode()
    async with opened() as door, door.wire() as (reader, writer):
        writer.write(head(door, "POST", "/v1/bindings", Content_Type="application/json", Content_Length=len(body)))
        for piece in (body[:20], body[20:]):
            await asyncio.sleep(0.5)  # the slowness is what is tested
            writer.write(piece)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)

    assert b" 409 " in answer


async def test_connections_are_bounded(opened: Opened) -> None:
    """More than these are told to come again; when some have gone, all is as before."""
    async with opened(http_connections_max=10) as door:
        crowd = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(10)]
        await until(lambda: _is(503, door.http.get("/healthz", headers={"Connection": "close"})))
        for _, writer in crowd:
            writer.close()
        await until(lambda: _is(200, door.http.get("/healthz", headers={"Connection": "close"})))


async def test_one_address_leaves_connections_to_others(opened: Opened) -> None:
    """One more than it may have is closed, and whoever comes from elsewhere is answered, the probes too; when one has gone there is room."""
    there = httpx.AsyncHTTPTransport(local_address=ELSEWHERE)
    async with opened(http_connections_max=10, http_connections_per_address_max=5) as door:
        crowd = [await door.silent_from(ELSEWHERE) for _ in range(5)]
        for _ in range(10):
            reader, writer = await door.silent_from(ELSEWHERE)
            ended = await asyncio.wait_for(_end(reader), 5)
            writer.close()
        probe = await door.http.get("/healthz")
        crowd[0][1].close()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", transport=there) as other:
            await until(lambda: _is(200, other.get("/healthz")))
        still_open = [not reader.at_eof() for reader, _ in crowd[1:]]
        for _, writer in crowd:
            writer.close()

    assert (ended, probe.status_code) == (b"", 200)
    assert still_open == [True] * 4


async def test_a_trusted_proxy_has_as_many_connections_as_there_are(opened: Opened) -> None:
    """They are those of everybody behind it."""
    async with opened(http_connections_per_address_max=2, trusted_proxies=ELSEWHERE) as door:
        crowd = [await door.silent_from(ELSEWHERE) for _ in range(8)]
        for _, writer in crowd:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answers = [await asyncio.wait_for(reader.readuntil(b"\r\n"), 5) for reader, _ in crowd]
        for _, writer in crowd:
            writer.close()

    assert answers == [b"HTTP/1.1 200 OK\r\n"] * 8


async def test_a_file_may_not_drip_in_for_ever(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it never pauses."""
    monkeypatch.setattr(reconciliations, "FILE_MAX_S", 0.6)
    async with opened() as door, door.wire() as (reader, writer):
        operator = door.bearer(Role.OPERATOR)
        (await door.http.put("/v1/institutions/H1", headers=operator, json=HOSPITAL)).raise_for_status()
        writer.write(head(door, "POST", DAY, **operator, Content_Type="text/csv", Content_Length=100_000))
        writer.write(b"request_id,account_fen,mutual_aid_fen\n")
        dripping = asyncio.create_task(_drip(writer, b"\n"))
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 10)
        dripping.cancel()

    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b"ended before it was complete: send it again" in answer


# ---- what an answer tells ----


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        (PERSON, Role.CLERK, 404),
        ("/v1/bindings?payer_id=A", Role.CLERK, 200),
        (PERSON, None, 401),
        (PERSON, Role.OPERATOR, 403),
        ("/v1/nowhere", Role.CLERK, 404),
        ("/v1/persons/CHILD/", Role.CLERK, 404),
        ("/openapi.json", None, 200),
        ("/healthz", None, 200),
        ("/metrics", None, 200),
    ],
)
async def test_every_answer_has_the_headers_of_safety(door: Door, path: str, role: Role | None, status: int) -> None:
    """Not kept, not framed, not guessed at; who made the server is nobody's business. HSTS only where there is TLS."""
    answer = await door.get(path, role)

    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert not {"server", "x-powered-by", "strict-transport-security"} & answer.headers.keys()


async def test_what_nobody_foresaw_is_told_without_its_cause(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem like any other; the log says where, and nothing of what somebody sent."""

    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("张三 130102199003071234")

    monkeypatch.setattr(Handler, "person", breaks)
    with capture_logs() as logs:
        answer = await door.get()

    assert problem(answer) == (500, "internal_error")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert "RuntimeError" not in answer.text
    (event,) = [each for each in logs if each["event"] == "unexpected_error"]
    assert event["error"] == "RuntimeError"
    assert "breaks" in event["where"][-1]
    assert "张三" not in str(event)


async def test_an_invented_method_is_no_label(door: Door) -> None:
    """Or whoever calls could fill the memory with them."""
    for number in range(5):
        await door.http.request(f"INVENTED{number}", "/healthz")

    labels = {
        sample.labels["method"]
        for family in REGISTRY.collect()
        for sample in family.samples
        if "method" in sample.labels
    }
    assert "other" in labels
    assert not {label for label in labels if label.startswith("INVENTED")}


# ---- whose tokens ----


async def test_tokens_of_an_identity_provider_are_checked_with_its_keys(opened: Opened, keys: dict[str, Path]) -> None:
    """EdDSA and RS256 by `kid`; until it has told its keys its tokens are told to come again, and the service is ready."""
    eddsa, rs256 = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    jwks = [
        {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(eddsa.public_key())), "kid": "e"},
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(rs256.public_key())), "kid": "r"},
    ]

    async def published(_: Request) -> Response:
        return JSONResponse({"keys": jwks})

    port = free_port()
    claims = {"sub": "li", "role": "clerk", "aud": AUDIENCE, "iat": 0, "exp": 2**32}
    told = {"jwks_url": f"http://127.0.0.1:{port}/keys", "jwks_refresh_s": 1, "jwt_public_key_file": None}
    tokens = {
        "e": jwt.encode(claims, eddsa, "EdDSA", headers={"kid": "e"}),
        "r": jwt.encode(claims, rs256, "RS256", headers={"kid": "r"}),
    }
    bearers = {kid: {"Authorization": f"Bearer {token}"} for kid, token in tokens.items()}

    async with opened(**told) as door:
        before = await door.http.get(PERSON, headers=bearers["e"])
        ready = await door.http.get("/readyz")
        async with serving(Starlette(routes=[Route("/keys", published)]), "127.0.0.1", port):
            await until(lambda: _is(404, door.http.get(PERSON, headers=bearers["e"])))
        answers = [await door.http.get(PERSON, headers=bearer) for bearer in bearers.values()]
        local = await door.get()

    assert (problem(before), ready.status_code) == ((503, "unavailable"), 200)
    assert [answer.status_code for answer in answers] == [404, 404]
    assert problem(local) == (401, "unauthenticated")


async def _listens(http: httpx.AsyncClient) -> bool:
    with suppress(httpx.TransportError):
        return (await http.get("/healthz")).status_code == 200
    return False


async def _is(status: int, asking: Any) -> bool:
    with suppress(httpx.TransportError):
        return bool((await asking).status_code == status)
    return False


async def _drip(writer: asyncio.StreamWriter, drop: bytes) -> None:
    with suppress(ConnectionError):
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)  # the slowness is what is tested


async def _end(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends, however it ends."""
    received = b""
    with suppress(ConnectionError):
        while piece := await reader.read(1_024):
            received += piece
    return received
