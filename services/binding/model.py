"""People, institutions and bindings as the registry keeps them."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum, StrEnum, auto
from typing import NamedTuple
from uuid import UUID

from services.binding.phrases import Check, Phrase
from shared.domain import mutual_aid
from shared.domain.accounts import EMPTY, Account
from shared.domain.enrolment import (
    EndCause,
    Enrolment,
    EnrolmentStatus,
    InstitutionKind,
    InstitutionStatus,
    Insurance,
)
from shared.domain.ids import PersonKey, public_id
from shared.domain.mutual_aid import Candidate
from shared.domain.policy import ExpenseType, PolicyVersion
from shared.domain.reasons import Reason, Text
from shared.domain.relations import Relation
from shared.domain.roles import Role
from shared.domain.times import shanghai_date
from shared.messages.signing import Keys


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a role, and for a member the person they are, for an institution which one it is.

    `subject` is what is written down about an action.
    """

    subject: str
    role: Role
    person_id: str | None = None
    institution_id: str | None = None

    def is_person(self, person_id: str) -> bool:
        return self.role is Role.MEMBER and self.person_id == person_id

    def is_institution(self, institution_id: str) -> bool:
        return self.role is Role.INSTITUTION and self.institution_id == institution_id


class Action(StrEnum):
    """What is written down that a clerk or an operator was let through for."""

    BIND = "bind"
    END = "end"
    LINK = "link"
    UNLINK = "unlink"
    READ_PERSON = "read_person"
    FIND_PERSONS = "find_persons"
    LIST_BINDINGS = "list_bindings"
    LIST_LINKS = "list_links"
    LIST_PAYMENTS = "list_payments"
    DIAGNOSE = "diagnose"
    EXPLAIN = "explain"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    PUT_POLICY = "put_policy"
    PUT_INSTITUTION = "put_institution"
    RECONCILE = "reconcile"
    READ_RECONCILIATION = "read_reconciliation"
    LIST_RECONCILIATIONS = "list_reconciliations"
    LIST_DIFFERENCES = "list_differences"
    DOWNLOAD_DIFFERENCES = "download_differences"
    LIST_ACTS = "list_acts"


@dataclass(frozen=True, slots=True)
class Act:
    """That a clerk or an operator was let through, as the person is told whom it was about: not which one it was."""

    act_id: int
    at: datetime
    role: Role
    action: Action


@dataclass(frozen=True, slots=True)
class SealedIdentity:
    """Who somebody is, all of it sealed with one key; `id_number_index` is the same for the same ID number and key."""

    name: bytes
    id_number: bytes
    id_number_index: bytes


@dataclass(frozen=True, slots=True)
class Person:
    """An insured person; the name and the ID number stay sealed."""

    province: int
    person_id: str
    region_code: str
    insurance: Insurance
    status: EnrolmentStatus
    account_frozen: bool
    name_sealed: bytes
    id_number_sealed: bytes

    @property
    def key(self) -> PersonKey:
        return PersonKey(self.province, self.person_id)

    @property
    def enrolment(self) -> Enrolment:
        return Enrolment(self.region_code, self.insurance, self.status, self.account_frozen)


@dataclass(frozen=True, slots=True)
class Institution:
    institution_id: str
    name: str
    kind: InstitutionKind
    region_code: str
    amqp_user: str | None
    status: InstitutionStatus
    signing_keys: Keys


