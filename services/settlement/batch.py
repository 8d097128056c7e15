"""A batch in memory: each request decided in the order of arrival, each seeing what the ones before it took. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.settlement import answers, rules
from services.settlement.journal import Journal
from services.settlement.model import (
    NOBODY,
    Decision,
    Facts,
    Incoming,
    Movement,
    MovementKind,
    Position,
    RequestName,
    Resolution,
    StoredDecision,
    Transfer,
)
from shared.domain.accounts import EMPTY, Account
from shared.domain.ids import PersonKey, time_ordered_uuid
from shared.domain.mutual_aid import Binding, Candidate, candidate_of
from shared.domain.policy import PolicyBook
from shared.domain.regions import province_of
from shared.domain.times import shanghai_date
from shared.messages.credit import CreditRequest
from shared.messages.envelope import Operation, Outcome, Request
from shared.messages.lookup import LookupRequest
from shared.messages.settle import SettleRequest
from shared.messages.transfer import TransferRequest

# An inquiry leaves no trace: it is answered anew each time.
INQUIRIES = frozenset({Operation.QUOTE, Operation.LOOKUP})
MOVEMENT_KINDS = {
    Operation.SETTLE: MovementKind.SETTLEMENT,
    Operation.CREDIT: MovementKind.CREDIT,
    Operation.TRANSFER: MovementKind.TRANSFER,
}


@dataclass(slots=True)
class Batch:
    """What a transaction has read, moving on with each decision.

    The journal holds every account that was locked; `held` names those that somebody else holds. `made` and `closed`
    are the transfers that this batch begins and ends.
    """

    journal: Journal
    book: PolicyBook
    facts: Facts
    authenticate_senders: bool = False
    held: frozenset[PersonKey] = frozenset()
    made: list[Transfer] = field(default_factory=list)
    closed: list[tuple[Transfer, Movement]] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        return self.journal.now

    @property
    def accounts(self) -> dict[PersonKey, Account]:
        return self.journal.accounts

    def lacks(self, incoming: Incoming) -> bool:
        """Whether a request may need an account that somebody else holds."""
        return bool(self.held) and not self.held.isdisjoint(touched(incoming, self.facts))

    def close(self, transfer: Transfer) -> None:
        """Ends a transfer: accepted, it arrives; else it returns."""
        kind, entry = rules.end_of(transfer, self.now)
        movement_id = time_ordered_uuid(self.now, kind, str(transfer.province), transfer.transfer_id.hex)
        movement = Movement(kind, movement_id, (entry,))
        self.journal.move(movement)
        self.closed.append((transfer, movement))

    def decide(self, incoming: Incoming) -> Resolution:
        """One request: its verdict, the answer, and the accounts as they are after it."""
        locked = tuple(key for key in touched(incoming, self.facts) if key in self.accounts)
        verdict = rules.decide(incoming.request, self.position(incoming))
        movement = None
        if isinstance(verdict, Decision) and verdict.moves_money:
            movement = self._move(incoming, verdict)
        answer = answers.answer(incoming, verdict, movement.movement_id if movement else None, self.now)
        if isinstance(verdict, Decision) and incoming.operation not in INQUIRIES:
            self.facts.stored[incoming.name] = StoredDecision(
                incoming.operation, incoming.request.content(), answer.model_dump_json()
            )
        return Resolution(incoming, verdict, answer, movement, locked)

    def _move(self, incoming: Incoming, decision: Decision) -> Movement:
        movement_id = time_ordered_uuid(self.now, *map(str, incoming.name))
        movement = Movement(MOVEMENT_KINDS[incoming.operation], movement_id, decision.entries, incoming.name)
        self.journal.move(movement)
        for entry in decision.entries:
            if entry.binding_id:
                used_fen = self.facts.used_fen.get(entry.binding_id, 0)
                self.facts.used_fen[entry.binding_id] = used_fen + entry.contra_fen
        if isinstance(incoming.request, TransferRequest):
            made = self._transfer(incoming.request, decision, movement_id)
            self.made.append(made)
            self.facts.transfers_today[made.giver] = self.facts.transfers_today.get(made.giver, 0) + 1
        return movement

    def _transfer(self, request: TransferRequest, decision: Decision, transfer_id: UUID) -> Transfer:
        (entry,) = decision.entries
        assert decision.wallet_binding
        assert decision.accept_by
        return Transfer(
            province=entry.person.province,
            transfer_id=transfer_id,
            giver=entry.person,
            receiver=receiver_of(request),
            binding_id=decision.wallet_binding.binding_id,
            current_year_fen=-entry.current_year_fen,
            prior_years_fen=-entry.prior_years_fen,
            accepted=decision.outcome is Outcome.TRANSFERRED,
            made_at=self.now,
            accept_by=decision.accept_by,
        )

    def position(self, incoming: Incoming) -> Position:
        """Everything that this one request is decided by."""
        request, name, facts = incoming.request, incoming.name, self.facts
        patient_key = subject_of(request)
        patient = facts.enrolments.get(patient_key) if patient_key else None
        receiver = receiver_of(request) if isinstance(request, TransferRequest) else None
        original = original_of(incoming)
        return Position(
            now=self.now,
            sender=incoming.sender,
            authenticate_senders=self.authenticate_senders,
            institution=facts.institutions.get(name.institution_id),
            stored=None if incoming.operation in INQUIRIES else facts.stored.get(name),
            patient=patient,
            patient_key=patient_key or NOBODY,
            account=self.accounts.get(patient_key, EMPTY) if patient_key else EMPTY,
            policy=self.book.on(patient.region_code, shanghai_date(self.now)) if patient else None,
            candidates=self._candidates(patient_key) if isinstance(request, SettleRequest) and patient_key else (),
            kinship_linked=patient_key in facts.kinship_linked,
            original=facts.stored.get(original) if original else None,
            receiver=facts.enrolments.get(receiver) if receiver else None,
            wallet_binding=self._wallet_binding(patient_key, receiver) if patient_key and receiver else None,
            transfers_today=facts.transfers_today.get(patient_key, 0) if patient_key else 0,
        )

    def _candidates(self, patient_key: PersonKey) -> tuple[Candidate, ...]:
        return tuple(self._candidate(binding, patient_key) for binding in self.facts.bindings.get(patient_key, ()))

    def _candidate(self, binding: Binding, patient_key: PersonKey) -> Candidate:
        return candidate_of(
            binding,
            self.facts.enrolments.get(binding.payer),
            patient_key,
            self.facts.enrolments.get(patient_key),
            self.book,
            shanghai_date(self.now),
            account=self.accounts.get(binding.payer, EMPTY),
            used_fen=self.facts.used_fen.get(binding.binding_id, 0),
        )

    def _wallet_binding(self, giver: PersonKey, receiver: PersonKey) -> Binding | None:
        """The binding that lets one give to the other's wallet, made earliest."""
        opened = [
            each
            for each in self.facts.bindings.get(receiver, ())
            if each.payer == giver and each.wallet and not each.closed
        ]
        return min(opened, key=lambda each: (each.bound_at, each.binding_id), default=None)


