"""The shell around the binding rules: a transaction for each call. Load, lock, judge, write."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from services.binding import bindings, decisions, diagnosis, families, payments, registry, rules, transfers
from services.binding.explanations import Decision
from services.binding.model import (
    Act,
    Action,
    Binding,
    BindingPosition,
    Caller,
    Diagnosis,
    Institution,
    KinshipLink,
    Payment,
    PaymentsAsked,
    Person,
    Proposal,
    Question,
    Refused,
    Transfer,
    TransferState,
)
from services.binding.phrases import HOLDER_UNKNOWN, SHOWN_UNKNOWN
from services.binding.resources import BindingIn, InstitutionIn, KinshipLinkIn, PersonIn, PersonSought
from services.binding.sealing import Sealer
from services.binding.transactions import Change, changing, looking
from shared.domain.ids import parse_public_id, time_ordered_uuid
from shared.domain.policy import PolicyVersion, RegionPolicy
from shared.domain.reasons import Reason
from shared.domain.regions import province_of, whole_province
from shared.domain.roles import Role
from shared.domain.times import Clock
from shared.postgres.authority import EVERY_PROVINCE, take_exclusively

ANSWERS_KEPT = timedelta(days=7)
MISSING = Refused((Reason.NOT_FOUND,))


def recordable(thing_id: str) -> str | None:
    """What is written down of an id that somebody asked about: what cannot be one may be anything, and is not."""
    return thing_id if parse_public_id(thing_id) else None


@dataclass(frozen=True, slots=True)
class Answered:
    """A status and a body, as first answered under an Idempotency-Key."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Handler:
    """What the binding service does, whoever asks; the edge has checked that they may."""

    pool: Any
    clock: Clock
    sealer: Sealer

    def change(self) -> AbstractAsyncContextManager[Change]:
        return changing(self.pool, self.clock)

    def look(self) -> AbstractAsyncContextManager[Any]:
        return looking(self.pool)

    async def ready(self) -> None:
        async with self.look() as connection:
            await connection.fetchval("SELECT 1")

    async def once(
        self,
        caller: Caller,
        key: str | None,
        content: bytes,
        status: int,
        work: Callable[[Change], Awaitable[BaseModel | Refused]],
    ) -> Answered | Refused:
        """Does the work once for a caller's Idempotency-Key; the same key and content again gets the same answer.

        A refusal is not kept: what was refused may be tried again.
        """
        async with self.change() as change:
            if key is None:
                done = await work(change)
                return done if isinstance(done, Refused) else Answered(status, done.model_dump(mode="json"))
            connection, digest = change.connection, sha256(content).digest()
            await connection.execute(registry.SQL["lock_idempotency_key"], caller.subject, key)
            kept = await connection.fetchrow(registry.SQL["answered"], caller.subject, key)
            if kept is not None:
                if kept["content"] != digest:
                    return Refused((Reason.REQUEST_CONFLICT,))
                return Answered(kept["status"], orjson.loads(kept["body"]))
            done = await work(change)
            if isinstance(done, Refused):
                return done
            body = done.model_dump(mode="json")
            await connection.execute(
                registry.SQL["remember_answer"],
                caller.subject,
                key,
                digest,
                status,
                orjson.dumps(body).decode(),
                change.now,
                change.now - ANSWERS_KEPT,
            )
            return Answered(status, body)

    # ---- the registry's facts ----

    async def put_person(self, caller: Caller, person_id: str, said: PersonIn) -> Person:
        """What the feed says of a person; bindings that it makes impossible end with it."""
        async with self.change() as change:
            before = (await registry.lock_persons(change.connection, [person_id])).get(person_id)
            sealed = self.sealer.seal(
                said.name,
                said.id_number,
                person_id=person_id,
                key_id=await registry.sealing_key(change.connection),
            )
            person = Person(
                province=province_of(said.region_code),
                person_id=person_id,
                region_code=said.region_code,
                insurance=said.insurance,
                status=said.status,
                account_frozen=False,
                name_sealed=sealed.name,
                id_number_sealed=sealed.id_number,
            )
            change.provinces |= await registry.put_person(change.connection, person, sealed.id_number_index, change.now)
            if before:
                await self._close(change, caller, before, person)
            return await registry.person(change.connection, person_id) or person

    async def person(self, caller: Caller, person_id: str) -> Person | Refused:
        async with self.look() as connection:
            await registry.record_act(connection, caller, Action.READ_PERSON, [person_id], self.clock())
            return await registry.person(connection, person_id) or MISSING

    async def find_persons(self, caller: Caller, sought: PersonSought) -> list[Person]:
        """Whose ID number this is. What is written down of it is whom it found, not what was asked for."""
        async with self.look() as connection:
            indexes = self.sealer.indexes(sought.id_number)
            found = await registry.find_persons(connection, province_of(sought.region_code), indexes)
            people = [person.person_id for person in found]
            await registry.record_act(connection, caller, Action.FIND_PERSONS, people, self.clock())
            return found

    async def freeze(self, change: Change, caller: Caller, person_id: str, *, frozen: bool) -> bool:
        """Whether there is such a person to freeze or unfreeze."""
        await change.act(caller, Action.FREEZE if frozen else Action.UNFREEZE, person_id)
        province = await registry.freeze(change.connection, person_id, frozen=frozen, now=change.now)
        if province is not None:
            change.provinces.add(province)
        return province is not None

    async def put_institution(
        self, caller: Caller, institution_id: str, said: InstitutionIn, *, exclusive: bool
    ) -> tuple[Institution, bool] | Refused:
        """The institution as it is registered now, and whether it is new; `exclusive`: no other may have its user of the broker."""
        async with self.change() as change:
            holders = []
            if exclusive and said.amqp_user:
                holders = await registry.lock_amqp_user(change.connection, said.amqp_user)
            refused = rules.refuse_institution(institution_id, holders)
            known = await registry.institution(change.connection, institution_id)
            await change.act(caller, Action.PUT_INSTITUTION, thing_id=None if refused else institution_id)
            if refused:
                return refused
            change.provinces.add(EVERY_PROVINCE)
            return await registry.put_institution(change.connection, institution_id, said, change.now), known is None

    async def put_policy(self, caller: Caller, code: str, policy: RegionPolicy) -> int:
        """The number of the new version."""
        async with self.change() as change:
            await change.act(caller, Action.PUT_POLICY, thing_id=code)
            change.provinces.add(province_of(code))
            return await registry.put_policy(change.connection, code, policy, caller.subject, change.now)

    # ---- bindings ----

    async def bind(self, change: Change, caller: Caller, asked: BindingIn) -> Binding | Refused:
        """A new binding, or every reason against it."""
        made = await self._bind(change, caller, asked)
        thing_id = None if isinstance(made, Refused) else made.binding_id
        await change.act(caller, Action.BIND, asked.payer_id, asked.beneficiary_id, thing_id=thing_id)
        return made

    async def _bind(self, change: Change, caller: Caller, asked: BindingIn) -> Binding | Refused:
        proposal = Proposal(
            asked.payer_id,
            asked.beneficiary_id,
            asked.relation,
            asked.valid_from or change.today,
            asked.valid_until,
            asked.annual_limit_fen,
            asked.wallet,
            asked.auto_accept,
        )
        position = await self._position(change, proposal)
        if reasons := rules.refuse_binding(proposal, position):
            return Refused(reasons)
        payer, beneficiary = position.payer, position.beneficiary
        assert payer
        assert beneficiary
        binding = Binding(
            province=payer.province,
            row_id=time_ordered_uuid(change.now, payer.person_id, beneficiary.person_id, change.now.isoformat()),
            payer_id=payer.person_id,
            beneficiary_province=beneficiary.province,
            beneficiary_id=beneficiary.person_id,
            relation=proposal.relation,
            valid_from=proposal.valid_from,
            valid_until=proposal.valid_until,
            annual_limit_fen=proposal.annual_limit_fen,
            wallet=proposal.wallet,
            auto_accept=proposal.auto_accept,
            bound_at=change.now,
            ended_at=None,
            end_cause=None,
        )
        await bindings.add(change.connection, binding, caller.subject)
        change.provinces |= {binding.province, binding.beneficiary_province}
        return binding

    async def binding(self, change: Change, binding_id: str) -> Binding | Refused:
        """One binding, locked until the transaction ends."""
        place = parse_public_id(binding_id)
        return (place and await bindings.lock(change.connection, *place)) or MISSING

    async def end(self, change: Change, caller: Caller, binding: Binding, end_date: date | None) -> Binding | Refused:
        """The binding with its end. One that ends no later already stays as it is."""
        await change.act(caller, Action.END, binding.payer_id, binding.beneficiary_id, thing_id=binding.binding_id)
        day = end_date or change.today
        if binding.is_over_by(day):
            return binding
        payer = await registry.person(change.connection, binding.payer_id)
        book = await registry.policies(change.connection, [binding.province])
        region = payer.region_code if payer else whole_province(binding.province)
        if reasons := rules.refuse_end(binding, day, book.on(region, change.today)):
            return Refused(reasons)
        ended = binding.ended(day, change.now, f"asked_by_{caller.role}")
        await bindings.end(change.connection, ended, caller.subject)
        change.provinces |= {binding.province, binding.beneficiary_province}
        return ended

    async def _close(self, change: Change, caller: Caller, before: Person, after: Person) -> None:
        """Ends today what the feed has made impossible.

        The order of locks, here and wherever bindings change: people's ids, persons, bindings, the provinces' authority.
        """
        why_payer, why_beneficiary = rules.why_payer_stops(before, after), rules.why_beneficiary_stops(before, after)
        if not (why_payer or why_beneficiary):
            return
        for binding in await bindings.lock_standing(change.connection, before, change.today):
            if cause := why_payer if binding.payer_id == before.person_id else why_beneficiary:
                closed = binding.ended(change.today, change.now, cause)
                await bindings.end(change.connection, closed, caller.subject)
                change.provinces |= {binding.province, binding.beneficiary_province}

    async def bindings_of(self, caller: Caller, person_id: str, *, side: str, after: UUID, limit: int) -> list[Binding]:
        """A page of a person's bindings, wherever they have been insured; nobody's, if nobody has this id."""
        async with self.look() as connection:
            await registry.record_act(connection, caller, Action.LIST_BINDINGS, [person_id], self.clock())
            return await bindings.list_of(connection, person_id, side=side, after=after, limit=limit)

    # ---- kinship links ----

    async def link(self, change: Change, caller: Caller, asked: KinshipLinkIn) -> KinshipLink | Refused:
        """Lets the holder show somebody's code. It moves no money."""
        made = await self._link(change, caller, asked)
        thing_id = None if isinstance(made, Refused) else made.kinship_link_id
        await change.act(caller, Action.LINK, asked.holder_id, asked.shown_id, thing_id=thing_id)
        return made

    async def _link(self, change: Change, caller: Caller, asked: KinshipLinkIn) -> KinshipLink | Refused:
        holder = await registry.person(change.connection, asked.holder_id)
        shown = await registry.person(change.connection, asked.shown_id)
        if holder is None or shown is None:
            sides = ((holder, HOLDER_UNKNOWN), (shown, SHOWN_UNKNOWN))
            return Refused(MISSING.reasons, details=tuple(text for side, text in sides if side is None))
        link = KinshipLink(
            shown.province,
            time_ordered_uuid(change.now, asked.holder_id, asked.shown_id, change.now.isoformat()),
            asked.holder_id,
            asked.shown_id,
            change.now,
        )
        made = await bindings.add_link(change.connection, link, caller.subject)
        if made.row_id == link.row_id:
            change.provinces.add(link.province)
        return made

    async def kinship_link(self, change: Change, kinship_link_id: str) -> KinshipLink | Refused:
        place = parse_public_id(kinship_link_id)
        return (place and await bindings.link(change.connection, *place)) or MISSING

    async def unlink(self, change: Change, caller: Caller, link: KinshipLink) -> None:
        await change.act(caller, Action.UNLINK, link.holder_id, link.shown_id, thing_id=link.kinship_link_id)
        await bindings.end_link(change.connection, link, change.now)
        change.provinces.add(link.province)

    async def links_of(
        self, caller: Caller, person_id: str, *, side: str, after: UUID, limit: int
    ) -> list[KinshipLink]:
        async with self.look() as connection:
            await registry.record_act(connection, caller, Action.LIST_LINKS, [person_id], self.clock())
            return await bindings.list_links(connection, person_id, side=side, after=after, limit=limit)

    # ---- the wallet ----

    async def transfer(self, change: Change, transfer_id: str) -> Transfer | Refused:
        place = parse_public_id(transfer_id)
        return (place and await transfers.find(change.connection, *place)) or MISSING

    async def accept(self, change: Change, caller: Caller, transfer: Transfer) -> Transfer | Refused:
        """The transfer, accepted. One that can be is looked at again once the worker can no longer return it."""
        connection = change.connection
        judged = await self._judge(change, transfer)
        if judged is not None:
            return judged
        await take_exclusively(connection, {transfer.province, transfer.to_province})
        found = await transfers.find(connection, transfer.province, transfer.row_id)
        assert found
        judged = await self._judge(change, found)
        if judged is not None:
            return judged
        await transfers.accept(connection, found, change.now, caller.subject)
        return replace(found, state=TransferState.ACCEPTED, accepted_at=change.now)

    async def _judge(self, change: Change, transfer: Transfer) -> Transfer | Refused | None:
        """The transfer where nothing is left to accept, or why it cannot be; None where it can."""
        if transfer.state is TransferState.ACCEPTED:
            return transfer
        receiver = await registry.person(change.connection, transfer.to_person_id)
        reasons = rules.refuse_acceptance(transfer, receiver, change.now)
        return Refused(reasons) if reasons else None

    async def transfers_of(self, person_id: str, *, sides: tuple[str, ...], before: UUID, limit: int) -> list[Transfer]:
        async with self.look() as connection:
            return await transfers.list_of(connection, person_id, sides=sides, before=before, limit=limit)

    # ---- payments ----

    async def payments_of(self, caller: Caller, asked: PaymentsAsked, *, limit: int) -> list[Payment]:
        """A page of a person's payments, on both sides; none, if nobody has this id."""
        async with self.look() as connection:
            await registry.record_act(connection, caller, Action.LIST_PAYMENTS, [asked.person_id], self.clock())
            return await payments.page(connection, asked, limit)

    # ---- who looked ----

    async def acts_about(self, caller: Caller, person_id: str, *, before: int, limit: int) -> list[Act]:
        async with self.look() as connection:
            await registry.record_act(connection, caller, Action.LIST_ACTS, [person_id], self.clock())
            return await registry.acts_about(connection, person_id, before=before, limit=limit)

    # ---- decisions ----

    async def decision(self, caller: Caller, decision_id: str) -> Decision | Refused:
        """A decision of the worker; to anybody but an operator only what is theirs of their own."""
        place = parse_public_id(decision_id)
        async with self.look() as connection:
            found = await decisions.find(connection, *place) if place else None
            about = [found.subject_id] if found and found.subject_id else []
            thing_id = recordable(decision_id)
            await registry.record_act(connection, caller, Action.EXPLAIN, about, self.clock(), thing_id)
        if found is None:
            return MISSING
        if caller.role is Role.OPERATOR:
            return found
        if found.subject_id is None or not caller.is_person(found.subject_id):
            return Refused((Reason.FORBIDDEN,))
        return found.as_told_to(found.subject_id)

    # ---- diagnosis ----

    async def diagnose(self, caller: Caller, question: Question) -> Diagnosis:
        """Why this payer, or anybody, can or cannot pay for the beneficiary now."""
        asked_about = [each for each in (question.payer_id, question.beneficiary_id) if each]
        async with self.look() as connection:
            await registry.record_act(connection, caller, Action.DIAGNOSE, asked_about, self.clock())
            # One snapshot: a payment under way is seen whole or not at all.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                family = await families.read(connection, question, self.clock())
        return diagnosis.diagnose(family, question)

    async def _position(self, change: Change, proposal: Proposal) -> BindingPosition:
        connection = change.connection
        people = await registry.lock_persons(connection, [proposal.payer_id, proposal.beneficiary_id])
        payer, beneficiary = people.get(proposal.payer_id), people.get(proposal.beneficiary_id)
        book = await registry.policies(connection, {person.province for person in people.values()})
        standing = (
            await bindings.standing(connection, payer, beneficiary, change.today) if payer and beneficiary else []
        )

        def policy_of(person: Person | None) -> PolicyVersion:
            return book.on(person.region_code if person else "", change.today)

        return BindingPosition(
            today=change.today,
            payer=payer,
            beneficiary=beneficiary,
            payer_policy=policy_of(payer),
            beneficiary_policy=policy_of(beneficiary),
            of_payer=tuple(each for each in standing if each.payer_id == proposal.payer_id),
            of_beneficiary=tuple(each for each in standing if each.beneficiary_id == proposal.beneficiary_id),
        )
