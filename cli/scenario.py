"""A scenario: people, bindings and bills from a file, played against a running stack and checked as it goes."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict

from cli.environment import Environment
from cli.requests import send
from cli.stack import make_token
from shared.domain.policy import ExpenseType
from shared.domain.roles import Role
from shared.messages.credit import CreditRequest
from shared.messages.envelope import Request
from shared.messages.settle import Credential, SettleRequest

ANSWER_TIMEOUT_S = 20.0


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Title(Part):
    en: str
    zh: str


class PersonPart(Part):
    name: str
    id_number: str
    region_code: str
    insurance: str
    status: str = "active"


class InstitutionPart(Part):
    name: str
    kind: str
    region_code: str


class CreditPart(Part):
    person: str
    fund: str
    amount_fen: int


class BindingPart(Part):
    payer: str
    beneficiary: str
    relation: str
    wallet: bool = False
    refused: list[str] = []


class LinkPart(Part):
    holder: str
    shown: str


class AskPart(Part):
    request_id: str
    institution: str
    person: str
    amount_fen: int
    expense_type: ExpenseType = ExpenseType.OUTPATIENT
    credential_of: str | None = None


class ExpectPart(Part):
    outcome: str
    reason: str | None = None
    payer: str | None = None
    replayed: bool = False
    own_account_fen: int | None = None
    mutual_aid_fen: int | None = None
    cash_fen: int | None = None
    own_balance_fen: int | None = None


class Bill(Part):
    title: Title
    ask: AskPart
    expect: ExpectPart


class Scenario(Part):
    """A whole file. Names of people and institutions are the scenario's own; each run makes them unique."""

    title: Title
    institutions: dict[str, InstitutionPart]
    persons: dict[str, PersonPart]
    credits: list[CreditPart]
    bindings: list[BindingPart]
    kinship_links: list[LinkPart]
    bills: list[Bill]


class NotAsListed(Exception):
    """Something came out otherwise than the scenario says."""


@dataclass(frozen=True, slots=True)
class Played:
    """A bill with its answer, and what differs from what was expected."""

    bill: Bill
    answer: dict[str, Any]
    payer: str | None
    differences: list[str]


