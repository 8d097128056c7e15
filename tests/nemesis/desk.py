"""Those outside who call over HTTP: a clerk who ends bindings and makes them again, and who says yes to gifts."""

import asyncio
import random
import secrets
import time
from dataclasses import dataclass
from typing import Any

import httpx

from shared.domain.roles import Role
from shared.runtime.tokens import sign_token
from tests.nemesis.history import History, Period
from tests.nemesis.town import AGENCY, FAMILIES, HOSPITAL, NAME, PAUSE_S, REGION, people

POLICY = {
    "effective_from": "2020-01-01",
    "scope": "province",
    "unbind_after_days": 0,
    "wallet": {"per_day": 100_000, "closed_from": "00:00", "closed_until": "00:00"},
}


@dataclass(slots=True)
class Desk:
    """Where people call the binding service; a call that is not answered is made again under the same Idempotency-Key."""

    http: httpx.AsyncClient
    private_key: bytes
    history: History

    async def call(
        self, role: Role, method: str, path: str, body: dict[str, Any] | None = None, *, person_id: str | None = None
    ) -> httpx.Response:
        token = sign_token(self.private_key, role, person_id=person_id, life_s=3_600)
        headers = {"Authorization": f"Bearer {token}"}
        if method == "POST":
            headers["Idempotency-Key"] = secrets.token_hex(16)
        while True:
            try:
                response = await self.http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(PAUSE_S)
                continue
            if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                await asyncio.sleep(PAUSE_S)
                continue
            return response

    async def prepare(self) -> dict[tuple[str, str], str]:
        """Institutions, people and bindings; the bindings by payer and beneficiary."""
        await self.call(Role.OPERATOR, "PUT", "/v1/regions/13/policy", POLICY)
        for institution_id, kind in ((HOSPITAL, "hospital"), (AGENCY, "agency")):
            said = {"name": institution_id, "kind": kind, "region_code": REGION}
            (await self.call(Role.OPERATOR, "PUT", f"/v1/institutions/{institution_id}", said)).raise_for_status()
        bound: dict[tuple[str, str], str] = {}
        for family in range(FAMILIES):
            mother, father, son, child = people(family)
            for number, person_id in enumerate((mother, father, son, child)):
                id_number = f"1301021990{family:04d}{number:04d}"
                self.history.personal += (id_number,)
                said = {
                    "name": NAME,
                    "id_number": id_number,
                    "region_code": REGION,
                    "insurance": "resident" if person_id == child else "employee",
                }
                (await self.call(Role.FEED, "PUT", f"/v1/persons/{person_id}", said)).raise_for_status()
            bound[mother, child] = await self.bind(mother, child, wallet=True, auto_accept=True)
            bound[father, child] = await self.bind(father, child)
            bound[mother, son] = await self.bind(mother, son, wallet=True)
        return bound

    async def bind(self, payer_id: str, beneficiary_id: str, **more: Any) -> str:
        said = {"payer_id": payer_id, "beneficiary_id": beneficiary_id, "relation": "son", **more}
        response = await self.call(Role.CLERK, "POST", "/v1/bindings", said)
        response.raise_for_status()
        binding_id: str = response.json()["binding_id"]
        return binding_id

    async def end_and_bind_again(
        self, bound: dict[tuple[str, str], str], chance: random.Random, enough: asyncio.Event
    ) -> None:
        """Ends fathers' bindings and makes them again; while one is ended for certain, its payer must not pay."""
        while not enough.is_set():
            _, father, _, child = people(chance.randrange(FAMILIES))
            binding_id = bound[father, child]
            (await self.call(Role.CLERK, "POST", f"/v1/bindings/{binding_id}/end", {})).raise_for_status()
            from_s = time.monotonic()
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            self.history.unbound.append(Period(father, child, from_s, time.monotonic()))
            bound[father, child] = await self.bind(father, child)

    async def say_yes(self, chance: random.Random, enough: asyncio.Event) -> None:
        """Sons accept some of the gifts that wait for them, one that was cancelled meanwhile in vain."""
        while not enough.is_set():
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            waiting = [
                (heard.answer["transfer_id"], each.body["to_person_id"])
                for each in self.history.decided("transfer")
                for heard in each.heard
                if heard.answer["outcome"] == "pending" and heard.answer["transfer_id"] not in self.history.accepted
            ]
            if waiting:
                transfer_id, person_id = chance.choice(waiting)
                path = f"/v1/transfers/{transfer_id}/accept"
                if (await self.call(Role.MEMBER, "POST", path, {}, person_id=person_id)).is_success:
                    self.history.accepted.add(transfer_id)

    async def list_transfers(self) -> None:
        """What has become of every gift, as its receiver is told."""
        for family in range(FAMILIES):
            for person_id in people(family)[2:]:
                cursor: dict[str, str] = {}
                while True:
                    query = httpx.QueryParams({"to_person_id": person_id, "limit": "200", **cursor})
                    response = await self.call(Role.MEMBER, "GET", f"/v1/transfers?{query}", person_id=person_id)
                    page = response.raise_for_status().json()
                    self.history.transfers |= {each["transfer_id"]: each["state"] for each in page["items"]}
                    if page["next"] is None:
                        break
                    cursor = {"cursor": page["next"]}
