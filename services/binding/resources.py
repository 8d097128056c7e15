"""What goes over HTTP: bodies in, things out. Dates are YYYY-MM-DD, money is fen."""

from datetime import date, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)

from services.binding.days import ReconciliationState
from services.binding.model import Action, PaymentFund, PaymentKind, PaymentRole, TransferState
from services.binding.phrases import Check
from shared.domain.enrolment import EnrolmentStatus, InstitutionKind, InstitutionStatus, Insurance
from shared.domain.fields import telling_fields
from shared.domain.ids import INSTITUTION_ID_PATTERN, PERSON_ID_PATTERN
from shared.domain.money import AMOUNT_MAX_FEN
from shared.domain.policy import NewPolicy, RegionPolicy
from shared.domain.reasons import Reason
from shared.domain.regions import REGION_CODE_PATTERN
from shared.domain.relations import Relation
from shared.domain.roles import Role
from shared.domain.times import Day
from shared.messages.reconcile import Totals
from shared.messages.signing import SM2_AVAILABLE, AnyKey, Keys, Sm2Key


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    return value


# The one in use, the next, and those of a few tills.
SIGNING_KEYS_MAX = 8

Item = TypeVar("Item")

PersonId = Annotated[str, Field(pattern=PERSON_ID_PATTERN)]
Region = Annotated[str, Field(pattern=REGION_CODE_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_without_nul)]
IdNumber = Annotated[str, Field(pattern=r"^[0-9A-Za-z()-]{6,30}$")]
StrictFlag = Annotated[bool, Field(strict=True)]
Money = Annotated[int, Field(strict=True, ge=1, le=AMOUNT_MAX_FEN)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _tells_its_fields(cls, said: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(said)
        except ValidationError as error:
            raise telling_fields(error, cls) from None


class PersonIn(Body):
    """What the enrolment feed says of a person."""

    name: Name
    id_number: IdNumber
    region_code: Region
    insurance: Insurance
    status: EnrolmentStatus = EnrolmentStatus.ACTIVE


class PersonOut(BaseModel):
    """A person, the name and the ID number masked."""

    person_id: str
    name: str
    id_number: str
    region_code: str
    insurance: Insurance
    status: EnrolmentStatus
    account_frozen: bool


class PersonSought(Body):
    """An ID number, and a region of the province in which its holder is insured."""

    id_number: IdNumber
    region_code: Region


class InstitutionIn(Body):
    """What an operator says of an institution. A name, a status and keys that are left out are as they were; a new one is called
    by its id, is active and has no keys.
    """

    name: Name | None = None
    kind: InstitutionKind
    region_code: Region
    amqp_user: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] | None = None
    status: InstitutionStatus | None = None
    signing_keys: Annotated[tuple[AnyKey, ...], Field(max_length=SIGNING_KEYS_MAX)] | None = None

    @field_validator("signing_keys")
    @classmethod
    def _can_be_told_apart_and_checked(cls, keys: Keys | None) -> Keys | None:
        if keys and len({key.kid for key in keys}) < len(keys):
            raise ValueError("two keys have one kid: give each its own")
        if keys and not SM2_AVAILABLE and any(isinstance(key, Sm2Key) for key in keys):
            raise ValueError("this installation cannot check SM2 signatures: install gongji[gm]")
        return keys


class InstitutionOut(BaseModel):
    """An institution as it is registered now."""

    institution_id: Annotated[str, Field(pattern=INSTITUTION_ID_PATTERN)]
    name: str
    kind: InstitutionKind
    region_code: str
    amqp_user: str | None
    status: InstitutionStatus
    signing_keys: tuple[AnyKey, ...]


class PolicyIn(NewPolicy):
    """A policy to put; without a date it is effective today."""

    effective_from: Day | None = None  # type: ignore[assignment]


class PolicyOut(RegionPolicy):
    """A version of a region's policy, as it was put."""

    region_code: str
    version: int


class BindingIn(Body):
    """`relation` is what the beneficiary is to the payer."""

    payer_id: PersonId
    beneficiary_id: PersonId
    relation: Relation
    valid_from: Day | None = None
    valid_until: Day | None = None
    annual_limit_fen: Money | None = None
    wallet: StrictFlag = False
    auto_accept: StrictFlag = False


class BindingOut(BaseModel):
    """A binding, valid from `valid_from` up to and not including `valid_until`.

    `end_cause` is who asked for the end (`asked_by_member`, `asked_by_clerk`), or why it ended by itself:
    `payer_left_employee_insurance`, `payer_moved`, `beneficiary_moved`.
    """

    binding_id: str
    payer_id: str
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


class EndOut(BindingOut):
    """A binding with its end. `changed` is false where it ends no later already: an end is only ever brought forward."""

    changed: bool


class EndIn(Body):
    end_date: Day | None = None


class KinshipLinkIn(Body):
    holder_id: PersonId
    shown_id: PersonId


class KinshipLinkOut(BaseModel):
    """Who may show whose code. It moves no money, which `pays` says: to pay for a relative, make a binding."""

    kinship_link_id: str
    holder_id: str
    shown_id: str
    pays: Literal["nothing"] = "nothing"
    linked_at: datetime


class TransferOut(BaseModel):
    """Money on its way to a relative's wallet: pending until the receiver accepts, or returned at `accept_by`."""

    transfer_id: str
    from_person_id: str
    to_person_id: str
    amount_fen: int
    state: TransferState
    made_at: datetime
    accept_by: datetime
    accepted_at: datetime | None
    returned_at: datetime | None


class PaymentOut(BaseModel):
    """What one fund paid (settlement) or got back (refund). Of a relative's treatment it says no more than who pays must know."""

    movement_id: str
    at: datetime
    kind: PaymentKind
    role: PaymentRole
    other_person_id: str | None
    fund: PaymentFund
    amount_fen: int
    institution_kind: InstitutionKind


class ActOut(BaseModel):
    """That a clerk or an operator did something about a person, or looked at them. Which one it was, an auditor can say."""

    at: datetime
    role: Role
    action: Action


class FreezeOut(BaseModel):
    person_id: str
    account_frozen: bool


class CheckOut(BaseModel):
    """One check in words. `reason` and `advice` where it failed; `payer_id` where it is about one payer."""

    check: Check
    passed: bool
    value: str
    rule: str
    advice: str | None
    reason: Reason | None
    payer_id: str | None


class DiagnosisOut(BaseModel):
    """Whether mutual aid would pay, and every check in order.

    `reason` is what a settlement would be answered with as far as this payer goes; null if `possible`, or if another
    relative pays.
    """

    beneficiary_id: str
    payer_id: str | None
    possible: bool
    reason: Reason | None
    checks: list[CheckOut]


class DayTotalsOut(BaseModel):
    count: int
    account_fen: int
    mutual_aid_fen: int


class DifferenceCountsOut(BaseModel):
    missing_here: int
    missing_there: int
    different: int


class ReconciliationOut(BaseModel):
    """A file of an institution's day beside ours.

    `reading` until it has come to its end, `abandoned` if it never will; else `balanced` or `differs`, and what both sides
    add up to as of `compared_at`. `ours.refunded_fen` is what was returned on that day, whenever the original was; a file says nothing of it.
    """

    reconciliation_id: str
    institution_id: str
    insured_region: str
    date: date
    state: ReconciliationState
    lines_read: int
    started_at: datetime
    compared_at: datetime | None
    ours: Totals | None
    theirs: DayTotalsOut | None
    differences: DifferenceCountsOut | None


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the page after it, or null."""

    items: list[Item]
    next: str | None


class RankedOut(BaseModel):
    """A relative who was considered, the first first; `out` is why they were not in the ranking.

    What could be shared and what the year's limit left are told to an operator, and of oneself.
    """

    payer_id: str
    binding_id: str
    bound_at: datetime
    policy: str
    usable_fen: int | None
    limit_left_fen: int | None
    out: Reason | None


class MovedOut(BaseModel):
    """What one movement did to one person's account, in fen; what was taken is negative."""

    movement_id: str
    person_id: str
    kind: str
    request_id: str | None
    binding_id: str | None
    current_year_fen: int
    prior_years_fen: int
    wallet_fen: int
    at: datetime


class DecisionOut(BaseModel):
    """Why a request was decided as it was. `request` is as it came, without the credential; `answer` as it was sent."""

    decision_id: str
    institution_id: str
    request_id: str
    operation: str
    outcome: str
    reason: Reason | None
    request: dict[str, Any]
    answer: dict[str, Any]
    policy: str | None
    locked: list[str]
    candidates: list[RankedOut]
    moved: list[MovedOut]
    later: list[MovedOut]
    decided_at: datetime
    cancelled_by: str | None
