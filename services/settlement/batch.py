"""A batch in memory: each request decided in the order of arrival, each seeing what the ones before it took. Pure."""

from dataclasses import dataclass
from datetime import datetime

from services.settlement import answers, rules
from services.settlement.model import (
    NOBODY,
    Decision,
    Facts,
    Incoming,
    Position,
    RequestName,
    Resolution,
    StoredDecision,
)
from shared.domain.accounts import Account
from shared.domain.ids import PersonKey, time_ordered_uuid
from shared.domain.mutual_aid import Binding, Candidate, candidate_of
from shared.domain.policy import PolicyBook
from shared.domain.times import shanghai_date
from shared.messages.credit import CreditRequest
from shared.messages.envelope import Operation, Request
from shared.messages.lookup import LookupRequest
from shared.messages.settle import SettleRequest

# An inquiry leaves no trace: it is answered anew each time.
INQUIRIES = frozenset({Operation.QUOTE, Operation.LOOKUP})


@dataclass(slots=True)
class Batch:
    """What a transaction has read, moving on with each decision.

    `accounts` holds every account that was locked; `held` names those that somebody else holds.
    """

    now: datetime
    book: PolicyBook
    facts: Facts
    accounts: dict[PersonKey, Account]
    authenticate_senders: bool = False
    held: frozenset[PersonKey] = frozenset()

    def lacks(self, incoming: Incoming) -> bool:
        """Whether a request may need an account that somebody else holds."""
        return bool(self.held) and not self.held.isdisjoint(self.touched(incoming))

    def touched(self, incoming: Incoming) -> list[PersonKey]:
        """Everybody whose account a request may move, in the order in which accounts are locked."""
        subject = subject_of(incoming.request)
        if subject is None or (incoming.operation not in INQUIRIES and incoming.name in self.facts.stored):
            return []
        payers = {binding.payer for binding in self.facts.bindings.get(subject, ())}
        return sorted({subject, *payers})

    def decide(self, incoming: Incoming) -> Resolution:
        """One request: its verdict, the answer, and the accounts as they are after it."""
        locked = tuple(key for key in self.touched(incoming) if key in self.accounts)
        verdict = rules.decide(incoming.request, self.position(incoming))
        movement_id = None
        if isinstance(verdict, Decision) and verdict.moves_money:
            movement_id = time_ordered_uuid(self.now, *map(str, incoming.name))
            for entry in verdict.entries:
                self.accounts[entry.person] = self.accounts[entry.person].plus(entry)
                if entry.binding_id:
                    used_fen = self.facts.used_fen.get(entry.binding_id, 0)
                    self.facts.used_fen[entry.binding_id] = used_fen + entry.contra_fen
        answer = answers.answer(incoming, verdict, movement_id, self.now)
        if isinstance(verdict, Decision) and incoming.operation not in INQUIRIES:
            self.facts.stored[incoming.name] = StoredDecision(
                incoming.operation, incoming.request.content(), answer.model_dump_json()
            )
        return Resolution(incoming, verdict, answer, movement_id, locked)

    def position(self, incoming: Incoming) -> Position:
        """Everything that this one request is decided by."""
        request, name = incoming.request, incoming.name
        patient_key = subject_of(request)
        patient = self.facts.enrolments.get(patient_key) if patient_key else None
        settles = isinstance(request, SettleRequest)
        policy = self.book.on(patient.region_code, shanghai_date(self.now)) if settles and patient else None
        return Position(
            now=self.now,
            sender=incoming.sender,
            authenticate_senders=self.authenticate_senders,
            institution=self.facts.institutions.get(name.institution_id),
            stored=None if incoming.operation in INQUIRIES else self.facts.stored.get(name),
            patient=patient,
            patient_key=patient_key or NOBODY,
            account=self.accounts.get(patient_key, Account()) if patient_key else Account(),
            policy=policy,
            candidates=self._candidates(patient_key) if settles and patient_key else (),
            kinship_linked=patient_key in self.facts.kinship_linked,
            original=self.facts.stored.get(original) if (original := original_of(incoming)) else None,
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
            account=self.accounts.get(binding.payer, Account()),
            used_fen=self.facts.used_fen.get(binding.binding_id, 0),
        )


def subject_of(request: Request) -> PersonKey | None:
    """Whose account a request is about."""
    if isinstance(request, SettleRequest | CreditRequest):
        return PersonKey(int(request.insured_region[:2]), request.person_id)
    return None


def original_of(incoming: Incoming) -> RequestName | None:
    """The request that another request speaks of."""
    if isinstance(incoming.request, LookupRequest):
        return RequestName(
            incoming.name.province, incoming.request.institution_id, incoming.request.original_request_id
        )
    return None
