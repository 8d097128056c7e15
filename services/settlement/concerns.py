"""Whose accounts a request may move, and whose bill an earlier one was. Pure."""

from pydantic_core import from_json

from services.settlement.incoming import Incoming
from services.settlement.model import Facts, Original
from shared.domain.ids import PersonKey
from shared.messages.envelope import Operation

UNDOING = (Operation.REFUND, Operation.CANCEL)
BILLS = (Operation.SETTLE, Operation.QUOTE)


def touched(incoming: Incoming, facts: Facts) -> tuple[PersonKey, ...]:
    """Everybody whose account a request may move, in the order in which accounts are locked.

    A payer in another province never can pay, and a transfer reaches its receiver's wallet later: nobody locks an
    account of another province, but for undoing a transfer that has arrived.
    """
    if not incoming.is_inquiry and incoming.name in facts.stored:
        return ()
    if incoming.operation in UNDOING:
        return tuple(sorted(_touched_by_original(incoming, facts)))
    subject = incoming.subject
    if subject is None:
        return ()
    return _paying(subject, facts) if incoming.operation in BILLS else (subject,)


def _paying(patient: PersonKey, facts: Facts) -> tuple[PersonKey, ...]:
    """The patient and whoever may pay. Worked out once: a batch asks for it three times a bill."""
    known = facts.paying.get(patient)
    if known is None:
        payers = {each.payer for each in facts.bindings.get(patient, ()) if each.payer.province == patient.province}
        known = facts.paying[patient] = tuple(sorted({patient, *payers}))
    return known


def _touched_by_original(incoming: Incoming, facts: Facts) -> set[PersonKey]:
    """Everybody whom the original moved, or, where it is in the same batch, may move."""
    name = incoming.original
    assert name
    if original := facts.originals.get(name):
        return _moved_by(original, facts) | ({original.transfer.receiver} if original.transfer else set())
    mate = facts.mates.get(name)
    if mate is None or name in facts.stored:
        return set()
    if mate.operation in UNDOING:
        # One step more and no further: two requests may speak of each other.
        name = mate.original
        assert name
        if original := facts.originals.get(name):
            return _moved_by(original, facts)
        mate = facts.mates.get(name)
        if mate is None or mate.operation in UNDOING:
            return set()
    return set(touched(mate, facts))


def _moved_by(original: Original, facts: Facts) -> set[PersonKey]:
    """Whose accounts an original moved, and the patient, whose balance the answer tells."""
    if original.movement is None:
        return set()
    patient = patient_of((original.refunds and facts.originals.get(original.refunds)) or original)
    return {entry.person for entry in original.movement.entries} | ({patient} if patient else set())


def patient_of(original: Original) -> PersonKey | None:
    """Whose bill it was: who paid with their own money, or for whom the relative paid."""
    person_id = from_json(original.stored.content).get("person_id")
    return PersonKey(original.name.province, person_id) if person_id else None
