"""Those outside who call over HTTP: a clerk who ends bindings and makes them again, an operator who freezes accounts, the feed that
suspends people, and sons who say yes to gifts."""

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.domain.roles import Role
from shared.runtime.tokens import sign_token
from tests.nemesis.history import Bound, Change, History, Period
from tests.nemesis.town import AGENCY, FAMILIES, HOSPITAL, NAME, PAUSE_S, POLICY, REGION, people

# Why somebody is not bound just now.
SUSPENDED = frozenset({"payer_not_active", "beneficiary_not_insured"})
# Some fathers let only so much be used in a year.
LIMITS_FEN = (None, None, None, 400, 2_500)


@dataclass(slots=True)
class Desk:
    """Where people call the binding service; a call that is not answered is made again under the same Idempotency-Key."""

    http: httpx.AsyncClient
    private_key: bytes
    history: History
    persons: dict[str, dict[str, Any]] = field(default_factory=dict)
    bound: dict[tuple[str, str], Bound] = field(default_factory=dict)

    async def call(
        self,
        role: Role,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        person_id: str | None = None,
        making: Change | None = None,
    ) -> httpx.Response:
        """The answer, however often it has to be called. `making`: what is so once it is answered."""
        token = sign_token(self.private_key, role, person_id=person_id, life_s=3_600)
        headers = {"Authorization": f"Bearer {token}"}
        if method == "POST":
            headers["Idempotency-Key"] = secrets.token_hex(16)
        while True:
            try:
                response = await self.http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                response = None
            if response and response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                if making:
                    making.until_s = time.monotonic()
                return response
            # Without a key nothing keeps the call that was given up from being carried out yet.
            if making and method == "PUT":
                making.lingers = True
            await asyncio.sleep(PAUSE_S)

    async def prepare(self) -> None:
        """Institutions, people and bindings."""
        (await self.call(Role.OPERATOR, "PUT", "/v1/regions/13/policy", POLICY)).raise_for_status()
        for institution_id, kind in ((HOSPITAL, "hospital"), (AGENCY, "agency")):
            said = {"name": institution_id, "kind": kind, "region_code": REGION}
            (await self.call(Role.OPERATOR, "PUT", f"/v1/institutions/{institution_id}", said)).raise_for_status()
        for family in range(FAMILIES):
            mother, father, son, child = people(family)
            for number, person_id in enumerate((mother, father, son, child)):
                id_number = f"1301021990{family:04d}{number:04d}"
                self.history.personal += (id_number,)
                insurance = "resident" if person_id == child else "employee"
                self.persons[person_id] = {
                    "name": NAME,
                    "id_number": id_number,
                    "region_code": REGION,
                    "insurance": insurance,
                }
                insured = self.history.changing("insurance", person_id, to=insurance)
                await self.enrol(person_id, "active")
                insured.until_s = time.monotonic()
            await self.bind(mother, child, wallet=True, auto_accept=True)
            await self.bind(father, child)
            await self.bind(mother, son, wallet=True)

    async def enrol(self, person_id: str, status: str) -> Change:
        """The feed says of somebody that they are insured, or that it is suspended."""
        making = self.history.changing("status", person_id, to=status)
        said = {**self.persons[person_id], "status": status}
        (await self.call(Role.FEED, "PUT", f"/v1/persons/{person_id}", said, making=making)).raise_for_status()
        return making

    async def bind(self, payer_id: str, beneficiary_id: str, **more: Any) -> None:
        """Makes a binding, as soon as both are insured."""
        place = sum(len(changes) for fact, changes in self.history.facts.items() if fact[0] == "binding")
        said = {"payer_id": payer_id, "beneficiary_id": beneficiary_id, "relation": "son", **more}
        while True:
            making = self.history.changing("binding", payer_id, beneficiary_id, to=None)
            response = await self.call(Role.CLERK, "POST", "/v1/bindings", said)
            if response.is_success or not SUSPENDED.issuperset(response.json()["reasons"]):
                break
            self.history.facts["binding", payer_id, beneficiary_id].remove(making)
            await asyncio.sleep(PAUSE_S)
        binding_id = response.raise_for_status().json()["binding_id"]
        making.value = self.bound[payer_id, beneficiary_id] = Bound(payer_id, beneficiary_id, binding_id, place, **more)
        making.until_s = time.monotonic()

    async def end(self, bound: Bound) -> None:
        making = self.history.changing("binding", bound.payer_id, bound.beneficiary_id, to=None)
        path = f"/v1/bindings/{bound.binding_id}/end"
        (await self.call(Role.CLERK, "POST", path, {}, making=making)).raise_for_status()

    async def freeze(self, person_id: str, *, frozen: bool) -> None:
        making = self.history.changing("frozen", person_id, to=frozen)
        path = f"/v1/accounts/{person_id}/{'freeze' if frozen else 'unfreeze'}"
        (await self.call(Role.OPERATOR, "POST", path, {}, making=making)).raise_for_status()

    # ---- while everything goes on ----

    async def end_and_bind_again(self, chance: random.Random, enough: asyncio.Event) -> None:
        """Ends fathers' bindings and makes them again; while one is ended for certain, its payer must not pay."""
        while not enough.is_set():
            _, father, _, child = people(chance.randrange(FAMILIES))
            lasts_s, limit_fen = chance.uniform(0.2, 1.0), chance.choice(LIMITS_FEN)
            await self.end(self.bound[father, child])
            from_s = time.monotonic()
            await asyncio.sleep(lasts_s)
            self.history.unbound.append(Period(father, child, from_s, time.monotonic()))
            await self.bind(father, child, **({} if limit_fen is None else {"annual_limit_fen": limit_fen}))

    async def freeze_and_unfreeze(self, chance: random.Random, enough: asyncio.Event) -> None:
        """Accounts that are frozen for a moment."""
        while not enough.is_set():
            mother, father, son, _ = people(chance.randrange(FAMILIES))
            person_id, lasts_s = chance.choice((mother, father, son)), chance.uniform(0.2, 2.0)
            await self.freeze(person_id, frozen=True)
            await asyncio.sleep(lasts_s)
            await self.freeze(person_id, frozen=False)
            await asyncio.sleep(chance.uniform(0.2, 1.0))

    async def suspend_and_insure_again(self, chance: random.Random, enough: asyncio.Event) -> None:
        """People whose enrolment is suspended for a moment; one of whom a call was given up is left as they are."""
        while not enough.is_set():
            person_id = chance.choice(people(chance.randrange(FAMILIES)))
            lasts_s, pause_s = chance.uniform(0.2, 2.0), chance.uniform(0.5, 2.0)
            if not any(each.lingers for each in self.history.facts["status", person_id]):
                await self.enrol(person_id, "suspended")
                await asyncio.sleep(lasts_s)
                await self.enrol(person_id, "active")
            await asyncio.sleep(pause_s)

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
                path, making = (
                    f"/v1/transfers/{transfer_id}/accept",
                    self.history.changing("accepted", transfer_id, to=True),
                )
                if (await self.call(Role.MEMBER, "POST", path, {}, person_id=person_id, making=making)).is_success:
                    self.history.accepted.add(transfer_id)
                else:
                    self.history.facts["accepted", transfer_id].remove(making)

    # ---- once the faults are over ----

    async def restore(self) -> None:
        """Everybody is insured again, and nobody's account is frozen."""
        for person_id in self.persons:
            await self.enrol(person_id, "active")
            await self.freeze(person_id, frozen=False)

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
