"""A batch in memory: each request decided in the order of arrival, each seeing what the ones before it took. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.settlement import answers, rules
from services.settlement.concerns import patient_of, touched
from services.settlement.incoming import Incoming, RequestName
from services.settlement.journal import Journal
from services.settlement.model import (
    NOBODY,
    Decision,
    Facts,
    Kept,
    Movement,
    MovementKind,
    Original,
    Position,
    Resolution,
    StoredDecision,
    Transfer,
    Undo,
    decision_id,
)
from services.settlement.records import record_of
from services.settlement.rules import asks_relatives
from services.settlement.transferring import end_of
from services.settlement.undoing import less, paid, tombstone
from shared.domain.accounts import EMPTY, Account
from shared.domain.ids import PersonKey, time_ordered_uuid
from shared.domain.mutual_aid import Binding, Candidate, candidate_of
from shared.domain.policy import PolicyBook
from shared.domain.times import shanghai_date, shanghai_year
from shared.messages.envelope import Operation, Outcome

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
    made: dict[RequestName, Transfer] = field(default_factory=dict)
    closed: list[tuple[Transfer, Movement]] = field(default_factory=list)
    undone: list[Undo] = field(default_factory=list)
    today: date = field(init=False)
    _decided: dict[RequestName, Resolution] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.today = shanghai_date(self.now)

    @property
    def now(self) -> datetime:
        return self.journal.now

    @property
    def accounts(self) -> dict[PersonKey, Account]:
        return self.journal.accounts

    def lacks(self, incoming: Incoming) -> bool:
        """Whether a request may need an account, or speaks of a transfer, that somebody else holds."""
        if incoming.original in self.facts.held:
            return True
        return bool(self.held) and not self.held.isdisjoint(touched(incoming, self.facts))

    def close(self, transfer: Transfer) -> None:
        """Ends a transfer: accepted, it arrives; else it returns."""
        kind, entry = end_of(transfer, self.now)
        movement_id = time_ordered_uuid(self.now, kind, str(transfer.province), transfer.transfer_id.hex)
        movement = Movement(kind, movement_id, (entry,))
        self.journal.move(movement)
        self.closed.append((transfer, movement))

    def decide(self, incoming: Incoming) -> Resolution:
        """One request: its verdict, the answer, and the accounts as they are after it."""
        locked = tuple(key for key in touched(incoming, self.facts) if key in self.accounts)
        self._arrive(locked)
        position = self.position(incoming)
        verdict = rules.decide(incoming.request, position)
        if isinstance(verdict, Decision) and not incoming.is_inquiry:
            return self._keep(incoming, verdict, record_of(verdict, position, locked))
        return Resolution(incoming, verdict, answers.answer(incoming, verdict, None, self.now))

    def _keep(self, incoming: Incoming, decision: Decision, record: Mapping[str, Any]) -> Resolution:
        """The decision takes effect, and holds for good."""
        row_id = decision_id(incoming.name, self.now)
        movement = self._move(incoming, decision, row_id) if decision.moves_money else None
        answer = answers.answer(incoming, decision, row_id if movement else None, self.now)
        stored = StoredDecision(
            incoming.operation, incoming.request.content(), answer.text, row_id if movement else None, self.now
        )
        resolution = Resolution(incoming, decision, answer, Kept(row_id, stored, record, movement))
        self.facts.stored[incoming.name] = stored
        self._decided[incoming.name] = resolution
        if decision.undo:
            self._undo(decision.undo)
        return resolution

    def _arrive(self, people: Sequence[PersonKey]) -> None:
        """What this batch has given to these people and needs no yes is in their wallets."""
        if not self.made:
            return
        ended = {transfer.transfer_id for transfer, _ in self.closed}
        for made in list(self.made.values()):
            if made.accepted and made.receiver in people and made.transfer_id not in ended:
                self.close(made)

    def _move(self, incoming: Incoming, decision: Decision, movement_id: UUID) -> Movement:
        undo = decision.undo
        kind = undo.kind if undo and undo.kind else MOVEMENT_KINDS[incoming.operation]
        movement = Movement(kind, movement_id, decision.entries, incoming.name, undo.of if undo else None)
        self.journal.move(movement)
        self._use(decision)
        if incoming.receiver:
            made = self._transfer(incoming.receiver, decision, movement_id)
            self.made[incoming.name] = made
            self.facts.transfers_today[made.giver] = self.facts.transfers_today.get(made.giver, 0) + 1
        return movement

    def _use(self, decision: Decision) -> None:
        """What bindings have used of this year's limit; giving back last year's money leaves this year's use as it is."""
        decided_at = self._settlement(decision.original).stored.decided_at if decision.original else None
        if decided_at and shanghai_year(decided_at) < shanghai_year(self.now):
            return
        for entry in decision.entries:
            if entry.binding_id:
                used_fen = self.facts.used_fen.get(entry.binding_id, 0)
                self.facts.used_fen[entry.binding_id] = used_fen + entry.contra_fen

    def _undo(self, undo: Undo) -> None:
        """The original as it is after a refund or a cancel, for the requests behind it."""
        self.undone.append(undo)
        if undo.cancels:
            self.facts.cancelled.add(undo.name)
        if undo.blocks:
            self.facts.stored[undo.name] = tombstone()
        if undo.returns:
            self.close(undo.returns)
        original = self.original(undo.name)
        if original and undo.returned:
            settlement = self._settlement(original)
            self.facts.originals[settlement.name] = less(settlement, undo.returned)

    def original(self, name: RequestName) -> Original | None:
        """A request that another one speaks of, as it is at this point of the batch."""
        stored = self.facts.stored.get(name)
        if stored is None:
            return None
        known = self.facts.originals.get(name)
        if known is None:
            resolution = self._decided.get(name)
            known = original_of_batch(name, stored, resolution) if resolution else Original(name, stored)
            known = replace(known, transfer=self.made.get(name))
            self.facts.originals[name] = known
        arrived = known.transfer is not None and any(
            transfer.accepted and transfer.transfer_id == known.transfer.transfer_id for transfer, _ in self.closed
        )
        return replace(known, cancelled=name in self.facts.cancelled, arrived=known.arrived or arrived)

    def _settlement(self, original: Original) -> Original:
        """The settlement that a request is about: the one that a refund speaks of, or the request itself."""
        return (original.refunds and self.original(original.refunds)) or original

    def _transfer(self, receiver: PersonKey, decision: Decision, transfer_id: UUID) -> Transfer:
        (entry,) = decision.entries
        assert decision.wallet_binding
        assert decision.accept_by
        return Transfer(
            province=entry.person.province,
            transfer_id=transfer_id,
            giver=entry.person,
            receiver=receiver,
            binding_id=decision.wallet_binding.binding_id,
            current_year_fen=-entry.current_year_fen,
            prior_years_fen=-entry.prior_years_fen,
            accepted=decision.outcome is Outcome.TRANSFERRED,
            made_at=self.now,
            accept_by=decision.accept_by,
        )

    def position(self, incoming: Incoming) -> Position:
        """Everything that this one request is decided by."""
        name, facts = incoming.name, self.facts
        patient_key = incoming.subject
        patient = facts.enrolments.get(patient_key) if patient_key else None
        original = self.original(incoming.original) if incoming.original else None
        if patient_key is None and original and original.movement:
            patient_key = patient_of(self._settlement(original))
        account = self.accounts.get(patient_key, EMPTY) if patient_key else EMPTY
        return Position(
            now=self.now,
            sender=incoming.sender,
            authenticate_senders=self.authenticate_senders,
            institution=facts.institutions.get(name.institution_id),
            stored=None if incoming.is_inquiry else facts.stored.get(name),
            cancelled=name in facts.cancelled,
            patient=patient,
            patient_key=patient_key or NOBODY,
            account=account,
            policy=self.book.on(patient.region_code, self.today) if patient else None,
            # Most bills are paid by the patient alone, and a candidate takes as long as the rest of the position.
            candidates=self._candidates(patient_key)
            if patient_key and asks_relatives(incoming.request, patient, account)
            else (),
            kinship_linked=patient_key in facts.kinship_linked,
            original_name=incoming.original,
            original=original,
            refunded=self.original(original.refunds) if original and original.refunds else None,
            balances=self.accounts,
            day=facts.days.get(name),
            receiver=facts.enrolments.get(incoming.receiver) if incoming.receiver else None,
            wallet_binding=self._wallet_binding(incoming),
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
            self.today,
            account=self.accounts.get(binding.payer, EMPTY),
            used_fen=self.facts.used_fen.get(binding.binding_id, 0),
        )

    def _wallet_binding(self, incoming: Incoming) -> Binding | None:
        """The binding that lets the giver give to the receiver's wallet, made earliest."""
        if incoming.receiver is None:
            return None
        opened = [
            each
            for each in self.facts.bindings.get(incoming.receiver, ())
            if each.payer == incoming.subject and each.wallet and not each.closed
        ]
        return min(opened, key=lambda each: (each.bound_at, each.binding_id), default=None)


def original_of_batch(name: RequestName, stored: StoredDecision, resolution: Resolution) -> Original:
    """A request that was decided in this very batch."""
    movement, decision = resolution.movement, resolution.verdict
    assert isinstance(decision, Decision)
    return Original(
        name,
        stored,
        movement=movement,
        left=paid(movement) if movement and movement.kind is MovementKind.SETTLEMENT else (),
        returned=decision.undo.returned if decision.undo else (),
        refunds=resolution.incoming.original,
    )
