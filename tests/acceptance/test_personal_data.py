"""After a full run nothing personal is anywhere but where it belongs: every log, metric, dead letter, answer, error, and whatever
each database role can read, searched for everything that was put in. Contract: invariant 6."""

import asyncio
import base64
import json
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest
import yaml

from shared.rabbit.connection import connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import DEAD, EVENTS, REQUESTS, RESULTS
from tests.support.builders import settle_body
from tests.support.stacks import Stack
from tests.support.world import envelope, until

SCENARIOS = ("hebei.yaml", "regions.yaml", "afterwards.yaml")
NAME, LATIN, ID_NUMBER = "欧阳泄密甲", "Leakname Seedova", "13010219770303123X"
OTHER_NAME, OTHER_NUMBER = "司徒露馅乙", "130102198808084567"
PHONE = "13800138765"
# Whom PostgreSQL itself fails on: it tells the whole row that it does not take, and whose it is. In no log, wherever ids may stand.
FAILING = "Leakperson-7731"
FAILS = f"""
ALTER TABLE ledger.entries ADD CONSTRAINT tests_fail CHECK (person_id <> '{FAILING}') NOT VALID;
"""
ROLES = ("gongji_settlement", "gongji_bookkeeping", "gongji_audit", "gongji_binding", "gongji_keys")
# Whose place is not searched: the keys, what tells where the servers are, and the broker's own store of messages.
NOT_SEARCHED = {"keys", "state.json", "rabbitmq"}


def forms(secret: str) -> dict[str, bytes]:
    """A secret as it may be written: plain, escaped, encoded, or as a digest that anybody can compute."""
    plain = secret.encode()
    written = {
        "plain": plain,
        "JSON": json.dumps(secret)[1:-1].encode(),
        "Python": ascii(secret)[1:-1].encode(),
        "escaped bytes": repr(plain)[2:-1].encode(),
        "percent": quote(secret, safe="").encode(),
        "hexadecimal": plain.hex().encode(),
        "UTF-16": secret.encode("utf-16-le"),
        "SHA-256": sha256(plain).hexdigest().encode(),
        "SHA-256, raw": sha256(plain).digest(),
    }
    if not secret.isascii():
        written["GBK"] = secret.encode("gbk")
    for shift in range(3):
        # In the middle of something longer: without the characters that depend on what stands around it.
        encoded = base64.b64encode(bytes(shift) + plain).rstrip(b"=")
        written[f"base64 at {shift}"] = encoded[(0, 2, 3)[shift] : -1]
    return written


