"""What the rule sees and what it says: plain, frozen data. Money is fen."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.settlement.incoming import Incoming, RequestName, Sender
from shared.domain.accounts import EMPTY, Account
from shared.domain.enrolment import Enrolment, InstitutionKind
from shared.domain.ids import PersonKey, time_ordered_uuid
from shared.domain.mutual_aid import Binding, Candidate, Considered
from shared.domain.policy import PolicyVersion
from shared.domain.reasons import Reason
from shared.domain.values import dataclass
from shared.messages.envelope import Outcome
from shared.messages.reconcile import Difference, Totals
from shared.messages.signing import Keys
from shared.messages.undo import Effect

NOBODY = PersonKey(0, "")


def decision_id(name: RequestName, now: datetime) -> UUID:
    """The id of the decision on a request, and of what it moves; it begins with the time."""
    return time_ordered_uuid(now, *map(str, name))


@dataclass(frozen=True, slots=True)
class Institution:
    kind: InstitutionKind
    suspended: bool
    amqp_user: str | None
    signing_keys: Keys = ()


# The operation under which a name is kept that was cancelled before its request came.
BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A request decided earlier: its canonical content and the answer that was sent, both as JSON text."""

    operation: str
    content: str
    answer: str
    movement_id: UUID | None = None
    decided_at: datetime | None = None

    @property
    def is_tombstone(self) -> bool:
        """A cancel came first: under this name nothing can be decided any more."""
        return self.operation == BLOCKED


@dataclass(frozen=True, slots=True)
class Position:
    """Everything one request is decided by, as of `now`."""

    now: datetime
    sender: Sender
    authenticate_senders: bool
    institution: Institution | None
    stored: StoredDecision | None = None
    cancelled: bool = False
    patient: Enrolment | None = None
    patient_key: PersonKey = NOBODY
    account: Account = EMPTY
    policy: PolicyVersion | None = None
    candidates: tuple[Candidate, ...] = ()
    kinship_linked: bool = False
    original_name: RequestName | None = None
    original: "Original | None" = None
    refunded: "Original | None" = None
    balances: Mapping[PersonKey, Account] = field(default_factory=dict)
    day: "Day | None" = None
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
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"
    CREDIT_REVERSAL = "credit_reversal"
    TRANSFER_REVERSAL = "transfer_reversal"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one movement does to one person's account; `contra` takes the other side, so an entry sums to zero.

    `binding_id` is given where the person pays for a relative; `insured_region` is where the person is insured at the time,
    `care_region` where the care was given, if it is about care.
    """

    person: PersonKey
    contra: Contra
    insured_region: str
    current_year_fen: int = 0
    prior_years_fen: int = 0
    wallet_fen: int = 0
    binding_id: UUID | None = None
    care_region: str | None = None

    @property
    def contra_fen(self) -> int:
        return -(self.current_year_fen + self.prior_years_fen + self.wallet_fen)


@dataclass(frozen=True, slots=True)
class Movement:
    """Money moved at once: one entry a person. `asked_by` names the request, where one asked for it.

    `original_id` is the movement that this one undoes a part of.
    """

    kind: MovementKind
    movement_id: UUID
    entries: tuple[Entry, ...]
    asked_by: RequestName | None = None
    original_id: UUID | None = None


class TransferState(StrEnum):
    """Where a transfer's money is: waiting for a yes, the receiver's, in the receiver's wallet, back with the giver.

    CANCELLED is back with the giver too, after it had been in the wallet.
    """

    PENDING = "pending"
    ACCEPTED = "accepted"
    ARRIVED = "arrived"
    RETURNED = "returned"
    CANCELLED = "cancelled"


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
class Returned:
    """What is given back of one person's entry, in the parts it was taken from; negative where it is taken again."""

    person: PersonKey
    parts: Account


