"""Where a scenario is played: the run's names for everybody, the HTTP API and the broker."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from cli.environment import Environment
from cli.institution import SendsAs
from cli.requests import send
from cli.scenario.parts import Scenario
from cli.speech import Speech
from cli.stack import make_token
from shared.domain.roles import Role
from shared.messages.envelope import Request

ANSWER_TIMEOUT_S = 20.0


class NotAsListed(Exception):
    """Something came out so much otherwise than the scenario says that it cannot go on."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of a scenario. Every id gets this run's suffix, so it can be played anywhere, again and again."""

    scenario: Scenario
    reach: Environment
    http: httpx.AsyncClient
    say: Speech
    run: str = field(default_factory=lambda: secrets.token_hex(3))

    def unique(self, name: str) -> str:
        return f"{name}-{self.run}"

    def known_as(self, unique: str | None) -> str | None:
        return unique.removesuffix(f"-{self.run}") if unique else None

    def region_of(self, person: str) -> str:
        return self.scenario.persons[person].region_code

    def common(self, request_id: str, institution: str, insured_region: str) -> dict[str, Any]:
        """The fields that every request has. The hour is part of the content: a repeated request must be the same."""
        return {
            "request_id": self.unique(request_id),
            "institution_id": self.unique(institution),
            "insured_region": insured_region,
            "occurred_at": f"{datetime.now(UTC):%Y-%m-%d}T00:00:00Z",
        }

    async def ask(self, request: Request) -> dict[str, Any]:
        """The answer to a message."""
        return await send(SendsAs(self.reach["GONGJI_AMQP_URL"]), request, timeout_s=ANSWER_TIMEOUT_S)

    async def call(
        self, role: Role, method: str, path: str, body: Any = None, *, member: str | None = None, **query: str
    ) -> dict[str, Any]:
        """The answer to an HTTP call, which may be a refusal. Raises NotAsListed where it is neither."""
        token = make_token(role, self.unique(member) if member else None)
        headers = {"Authorization": f"Bearer {token}", "Accept-Language": self.say("en", "zh-CN")}
        response = await self.http.request(method, path, json=body, params=query, headers=headers)
        content: dict[str, Any] = response.json()
        if response.is_error and not content.get("reasons"):
            raise NotAsListed(f"{method} {path}: {response.status_code}")
        return content

    async def do(self, role: Role, method: str, path: str, body: Any) -> dict[str, Any]:
        """A call that must not be refused. Raises NotAsListed."""
        content = await self.call(role, method, path, body)
        if refused := content.get("reasons"):
            raise NotAsListed(f"{method} {path}: {', '.join(refused)}")
        return content
