"""A request as it arrived: its name, who sent it, whose account it is about, which other request it speaks of. Pure."""

from dataclasses import field
from typing import NamedTuple

from shared.domain.ids import PersonKey
from shared.domain.regions import province_of
from shared.domain.values import dataclass
from shared.messages.envelope import Operation, Request
from shared.messages.lookup import LookupRequest
from shared.messages.signing import Signed
from shared.messages.transfer import TransferRequest
from shared.messages.undo import CancelRequest, RefundRequest

# An inquiry leaves no trace: it is answered anew each time.
INQUIRIES = frozenset({Operation.QUOTE, Operation.LOOKUP, Operation.RECONCILE})

# Where a request says whose account it is about: the patient, the account holder, the giver.
SUBJECT_FIELDS = {
    Operation.SETTLE: "person_id",
    Operation.QUOTE: "person_id",
    Operation.CREDIT: "person_id",
    Operation.TRANSFER: "from_person_id",
}


class RequestName(NamedTuple):
    """What names a request for good."""

    province: int
    institution_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a message, as far as the broker vouches for it, and what the sender has signed."""

    user_id: str | None = None
    reply_to: str | None = None
    signed: Signed | None = None


NOT_VOUCHED_FOR = Sender()


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request that arrived, with what the broker says of its sender.

    `subject` is whose account it is about, `receiver` to whom a transfer goes, `original` the request that it speaks of.
    A batch asks for each of these a dozen times, so they are worked out once.
    """

    request: Request
    sender: Sender = NOT_VOUCHED_FOR
    operation: Operation = field(init=False, repr=False, compare=False)
    is_inquiry: bool = field(init=False, repr=False, compare=False)
    name: RequestName = field(init=False, repr=False, compare=False)
    subject: PersonKey | None = field(init=False, repr=False, compare=False)
    receiver: PersonKey | None = field(init=False, repr=False, compare=False)
    original: RequestName | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        request, operation = self.request, self.request.operation
        province = province_of(request.insured_region)
        subject = SUBJECT_FIELDS.get(operation)
        worked_out = {
            "operation": operation,
            "is_inquiry": operation in INQUIRIES,
            "name": RequestName(province, request.institution_id, request.request_id),
            "subject": PersonKey(province, getattr(request, subject)) if subject else None,
            "receiver": _receiver(request) if operation is Operation.TRANSFER else None,
            "original": None if subject else _original(request, province),
        }
        for name, value in worked_out.items():
            object.__setattr__(self, name, value)

    @property
    def people(self) -> tuple[PersonKey, ...]:
        """Everybody whom it names: their enrolment and their bindings decide it."""
        return tuple(person for person in (self.subject, self.receiver) if person)


def _receiver(request: Request) -> PersonKey:
    assert isinstance(request, TransferRequest)
    return PersonKey(province_of(request.to_insured_region), request.to_person_id)


def _original(request: Request, province: int) -> RequestName | None:
    if isinstance(request, LookupRequest | RefundRequest | CancelRequest):
        return RequestName(province, request.institution_id, request.original_request_id)
    return None