class Search:
    """What is looked for, in upper and lower case, and where it was found."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.places = 0
        self.found: list[str] = []
        self.plain = {secret.encode().lower(): what for what, secret in secrets.items()}
        self.forms = {
            content.lower(): f"{what} ({form})"
            for what, secret in secrets.items()
            for form, content in forms(secret).items()
        }

    def look(self, place: str, content: bytes | str, *, plain: bool = False) -> None:
        """`plain`: in no other form, where there is much to look through."""
        self.places += 1
        text = (content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content).lower()
        for form, what in (self.plain if plain else self.forms).items():
            at = text.find(form)
            if at >= 0:
                self.found.append(f"{place}: {what} in {text[max(0, at - 80) : at + len(form) + 40]!r}")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def stack(directory: Path) -> Iterator[Stack]:
    started = Stack(directory)
    started.run("up", "--workers", "1")
    try:
        yield started
    finally:
        started.run("down")


def seeded(stack: Stack, directory: Path) -> dict[str, str]:
    """Everything that must be nowhere: names and ID numbers, and what opens a door."""
    state = json.loads((directory / "state.json").read_text(encoding="utf-8"))
    people = {
        f"{each} of {name}": person[each]
        for file in SCENARIOS
        for name, person in yaml.safe_load(Path("examples", file).read_text(encoding="utf-8"))["persons"].items()
        for each in ("name", "id_number")
        # Two characters alone are found in other words too.
        if len(person[each]) > 2
    }
    ring = (directory / "keys" / "key_ring").read_text(encoding="ascii").split()
    return {
        "name": NAME,
        "latin name": LATIN,
        "id number": ID_NUMBER,
        "other name": OTHER_NAME,
        "other id number": OTHER_NUMBER,
        "phone": PHONE,
        "postgres password": state["credentials"]["postgres_password"],
        "rabbitmq password": state["credentials"]["rabbitmq_password"],
        "sealing key": ring[-2],
        "index key": ring[-1],
        "signing key": "".join((directory / "keys" / "jwt_private.pem").read_text(encoding="ascii").split("\n")[1:-2]),
        **people,
    }


# ---- what is done ----


def register(stack: Stack, call: Any) -> None:
    """People with names and numbers, what may be known of them, and what is refused of them."""
    person = {"name": NAME, "id_number": ID_NUMBER, "region_code": "130100", "insurance": "employee"}
    child = {**person, "name": OTHER_NAME, "id_number": OTHER_NUMBER, "insurance": "resident"}
    for kind, institution in (("hospital", "H1"), ("agency", "A1")):
        call(
            "operator",
            "PUT",
            f"/v1/institutions/{institution}",
            {"name": "机构", "kind": kind, "region_code": "130100"},
        )
    for person_id, said in (("PAYER", person), ("CHILD", child), ("LATIN", {**person, "name": LATIN})):
        call("feed", "PUT", f"/v1/persons/{person_id}", said)
    call("feed", "PUT", f"/v1/persons/{FAILING}", person)
    call("clerk", "POST", "/v1/bindings", {"payer_id": "PAYER", "beneficiary_id": "CHILD", "relation": "son"})
    call("clerk", "POST", "/v1/kinship-links", {"holder_id": "LATIN", "shown_id": "CHILD"})
    call("feed", "PUT", "/v1/persons/LATIN", {**person, "name": LATIN, "region_code": "330100"})
    call("operator", "POST", "/v1/accounts/LATIN/freeze")
    for path in ("/v1/persons/PAYER", "/v1/bindings?payer_id=PAYER", "/v1/persons/PAYER/payments"):
        call("clerk", "GET", path)
    call("clerk", "GET", "/v1/diagnosis?payer_id=PAYER&beneficiary_id=CHILD")
    for number in (ID_NUMBER, OTHER_NUMBER, ID_NUMBER.lower()):
        call("clerk", "POST", "/v1/person-searches", {"id_number": number, "region_code": "130100"})


def knock_with_nonsense(call: Any) -> None:
    """HTTP calls that are refused, with personal data wherever there is room for it."""
    person = {"name": NAME, "id_number": ID_NUMBER, "region_code": "130100", "insurance": "employee"}
    wrong: list[Any] = [
        {**person, "name": NAME + "\x00"},
        {**person, "name": NAME * 50},
        {**person, "id_number": f"{ID_NUMBER}号"},
        {**person, "id_number": [ID_NUMBER]},
        {**person, "region_code": ID_NUMBER},
        {**person, "insurance": NAME, "status": ID_NUMBER},
        {**person, NAME: ID_NUMBER, "phone": PHONE},
        {"name": {"name": NAME, "id_number": ID_NUMBER}},
        [NAME, ID_NUMBER],
        NAME,
        json.dumps(person, ensure_ascii=False)[:-1],
        json.dumps(person).replace(json.dumps(NAME), f'"{LATIN} \\ud800"'),
        json.dumps({**person, "name": LATIN + " " + ID_NUMBER}) + PHONE,
    ]
    for body in wrong:
        call("feed", "PUT", "/v1/persons/PAYER", body)
        call("clerk", "POST", "/v1/person-searches", body)
        call("clerk", "POST", "/v1/bindings", body)
        call("operator", "PUT", "/v1/institutions/H1", body)
    for number in (ID_NUMBER, quote(NAME), f"{quote(LATIN)}%00", "%ff" + ID_NUMBER):
        for method, path in (
            ("GET", f"/v1/persons/{number}"),
            ("PUT", f"/v1/persons/{number}"),
            ("GET", f"/v1/persons/{number}/payments"),
            ("GET", f"/v1/bindings?payer_id={number}"),
            ("GET", f"/v1/diagnosis?beneficiary_id={number}&amount_fen={number}"),
            ("POST", f"/v1/accounts/{number}/freeze"),
            ("DELETE", f"/v1/kinship-links/{number}"),
            ("GET", f"/v1/decisions/{number}"),
            ("GET", f"/{number}?name={number}"),
            ("PATCH", f"/v1/persons/{number}"),
        ):
            for role in ("clerk", "operator", None):
                call(role, method, path)
    call(
        "feed",
        "PUT",
        "/v1/persons/PAYER",
        person,
        headers={"Authorization": f"Bearer {base64.b64encode(LATIN.encode()).decode()}"},
    )
    call("clerk", "POST", "/v1/bindings", {"payer_id": ID_NUMBER, "beneficiary_id": "CHILD", "relation": "son"})
    call("clerk", "POST", "/v1/bindings", person, headers={"Idempotency-Key": ID_NUMBER})
    file = f"request_id,account_fen,mutual_aid_fen\n{ID_NUMBER},{NAME},1\n{NAME},1,1\n"
    day = "/v1/reconciliations?institution_id=H1&insured_region=130100&date=2026-11-22"
    call("operator", "POST", day, file, headers={"Content-Type": "text/csv"})


def poison() -> list[Outgoing]:
    """Messages that are not requests, and requests that PostgreSQL fails on, full of what must not be told."""
    personal = {"name": NAME, "id_number": ID_NUMBER, "patient": LATIN, "phone": PHONE}
    good = settle_body(person_id="CHILD", bill_ref=None)
    bodies: list[tuple[str, Any]] = [
        ("settle", {**good, **personal}),
        ("settle", {**good, "credential": {"type": NAME, "person_id": "CHILD", "id_number": ID_NUMBER}}),
        ("settle", {**good, "person_id": NAME}),
        ("settle", {**good, "person_id": {"name": NAME}}),
        ("settle", {**good, "amount_fen": ID_NUMBER}),
        ("settle", {**good, "amount_fen": int(OTHER_NUMBER)}),
        ("settle", {**good, "occurred_at": NAME}),
        ("settle", {**good, "care_region": ID_NUMBER}),
        ("settle", {**good, "bill_ref": NAME * 20}),
        ("settle", {**good, "bill_ref": f"{LATIN}\x00{ID_NUMBER}"}),
        ("settle", json.dumps({**good, "bill_ref": LATIN + "@"}).replace("@", r"\ud800")),
        ("settle", {**good, "institution_id": NAME}),
        ("settle", {**good, "request_id": f"{ID_NUMBER} {NAME}"}),
        ("refund", {**good, "original_request_id": NAME}),
        ("quote", {**good, **personal}),
        ("lookup", {**good, "original_request_id": f"{NAME} {ID_NUMBER}"}),
        ("settle_bulk", {"requests": [{**good, **personal}, {**good, "bill_ref": f"{LATIN}\x00{ID_NUMBER}"}]}),
        ("settle", json.dumps(personal, ensure_ascii=False)[:-1]),
        ("settle", json.dumps(personal, ensure_ascii=False).encode("gbk")),
        ("settle", json.dumps(personal, ensure_ascii=False).encode("utf-16")),
        ("settle", f'{{"{NAME}": ' + "[" * 5000),
        ("settle", f'{{"x": "{NAME * 10_000}{ID_NUMBER}"}}'),
        ("settle", NAME),
        ("settle", [ID_NUMBER]),
        (NAME, good),
        ("credit", envelope(institution_id="A1", person_id=FAILING, fund="prior_years", amount_fen=1)),
    ]
    messages = []
    for number, (operation, body) in enumerate(bodies):
        if isinstance(body, dict) and body.get("request_id") == good["request_id"]:
            body = {**body, "request_id": f"poison-{number}"}  # noqa: PLW2901
        content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        key = f"{operation if operation.isascii() else 'settle'}.130100"
        messages.append(Outgoing(REQUESTS, key, content, type=operation))
        messages.append(
            Outgoing(
                REQUESTS, key, content, type=operation, reply_to="reply.tests.answers", correlation_id=f"c{number}"
            )
        )
    good_again = json.dumps({**good, "request_id": "headers"}).encode()
    messages += [
        # Personal data around the body.
        Outgoing(REQUESTS, f"settle.{ID_NUMBER}", good_again, type="settle"),
        Outgoing(REQUESTS, "settle.130100", b"{", type="settle", headers={"patient": NAME, "id_number": ID_NUMBER}),
        Outgoing(REQUESTS, "settle.130100", b"{", type=LATIN, content_type=NAME),
        Outgoing(
            REQUESTS, "settle.130100", good_again, type="settle", reply_to=f"reply.{ID_NUMBER}", correlation_id=NAME
        ),
        Outgoing(REQUESTS, "settle.130100", b"{", type="settle", reply_to=NAME, correlation_id=ID_NUMBER),
    ]
    return messages


async def through_the_broker(amqp_url: str, search: Search) -> None:
    """Publishes the poison; looks at every answer, result, event and dead letter."""
    connection = await connect([amqp_url], name="tests")
    channel = await open_channel(connection, confirms=True)
    await channel.queue_declare("reply.tests.answers")
    await channel.queue_declare("reply.tests.told")
    for exchange in (RESULTS, EVENTS):
        await channel.queue_bind("reply.tests.told", exchange, routing_key="#")
    messages = poison()
    publisher = Publisher(channel)
    for message in messages:
        await publisher.publish([message])
    await until(partial(answered, channel, sum(each.reply_to == "reply.tests.answers" for each in messages)))
    answers = [each async for each in taken(channel, "reply.tests.answers", acknowledge=True)]
    told = [each async for each in taken(channel, "reply.tests.told", acknowledge=True)]
    letters = [each async for each in taken(channel, DEAD, acknowledge=False)]
    for message in answers + told:
        properties = message.header.properties
        search.look("an answer's properties", repr([properties.headers, properties.message_type, message.routing_key]))
        search.look("an answer", message.body)
    for message in letters:
        headers = {**(message.header.properties.headers or {})}
        search.look("a dead letter's headers", repr(headers))
    assert len(letters) > 20, "the poison was not refused"
    await connection.close()


async def answered(channel: Any, count: int) -> bool:
    """Whether every request that asked for an answer has one; they are dealt with in turn."""
    waiting = await channel.queue_declare("reply.tests.answers", passive=True)
    return bool(waiting.message_count >= count)


async def taken(channel: Any, queue: str, *, acknowledge: bool) -> Any:
    while True:
        message = await channel.basic_get(queue, no_ack=acknowledge)
        if message.delivery_tag is None:
            return
        yield message


async def make_one_request_fail(url: str) -> None:
    """From now on there is one that PostgreSQL does not take, which nobody can tell before."""
    session = await asyncpg.connect(url)
    await session.execute(FAILS)
    await session.close()


async def what_roles_can_read(url: str, search: Search) -> dict[str, set[str]]:
    """Every row of everything that a role may select; bytea is shown in hexadecimal."""
    read: dict[str, set[str]] = {}
    for role in ROLES:
        session = await asyncpg.connect(url, server_settings={"role": role})
        columns = await session.fetch(
            """
            SELECT c.oid::regclass::text AS relation, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS readable
            FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE n.nspname !~ '^(pg_|information_schema)' AND c.relkind IN ('r', 'v', 'm', 'p', 'S')
            AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
            GROUP BY c.oid
            """
        )
        for relation, readable in columns:
            everything = f"SELECT row_to_json(t)::text AS row FROM (SELECT {readable} FROM {relation}) AS t"  # noqa: S608
            rows = await session.fetch(everything)
            search.look(f"{role} reads {relation}", "\n".join(row["row"] for row in rows))
        read[role] = {relation for relation, _ in columns}
        await session.close()
    return read


# ---- and looked for ----


@pytest.mark.timeout(300)
def test_nothing_personal_is_anywhere_but_where_it_belongs(stack: Stack, directory: Path) -> None:
    """Plain, escaped, encoded or digested; after scenarios, refusals, poison, a change of keys, and a stop."""
    environment = stack.json("env")
    tokens = {role: stack.run("token", "--role", role).strip() for role in ("feed", "clerk", "operator")}
    # A token's signature is the part that makes it one.
    signatures = {f"token of {role}": token.rpartition(".")[2] for role, token in tokens.items()}
    search = Search(seeded(stack, directory) | signatures)
    answered_with: dict[int, str] = {}

    with httpx.Client(base_url=environment["GONGJI_BINDING_URL"], timeout=30) as http:

        def call(
            role: str | None, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
        ) -> None:
            bearer = {"Authorization": f"Bearer {tokens[role]}"} if role else {}
            sent = {"content": body.encode()} if isinstance(body, str) else {"json": body}
            answer = http.request(
                method, path, headers={"Content-Type": "application/json", **bearer, **(headers or {})}, **sent
            )
            answered_with[answer.status_code] = f"{method} {path} {body!r}"
            search.look(f"{method} answered {answer.status_code}", answer.content + repr(answer.headers).encode())

        register(stack, call)
        knock_with_nonsense(call)
    for file in SCENARIOS:
        stack.run("play", "--file", f"examples/{file}")
    stack.json("credit", "--institution", "A1", "--region", "130100", "--person", "PAYER", "--amount-fen", "100000")
    settled = stack.json(
        "settle", "--institution", "H1", "--region", "130100", "--person", "CHILD", "--amount-fen", "100"
    )
    asyncio.run(make_one_request_fail(environment["GONGJI_DATABASE_URL"]))
    asyncio.run(through_the_broker(environment["GONGJI_AMQP_URL"], search))
    for words in (
        ["explain", settled["settlement_id"], "--json"],
        ["audit", "--json"],
        ["dead", "list", "--json"],
        ["keys", "list", "--json"],
        ["keys", "new", "--suite", "sm4-gcm"],
        ["keys", "rotate", "--json"],
        ["keys", "retire", "1"],
    ):
        search.look(f"gongji {' '.join(words[:2])}", stack.run(*words))
    urls = [environment["GONGJI_BINDING_URL"], *environment["GONGJI_SETTLEMENT_URLS"].split(",")]
    for url in urls:
        for path in ("/metrics", "/readyz"):
            search.look(path, httpx.get(url + path).content)
    read = asyncio.run(what_roles_can_read(environment["GONGJI_DATABASE_URL"], search))
    stack.run("down")
    files = [
        file
        for file in sorted(directory.rglob("*"))
        if file.is_file() and not NOT_SEARCHED & {part.lower() for part in file.relative_to(directory).parts}
    ]
    for each in files:
        search.look(str(each.relative_to(directory)), each.read_bytes(), plain="data" in each.parts)

    logs = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in files if file.suffix == ".log"}

    assert search.found == []
    assert [name for name, log in logs.items() if FAILING in log] == []
    assert "tests_fail" in logs["postgres.log"], "PostgreSQL did not fail on anything"
    assert {200, 201, 401, 403, 404, 405, 409, 422} <= answered_with.keys()
    assert not {status: call for status, call in answered_with.items() if status >= 500}, "an error that nobody meant"
    assert "registry.persons" in read["gongji_binding"]
    assert "registry.persons" not in read["gongji_settlement"] | read["gongji_bookkeeping"] | read["gongji_audit"]
    assert {"binding.log", "settlement-1.log", "bulk.log", "inquiry.log", "bookkeeping.log"} <= logs.keys()
    assert search.places > 500


def test_the_search_finds_what_it_looks_for() -> None:
    """In whatever form, wherever it stands."""
    secrets = {"name": NAME, "latin name": LATIN, "id number": ID_NUMBER}
    around = [(b"x" * left, b"y" * right) for left in range(3) for right in range(3)]

    missed = []
    for what, secret in secrets.items():
        plain = secret.encode()
        for before, after in around:
            for form in (
                before + plain + after,
                base64.b64encode(before + plain + after),
                (before + plain + after).hex().upper().encode(),
                json.dumps({"x": before.decode() + secret}).encode(),
                quote(before.decode() + secret).encode(),
                repr(before + plain).encode(),
                sha256(plain).hexdigest().encode(),
            ):
                search = Search(secrets)
                search.look("here", form)
                if not any(what in each for each in search.found):
                    missed.append((what, form))

    assert missed == []
