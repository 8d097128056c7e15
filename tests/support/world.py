"""Both services in one process on real servers, and the two people who talk to them: a clerk and a till."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson

from services.binding.app import build
from services.binding.auth import Authenticator
from services.binding.handler import Handler as BindingHandler
from services.binding.keyring import RingFile
from services.binding.keys import Key, Keyring
from services.binding.sealing import Sealer
from services.binding.settings import HttpLimits
from services.settlement.app import run
from services.settlement.settings import SettlementSettings
from shared.domain.roles import Role
from shared.domain.times import Clock, system_clock
from shared.postgres.pool import create_pool
from shared.rabbit.client import Client, client
from shared.rabbit.connection import connect, hosts, open_channel
from shared.rabbit.topology import declare
from shared.runtime.tokens import AUDIENCE, sign_token

Answer = dict[str, Any]
HOSPITAL, AGENCY = "H1", "A1"


@dataclass
class World:
    """What a test needs to play out a scene."""

    database_url: str
    amqp_url: str
    http: httpx.AsyncClient
    till: Client
    db: "asyncpg.Connection[asyncpg.Record]"
    private_key: bytes
    clock: Clock = system_clock
    workers: list[tuple[asyncio.Task[None], asyncio.Event]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def build(
        cls,
        database_url: str,
        amqp_url: str,
        keys: dict[str, Path],
        clock: Clock = system_clock,
        limits: HttpLimits | None = None,
    ) -> AsyncIterator["World"]:
        async with AsyncExitStack() as stack:
            pool = await create_pool(database_url, role="gongji_binding", name="tests", size_max=10)
            stack.callback(pool.terminate)
            sealer = Sealer(RingFile(keys["GONGJI_KEY_RING_FILE"]).current)
            key = Key.from_pem(keys["GONGJI_JWT_PUBLIC_KEY_FILE"].read_bytes())
            authenticator = Authenticator(Keyring(key), AUDIENCE, 10)
            app = build(BindingHandler(pool, clock, sealer), authenticator, limits)
            http = await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://binding"
                )
            )
            connection = await connect(hosts(amqp_url), name="tests")
            await declare(await open_channel(connection, confirms=False))
            await connection.close()
            till = await stack.enter_async_context(client(amqp_url, name="tests"))
            db = await asyncpg.connect(database_url)
            stack.push_async_callback(db.close)
            private_key = keys["GONGJI_JWT_PRIVATE_KEY_FILE"].read_bytes()
            world = cls(database_url, amqp_url, http, till, db, private_key, clock)
            stack.push_async_callback(world.stop_workers)
            yield world

    @classmethod
    @asynccontextmanager
    async def again(cls, before: "World") -> AsyncIterator["World"]:
        """The same world with a new connection to the broker, after the old one was lost."""
        async with client(before.amqp_url, name="tests") as till:
            yield replace(before, till=till, workers=[])

    # ---- the worker ----

    def start_worker(self, **settings: Any) -> None:
        """Another settlement worker in this process; anybody may send as anybody, unless told otherwise."""
        stop = asyncio.Event()
        told = SettlementSettings(
            **{
                "database_url": self.database_url,
                "amqp_url": self.amqp_url,
                "authenticate_senders": False,
                **settings,
            }
        )
        self.workers.append((asyncio.create_task(run(told, stop, self.clock)), stop))

    async def stop_workers(self) -> None:
        for _, stop in self.workers:
            stop.set()
        tasks = [task for task, _ in self.workers]
        self.workers.clear()
        await asyncio.gather(*tasks)

    # ---- over HTTP ----

    def token(self, role: Role, person_id: str | None = None, institution_id: str | None = None) -> str:
        return sign_token(self.private_key, role, person_id=person_id, institution_id=institution_id, life_s=600)

    async def call(
        self,
        role: Role | None,
        method: str,
        path: str,
        body: Any = None,
        *,
        person_id: str | None = None,
        institution_id: str | None = None,
        **more: Any,
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token(role, person_id, institution_id)}"} if role else {}
        headers |= more.pop("headers", {})
        sent = {"content": body.encode()} if isinstance(body, str) else {"json": body}
        return await self.http.request(method, path, headers=headers, **sent, **more)

    async def person(self, person_id: str, **said: Any) -> None:
        body = {
            "name": "张三丰",
            "id_number": "130102199003071234",
            "region_code": "130100",
            "insurance": "employee",
            **said,
        }
        (await self.call(Role.FEED, "PUT", f"/v1/persons/{person_id}", body)).raise_for_status()

    async def institution(self, institution_id: str, **said: Any) -> None:
        body = {"name": "机构", "kind": "hospital", "region_code": "130100", **said}
        (await self.call(Role.OPERATOR, "PUT", f"/v1/institutions/{institution_id}", body)).raise_for_status()

    async def policy(self, code: str, **fields: Any) -> None:
        body = {"effective_from": "2020-01-01", **fields}
        (await self.call(Role.OPERATOR, "PUT", f"/v1/regions/{code}/policy", body)).raise_for_status()

    async def bind(self, payer_id: str, beneficiary_id: str, relation: str = "son", **more: Any) -> str:
        body = {"payer_id": payer_id, "beneficiary_id": beneficiary_id, "relation": relation, **more}
        response = await self.call(Role.CLERK, "POST", "/v1/bindings", body)
        response.raise_for_status()
        binding_id: str = response.json()["binding_id"]
        return binding_id

    async def family(self, *payers: str, child: str = "CHILD", fen: int = 100_000) -> None:
        """A hospital, an agency, a child insured as a resident, and payers bound to it, each with `fen`."""
        await self.institution(HOSPITAL)
        await self.institution(AGENCY, kind="agency")
        await self.person(child, insurance="resident")
        for payer in payers:
            await self.person(payer)
            await self.bind(payer, child)
        for payer in payers:
            await self.credit(payer, fen)

    # ---- over RabbitMQ ----

    async def ask(self, operation: str, body: dict[str, Any], **options: Any) -> Answer:
        region = options.pop("region", body.get("insured_region", "130100"))
        return await self.till.ask(operation, region, orjson.dumps(body), **{"timeout_s": 20, **options})

    async def settle(
        self, person_id: str = "CHILD", amount_fen: int = 1_000, *, timeout_s: float = 20, **more: Any
    ) -> Answer:
        return await self.ask("settle", bill(person_id, amount_fen, **more), timeout_s=timeout_s)

    async def credit(self, person_id: str, amount_fen: int, fund: str = "current_year", **more: Any) -> Answer:
        body = envelope(institution_id=AGENCY, person_id=person_id, fund=fund, amount_fen=amount_fen, **more)
        answer = await self.ask("credit", body)
        assert answer["outcome"] == "credited", answer
        return answer

    async def refund(self, original_request_id: str, amount_fen: int | None = None, **more: Any) -> Answer:
        amount = {} if amount_fen is None else {"amount_fen": amount_fen}
        return await self.ask("refund", envelope(original_request_id=original_request_id, **amount, **more))

    async def cancel(self, original_request_id: str, **more: Any) -> Answer:
        return await self.ask("cancel", envelope(original_request_id=original_request_id, **more))

    async def lookup(self, original_request_id: str, **more: Any) -> Answer:
        return await self.ask("lookup", envelope(original_request_id=original_request_id, **more))

    # ---- looking from outside ----

    async def balances(self) -> dict[str, tuple[int, int, int]]:
        rows = await self.db.fetch("SELECT * FROM ledger.accounts")
        return {row["person_id"]: (row["current_year_fen"], row["prior_years_fen"], row["wallet_fen"]) for row in rows}

    async def count(self, table: str) -> int:
        counted: int = await self.db.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 a test's own words
        return counted

    async def has(self, table: str, at_least: int) -> bool:
        return await self.count(table) >= at_least


def envelope(**more: Any) -> dict[str, Any]:
    return {
        "request_id": secrets.token_hex(8),
        "institution_id": HOSPITAL,
        "insured_region": "130100",
        "occurred_at": datetime.now(UTC).isoformat(),
        **more,
    }


def bill(person_id: str = "CHILD", amount_fen: int = 1_000, **more: Any) -> dict[str, Any]:
    body = envelope(
        person_id=person_id,
        credential={"type": "01", "person_id": person_id},
        expense_type="outpatient",
        amount_fen=amount_fen,
        care_region="130100",
    )
    return {**body, **more}


async def until(condition: Callable[[], Any], *, timeout_s: float = 30.0) -> None:
    """Waits until a condition holds; fails the test if it never does."""
    async with asyncio.timeout(timeout_s):
        while True:
            held = condition()
            if asyncio.iscoroutine(held):
                held = await held
            if held:
                return
            await asyncio.sleep(0.02)


def total(balances: dict[str, tuple[int, int, int]], people: Sequence[str] = ()) -> int:
    return sum(sum(funds) for person, funds in balances.items() if not people or person in people)