@dataclass(frozen=True, slots=True)
class Proposal:
    """A binding that somebody asks for."""

    payer_id: str
    beneficiary_id: str
    relation: Relation
    valid_from: date
    valid_until: date | None
    annual_limit_fen: int | None
    wallet: bool
    auto_accept: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding, valid from `valid_from` up to and not including `valid_until` (None: until it is ended)."""

    province: int
    row_id: UUID
    payer_id: str
    beneficiary_province: int
    beneficiary_id: str
    relation: Relation
    valid_from: date
    valid_until: date | None
    annual_limit_fen: int | None
    wallet: bool
    auto_accept: bool
    bound_at: datetime
    ended_at: datetime | None
    end_cause: str | None

    @property
    def binding_id(self) -> str:
        return public_id(self.province, self.row_id)

    @property
    def payer_key(self) -> PersonKey:
        return PersonKey(self.province, self.payer_id)

    @property
    def authority(self) -> mutual_aid.Binding:
        """What the rule needs to know of it."""
        return mutual_aid.Binding(self.row_id, self.payer_key, self.bound_at, self.annual_limit_fen, closed=self.closed)

    @property
    def closed(self) -> EndCause | None:
        """Why it ended by itself, if it did."""
        return EndCause(self.end_cause) if self.end_cause in tuple(EndCause) else None

    @property
    def pays_bills(self) -> bool:
        """Whether it can pay for anything but transfers: across provinces there is only the wallet."""
        return self.province == self.beneficiary_province

    def is_valid_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_until is None or day < self.valid_until)

    def is_considered_on(self, day: date) -> bool:
        """Whether a settlement looks at it: valid, or closed by itself on that day, so that it can say why."""
        closed_then = self.closed and self.ended_at and self.valid_until == day == shanghai_date(self.ended_at)
        return self.is_valid_on(day) or bool(closed_then and self.valid_from <= day)

    def overlaps(self, valid_from: date, valid_until: date | None) -> bool:
        """Whether there is a day on which this binding and that period are both in force."""
        first = max(self.valid_from, valid_from)
        return all(until is None or first < until for until in (self.valid_until, valid_until))

    def is_over_by(self, day: date) -> bool:
        """Whether an end on that day would change nothing."""
        return self.valid_until is not None and self.valid_until <= max(day, self.valid_from)

    def ended(self, day: date, now: datetime, cause: str) -> "Binding":
        """This binding in force up to and not including a day; never, if it starts no earlier."""
        return replace(self, valid_until=max(day, self.valid_from), ended_at=now, end_cause=cause)


@dataclass(frozen=True, slots=True)
class KinshipLink:
    """Who may show whose code. It moves no money."""

    province: int
    row_id: UUID
    holder_id: str
    shown_id: str
    linked_at: datetime

    @property
    def kinship_link_id(self) -> str:
        return public_id(self.province, self.row_id)


class PaymentKind(StrEnum):
    SETTLEMENT = "settlement"
    REFUND = "refund"


class PaymentRole(StrEnum):
    """What a person was in a payment: it came from their own money, or they paid for a relative, or a relative for them."""

    SELF = "self"
    PAYER = "payer"
    BENEFICIARY = "beneficiary"


class PaymentFund(StrEnum):
    OWN = "own"
    WALLET = "wallet"
    MUTUAL_AID = "mutual_aid"


class PaymentPlace(NamedTuple):
    """A place in a list of payments, which goes by movements, newest first, and within one by its lines."""

    movement_id: UUID
    line: int


@dataclass(frozen=True, slots=True)
class PaymentsAsked:
    """Whose payments, in which role (None: in each), of which movements, and after which place in their list."""

    person_id: str
    role: PaymentRole | None
    first_id: UUID
    last_id: UUID
    after: PaymentPlace


@dataclass(frozen=True, slots=True)
class Payment:
    """What one fund paid or got back in one movement, seen from one person's side."""

    province: int
    row_id: UUID
    line: int
    at: datetime
    kind: PaymentKind
    role: PaymentRole
    other_person_id: str | None
    fund: PaymentFund
    amount_fen: int
    institution_kind: InstitutionKind

    @property
    def movement_id(self) -> str:
        return public_id(self.province, self.row_id)


@dataclass(frozen=True, slots=True)
class BindingPosition:
    """Everything that a proposed binding is judged by."""

    today: date
    payer: Person | None
    beneficiary: Person | None
    payer_policy: PolicyVersion
    beneficiary_policy: PolicyVersion
    of_payer: tuple[Binding, ...]
    of_beneficiary: tuple[Binding, ...]


class Viewer(Enum):
    """Whose eyes a diagnosis is for. Neither side sees the other's money; the office (clerk, operator) sees both."""

    PAYER = auto()
    BENEFICIARY = auto()
    OFFICE = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """Why this payer (None: anybody) can or cannot pay for the beneficiary.

    Without an amount the smallest shortfall is meant: one fen that the patient's own money leaves, however much there is.
    """

    beneficiary_id: str
    payer_id: str | None = None
    viewer: Viewer = Viewer.OFFICE
    expense_type: ExpenseType = ExpenseType.OUTPATIENT
    amount_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Everything that a diagnosis is made of, as of today.

    `candidates` are all who have bound the beneficiary; `unbound` is the payer asked for, as they would be if they had.
    `bindings` are those of the question, today's and future ones and the one that was over last.
    """

    today: date
    beneficiary: Enrolment | None = None
    account: Account = EMPTY
    candidates: tuple[Candidate, ...] = ()
    kinship_holders: frozenset[str] = frozenset()
    unbound: Candidate | None = None
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was seen, what the rule is, and, where it failed, what to do and why in the contract's code."""

    check: Check
    value: Phrase
    rule: Phrase
    advice: Phrase | None = None
    reason: Reason | None = None
    payer_id: str | None = None

    @property
    def passed(self) -> bool:
        return self.advice is None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Whether a settlement would be paid in full, the reason it would be answered with, and every check in order."""

    possible: bool
    reason: Reason | None
    findings: tuple[Finding, ...]


class Fault(NamedTuple):
    """What is wrong with a place of what was sent, such as "line 17"; never what stood there."""

    place: str
    problem: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not: every reason that applies, the first one first; `faults` where what was sent is wrong in itself, `details`
    where the reasons' own sentences are not near enough.
    """

    reasons: tuple[Reason, ...]
    faults: tuple[Fault, ...] = ()
    details: tuple[Text, ...] = ()


class TransferState(StrEnum):
    """Pending until the receiver accepts or it returns."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Money on its way from a personal account to a relative's wallet."""

    province: int
    row_id: UUID
    from_person_id: str
    to_province: int
    to_person_id: str
    amount_fen: int
    state: TransferState
    made_at: datetime
    accept_by: datetime
    accepted_at: datetime | None
    returned_at: datetime | None

    @property
    def transfer_id(self) -> str:
        return public_id(self.province, self.row_id)