def subject_of(request: Request) -> PersonKey | None:
    """Whose account a request is about: the patient, the account holder, the giver."""
    match request:
        case SettleRequest() | CreditRequest():
            return PersonKey(province_of(request.insured_region), request.person_id)
        case TransferRequest():
            return PersonKey(province_of(request.insured_region), request.from_person_id)
    return None


def receiver_of(request: TransferRequest) -> PersonKey:
    return PersonKey(province_of(request.to_insured_region), request.to_person_id)


def people_of(request: Request) -> set[PersonKey]:
    """Everybody whom a request names: their enrolment and their bindings decide it."""
    subject = subject_of(request)
    if isinstance(request, TransferRequest):
        return {receiver_of(request), *({subject} if subject else ())}
    return {subject} if subject else set()


def touched(incoming: Incoming, facts: Facts) -> list[PersonKey]:
    """Everybody whose account a request may move, in the order in which accounts are locked.

    A payer in another province never can pay, and a transfer reaches its receiver's wallet later: nobody locks an
    account of another province.
    """
    subject = subject_of(incoming.request)
    if subject is None or (incoming.operation not in INQUIRIES and incoming.name in facts.stored):
        return []
    if not isinstance(incoming.request, SettleRequest):
        return [subject]
    payers = {each.payer for each in facts.bindings.get(subject, ()) if each.payer.province == subject.province}
    return sorted({subject, *payers})


def original_of(incoming: Incoming) -> RequestName | None:
    """The request that another request speaks of."""
    if isinstance(incoming.request, LookupRequest):
        return RequestName(
            incoming.name.province, incoming.request.institution_id, incoming.request.original_request_id
        )
    return None