@dataclass(slots=True)
class Player:
    """Plays a scenario through the HTTP API and real messages. Every id gets this run's suffix, so it can be played anywhere."""

    scenario: Scenario
    reach: Environment
    run: str = field(default_factory=lambda: secrets.token_hex(3))

    def unique(self, name: str) -> str:
        return f"{name}-{self.run}"

    def known_as(self, unique: str | None) -> str | None:
        return unique.removesuffix(f"-{self.run}") if unique else None

    async def prepare(self, step: Callable[[str, str], None]) -> None:
        """Registers everybody, fills the accounts, makes the bindings. Raises NotAsListed."""
        async with httpx.AsyncClient(base_url=self.reach["GONGJI_BINDING_URL"], timeout=20) as http:
            await self._register(http, step)
            await self._credit(step)
            await self._bind(http, step)

    async def play(self, bill: Bill) -> Played:
        """Sends one bill and compares the answer with what is listed."""
        answer = await send(self.reach["GONGJI_AMQP_URL"], self._request(bill.ask), timeout_s=ANSWER_TIMEOUT_S)
        payer = self.known_as(answer["payer_id"])
        seen = {**answer, "payer": payer}
        differences = [
            f"{name}: expected {wanted!r}, got {seen[name]!r}"
            for name, wanted in bill.expect.model_dump().items()
            if seen[name] != wanted and (wanted is not None or name in ("reason", "payer"))
        ]
        return Played(bill, answer, payer, differences)

    def _request(self, ask: AskPart) -> SettleRequest:
        region = self.scenario.persons[ask.person].region_code
        person = self.unique(ask.person)
        return SettleRequest(
            request_id=self.unique(ask.request_id),
            institution_id=self.unique(ask.institution),
            insured_region=region,
            # The hour is part of the content: a repeated bill must be the same bill.
            occurred_at=f"{datetime.now(UTC):%Y-%m-%d}T00:00:00Z",  # type: ignore[arg-type]
            person_id=person,
            credential=Credential(type="01", person_id=self.unique(ask.credential_of) if ask.credential_of else person),
            expense_type=ask.expense_type,
            amount_fen=ask.amount_fen,
            care_region=self.scenario.institutions[ask.institution].region_code,
        )

    async def _register(self, http: httpx.AsyncClient, step: Callable[[str, str], None]) -> None:
        for name, institution in self.scenario.institutions.items():
            path = f"/v1/institutions/{self.unique(name)}"
            await self._call(http, Role.OPERATOR, "PUT", path, institution.model_dump())
        for name, person in self.scenario.persons.items():
            await self._call(http, Role.FEED, "PUT", f"/v1/persons/{self.unique(name)}", person.model_dump())
        step(
            f"registered {len(self.scenario.institutions)} institutions and {len(self.scenario.persons)} persons",
            f"登记机构 {len(self.scenario.institutions)} 家、参保人 {len(self.scenario.persons)} 名",
        )

    async def _credit(self, step: Callable[[str, str], None]) -> None:
        agency = next(name for name, each in self.scenario.institutions.items() if each.kind == "agency")
        requests: list[Request] = [
            CreditRequest(
                request_id=self.unique(f"credit-{number:02d}"),
                institution_id=self.unique(agency),
                insured_region=self.scenario.persons[part.person].region_code,
                occurred_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z",  # type: ignore[arg-type]
                person_id=self.unique(part.person),
                fund=part.fund,  # type: ignore[arg-type]
                amount_fen=part.amount_fen,
            )
            for number, part in enumerate(self.scenario.credits, 1)
        ]
        sent = (send(self.reach["GONGJI_AMQP_URL"], request, timeout_s=ANSWER_TIMEOUT_S) for request in requests)
        for answer in await asyncio.gather(*sent):
            if answer["outcome"] != "credited":
                raise NotAsListed(f"{answer['request_id']} was {answer['outcome']}: {answer['reason']}")
        step(f"credited {len(requests)} personal accounts", f"划入个人账户 {len(requests)} 笔")

    async def _bind(self, http: httpx.AsyncClient, step: Callable[[str, str], None]) -> None:
        for part in self.scenario.bindings:
            body = {
                "payer_id": self.unique(part.payer),
                "beneficiary_id": self.unique(part.beneficiary),
                "relation": part.relation,
                "wallet": part.wallet,
            }
            response = await self._call(
                http, Role.CLERK, "POST", "/v1/bindings", body, expect_refusal=bool(part.refused)
            )
            reasons = response.get("reasons", [])
            if reasons != part.refused:
                raise NotAsListed(
                    f"binding {part.payer} for {part.beneficiary}: expected {part.refused or 'made'}, got {reasons or 'made'}"
                )
        for link in self.scenario.kinship_links:
            body = {"holder_id": self.unique(link.holder), "shown_id": self.unique(link.shown)}
            await self._call(http, Role.CLERK, "POST", "/v1/kinship-links", body)
        refused = sum(bool(part.refused) for part in self.scenario.bindings)
        made = len(self.scenario.bindings) - refused
        step(
            f"made {made} bindings, {refused} refused as listed; linked {len(self.scenario.kinship_links)} kinship account",
            f"建立共济关系 {made} 条，按规定拒绝 {refused} 条；建立亲情账户 {len(self.scenario.kinship_links)} 个",
        )

    async def _call(
        self,
        http: httpx.AsyncClient,
        role: Role,
        method: str,
        path: str,
        body: dict[str, Any],
        *,
        expect_refusal: bool = False,
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {make_token(role)}"}
        response = await http.request(method, path, json=body, headers=headers)
        content: dict[str, Any] = response.json()
        if response.is_success == expect_refusal:
            raise NotAsListed(f"{method} {path}: {response.status_code} {content.get('reasons', '')}")
        return content


def read_scenario(file: Path) -> Scenario:
    """The scenario in a YAML file. Raises pydantic.ValidationError, OSError."""
    return Scenario.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