@dataclass(frozen=True, slots=True)
class Original:
    """A request that another one speaks of, as far as it is known.

    `left` is what can still be given back of each entry of a settlement; `returned` what a refund gave back;
    `refunds` the settlement that a refund speaks of; `arrived` says of a transfer that it is in the receiver's wallet.
    """

    name: RequestName
    stored: StoredDecision
    cancelled: bool = False
    movement: Movement | None = None
    left: tuple[Returned, ...] = ()
    returned: tuple[Returned, ...] = ()
    refunds: RequestName | None = None
    transfer: Transfer | None = None
    arrived: bool = False

    @property
    def left_fen(self) -> int:
        return sum(each.parts.personal_fen + each.parts.wallet_fen for each in self.left)

    @property
    def paid_fen(self) -> int:
        return sum(entry.contra_fen for entry in self.movement.entries) if self.movement else 0


@dataclass(frozen=True, slots=True)
class Undo:
    """What a refund or a cancel does to its original.

    `returned` is given back of the movement `of`; `cancels` ends the request for good, `blocks` before it has come;
    `returns` is a transfer that goes back to its giver.
    """

    name: RequestName
    of: UUID | None = None
    kind: MovementKind | None = None
    returned: tuple[Returned, ...] = ()
    cancels: bool = False
    blocks: bool = False
    returns: Transfer | None = None


@dataclass(frozen=True, slots=True)
class Day:
    """An institution's Shanghai day as the ledger has it; where its lines were given, what differs: the first of it, and how many in all."""

    totals: Totals
    differing: tuple[Difference, ...] | None = None
    differences: int = 0


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
    original: Original | None = None
    wallet_binding: Binding | None = None
    accept_by: datetime | None = None
    effect: Effect | None = None
    undo: Undo | None = None
    day: Day | None = None

    @property
    def moves_money(self) -> bool:
        return bool(self.entries)


@dataclass(frozen=True, slots=True)
class Replay:
    """The request was decided before; the same answer again."""

    stored: StoredDecision


@dataclass(frozen=True, slots=True)
class Rejection:
    """The request itself is not acceptable. Nothing is stored and no name is used up.

    `sender`: what is wrong with who sent it, where the contract names another reason first. `problems` names fields and what
    they should be, never values.
    """

    reason: Reason
    sender: Reason | None = None
    problems: str | None = None


Verdict = Decision | Replay | Rejection


@dataclass(frozen=True, slots=True)
class Kept:
    """What the ledger keeps of a decision; `record` tells how it came about, as it was before anything moved."""

    decision_id: UUID
    stored: StoredDecision
    record: Mapping[str, Any]
    movement: Movement | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """An answer as the JSON text that goes out, and what of it says where it goes and how it is counted."""

    operation: str | None
    institution_id: str | None
    outcome: str
    reason: str | None
    decided_at: datetime
    replayed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """A verdict with the answer to send; `kept` where something was decided for good."""

    incoming: Incoming
    verdict: Verdict
    answer: Written
    kept: Kept | None = None

    @property
    def movement(self) -> Movement | None:
        return self.kept.movement if self.kept else None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the registry and the ledger say about everybody a batch is about."""

    stored: dict[RequestName, StoredDecision] = field(default_factory=dict)
    institutions: dict[str, Institution] = field(default_factory=dict)
    enrolments: dict[PersonKey, Enrolment] = field(default_factory=dict)
    bindings: dict[PersonKey, tuple[Binding, ...]] = field(default_factory=dict)
    # Whose accounts a patient's bill may move, once somebody has asked.
    paying: dict[PersonKey, tuple[PersonKey, ...]] = field(default_factory=dict)
    kinship_linked: set[PersonKey] = field(default_factory=set)
    used_fen: dict[UUID, int] = field(default_factory=dict)
    # The requests that others of the batch speak of, by name.
    originals: dict[RequestName, Original] = field(default_factory=dict)
    cancelled: set[RequestName] = field(default_factory=set)
    # Those of the originals that somebody else is at, and that were not waited for.
    held: set[RequestName] = field(default_factory=set)
    # What came with the batch itself, by name: the first of each.
    mates: dict[RequestName, Incoming] = field(default_factory=dict)
    # The days that institutions ask to have reconciled.
    days: dict[RequestName, Day] = field(default_factory=dict)
    # Who may have a transfer on its way to their wallet.
    awaiting: set[PersonKey] = field(default_factory=set)
    # How many transfers a giver has made on the Shanghai day of the batch.
    transfers_today: dict[PersonKey, int] = field(default_factory=dict)
