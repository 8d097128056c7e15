"""What the rule sees and what it says: plain, frozen data. Money is fen."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.domain.accounts import EMPTY, Account
from shared.domain.enrolment import Enrolment, InstitutionKind
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding, Candidate, Considered
from shared.domain.policy import PolicyVersion
from shared.domain.reasons import Reason
from shared.domain.regions import province_of
from shared.messages.envelope import Answer, Operation, Outcome, Request

NOBODY = PersonKey(0, "")


class RequestName(NamedTuple):
    """What names a request for good."""

    province: int
    institution_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a message, as far as the broker vouches for it."""

    user_id: str | None = None
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Institution:
    kind: InstitutionKind
    suspended: bool
    amqp_user: str | None


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A request decided earlier: its canonical content and the answer that was sent, both as JSON text."""

    operation: str
    content: str
    answer: str


@dataclass(frozen=True, slots=True)
class Position:
    """Everything one request is decided by, as of `now`."""

    now: datetime
    sender: Sender
    authenticate_senders: bool
    institution: Institution | None
    stored: StoredDecision | None = None
    patient: Enrolment | None = None
    patient_key: PersonKey = NOBODY
    account: Account = EMPTY
    policy: PolicyVersion | None = None
    candidates: tuple[Candidate, ...] = ()
    kinship_linked: bool = False
    original: StoredDecision | None = None
    receiver: Enrolment | None = None
    wallet_binding: Binding | None = None
    transfers_today: int = 0


class Contra(StrEnum):
    """The other side of an entry: owed to the institution, paid in by the agency, on its way to a relative's wallet.

    SELF is the same account: money that only grows older.
    """

    PAYABLE = "payable"
    CONTRIBUTION = "contribution"
    IN_TRANSIT = "in_transit"
    SELF = "self"


class MovementKind(StrEnum):
    SETTLEMENT = "settlement"
    CREDIT = "credit"
    TRANSFER = "transfer"
    ARRIVAL = "arrival"
    RETURN = "return"
    ROLLOVER = "rollover"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one movement does to one person's account; `contra` takes the other side, so an entry sums to zero.

    `binding_id` is given where the person pays for a relative.
    """

    person: PersonKey
    contra: Contra
    current_year_fen: int = 0
    prior_years_fen: int = 0
    wallet_fen: int = 0
    binding_id: UUID | None = None

    @property
    def contra_fen(self) -> int:
        return -(self.current_year_fen + self.prior_years_fen + self.wallet_fen)


@dataclass(frozen=True, slots=True)
class Movement:
    """Money moved at once: one entry a person. `asked_by` names the request, where one asked for it."""

    kind: MovementKind
    movement_id: UUID
    entries: tuple[Entry, ...]
    asked_by: RequestName | None = None


class TransferState(StrEnum):
    """Where a transfer's money is: waiting for a yes, the receiver's, in the receiver's wallet, back with the giver."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    ARRIVED = "arrived"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A gift to a relative's wallet. `accepted`: the receiver has said yes, or said beforehand that no yes is needed."""

    province: int
    transfer_id: UUID
    giver: PersonKey
    receiver: PersonKey
    binding_id: UUID
    current_year_fen: int
    prior_years_fen: int
    accepted: bool
    made_at: datetime
    accept_by: datetime

    @property
    def amount_fen(self) -> int:
        return self.current_year_fen + self.prior_years_fen


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a request, with the entries that make it so. Money is fen, never negative."""

    outcome: Outcome
    reason: Reason | None = None
    own_account_fen: int = 0
    wallet_fen: int = 0
    mutual_aid_fen: int = 0
    payer_id: str | None = None
    own_balance_fen: int | None = None
    account_after: Account | None = None
    entries: tuple[Entry, ...] = ()
    considered: tuple[Considered, ...] = ()
    policy: str | None = None
    original: StoredDecision | None = None
    wallet_binding: Binding | None = None
    accept_by: datetime | None = None

    @property
    def moves_money(self) -> bool:
        return bool(self.entries)


@dataclass(frozen=True, slots=True)
class Replay:
    """The request was decided before; the same answer again."""

    stored: StoredDecision


@dataclass(frozen=True, slots=True)
class Rejection:
    """The request itself is not acceptable. Nothing is stored and no name is used up."""

    reason: Reason


Verdict = Decision | Replay | Rejection


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request that arrived, with what the broker says of its sender."""

    request: Request
    sender: Sender = Sender()

    @property
    def operation(self) -> Operation:
        return self.request.operation

    @property
    def name(self) -> RequestName:
        return RequestName(
            province_of(self.request.insured_region), self.request.institution_id, self.request.request_id
        )


@dataclass(frozen=True, slots=True)
class Resolution:
    """A verdict with the answer to send; `movement` where money moved."""

    incoming: Incoming
    verdict: Verdict
    answer: Answer
    movement: Movement | None = None
    locked: tuple[PersonKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What the registry and the ledger say about everybody a batch is about."""

    stored: dict[RequestName, StoredDecision] = field(default_factory=dict)
    institutions: dict[str, Institution] = field(default_factory=dict)
    enrolments: dict[PersonKey, Enrolment] = field(default_factory=dict)
    bindings: dict[PersonKey, tuple[Binding, ...]] = field(default_factory=dict)
    kinship_linked: set[PersonKey] = field(default_factory=set)
    used_fen: dict[UUID, int] = field(default_factory=dict)
    # Who may have a transfer on its way to their wallet.
    awaiting: set[PersonKey] = field(default_factory=set)
    # How many transfers a giver has made on the Shanghai day of the batch.
    transfers_today: dict[PersonKey, int] = field(default_factory=dict)
