"""Whom a request concerns: whose enrolment decides it, whose accounts it may move, which other request it speaks of. Pure."""

from pydantic_core import from_json

from services.settlement.model import Facts, Incoming, Original, RequestName
from shared.domain.ids import PersonKey
from shared.domain.regions import province_of
from shared.messages.credit import CreditRequest
from shared.messages.envelope import Operation, Request
from shared.messages.lookup import LookupRequest
from shared.messages.settle import SettleRequest
from shared.messages.transfer import TransferRequest
from shared.messages.undo import CancelRequest, RefundRequest

# An inquiry leaves no trace: it is answered anew each time.
INQUIRIES = frozenset({Operation.QUOTE, Operation.LOOKUP, Operation.RECONCILE})


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
    account of another province, but for undoing a transfer that has arrived.
    """
    if incoming.operation not in INQUIRIES and incoming.name in facts.stored:
        return []
    request = incoming.request
    if isinstance(request, RefundRequest | CancelRequest):
        return sorted(_touched_by_original(incoming, facts))
    subject = subject_of(request)
    if subject is None:
        return []
    if not isinstance(request, SettleRequest):
        return [subject]
    payers = {each.payer for each in facts.bindings.get(subject, ()) if each.payer.province == subject.province}
    return sorted({subject, *payers})


def _touched_by_original(incoming: Incoming, facts: Facts) -> set[PersonKey]:
    """Everybody whom the original moved, or, where it is in the same batch, may move."""
    name = original_of(incoming)
    assert name
    if original := facts.originals.get(name):
        return _moved_by(original, facts) | ({original.transfer.receiver} if original.transfer else set())
    mate = facts.mates.get(name)
    if mate is None or name in facts.stored:
        return set()
    if isinstance(mate.request, RefundRequest | CancelRequest):
        # One step more and no further: two requests may speak of each other.
        name = original_of(mate)
        assert name
        if original := facts.originals.get(name):
            return _moved_by(original, facts)
        mate = facts.mates.get(name)
        if mate is None or isinstance(mate.request, RefundRequest | CancelRequest):
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


def original_of(incoming: Incoming) -> RequestName | None:
    """The request that another request speaks of."""
    request = incoming.request
    if isinstance(request, LookupRequest | RefundRequest | CancelRequest):
        return RequestName(incoming.name.province, request.institution_id, request.original_request_id)
    return None
