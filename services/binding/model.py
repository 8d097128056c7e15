"""People, institutions and bindings as the registry keeps them."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from shared.domain.enrolment import EnrolmentStatus, InstitutionKind, Insurance
from shared.domain.ids import public_id
from shared.domain.policy import PolicyVersion
from shared.domain.reasons import Reason
from shared.domain.relations import Relation
from shared.domain.roles import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a role, and for a member the person they are. `subject` is what is written down about an action."""

    subject: str
    role: Role
    person_id: str | None = None

    def is_person(self, person_id: str) -> bool:
        return self.role is Role.MEMBER and self.person_id == person_id


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
    def key(self) -> tuple[int, str]:
        return self.province, self.person_id


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


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not: every reason that applies, the first one first."""

    reasons: tuple[Reason, ...]


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
