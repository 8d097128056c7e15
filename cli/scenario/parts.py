"""What a scenario file may say. A step is told by its verb: ask, refund, cancel, bind and so on (VERBS)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from cli.documents import read_document
from shared.domain.enrolment import EnrolmentStatus, InstitutionKind, Insurance
from shared.domain.policy import ExpenseType, NewPolicy, PolicyCode
from shared.domain.relations import Relation
from shared.messages.reconcile import DifferenceKind


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Title(Part):
    en: str
    zh: str


# ---- who is there before the first step ----


class PersonPart(Part):
    name: str
    id_number: str
    region_code: str
    insurance: Insurance
    status: EnrolmentStatus = EnrolmentStatus.ACTIVE


class InstitutionPart(Part):
    name: str
    kind: InstitutionKind
    region_code: str


class CreditPart(Part):
    person: str
    fund: str
    amount_fen: int


class Pair(Part):
    payer: str
    beneficiary: str


class NewBinding(Pair):
    """`relation` is what the beneficiary is to the payer."""

    relation: Relation
    wallet: bool = False


class BindingPart(NewBinding):
    refused: list[str] = []


class LinkPart(Part):
    holder: str
    shown: str


# ---- what a step expects ----


class Expected(Part):
    """What must come out. An amount that is left out may be anything; everything else is as the default says."""

    def differences(self, seen: dict[str, Any]) -> list[str]:
        """What was seen otherwise than expected, in words."""
        return [
            f"{name}: expected {wanted!r}, got {seen[name]!r}"
            for name, wanted in self.model_dump(mode="json").items()
            if seen[name] != wanted and not (wanted is None and name.endswith("_fen"))
        ]


class ExpectedAnswer(Expected):
    outcome: str
    reason: str | None = None
    payer: str | None = None
    replayed: bool = False
    own_account_fen: int | None = None
    wallet_fen: int | None = None
    mutual_aid_fen: int | None = None
    cash_fen: int | None = None
    own_balance_fen: int | None = None


class ExpectedRefund(Expected):
    """`payer` is the relative who got something back."""

    outcome: str
    reason: str | None = None
    payer: str | None = None
    amount_fen: int | None = None
    own_account_fen: int | None = None
    wallet_fen: int | None = None
    mutual_aid_fen: int | None = None


class ExpectedCancel(ExpectedRefund):
    effect: str | None = None


class ExpectedLookup(Expected):
    """`original` is the outcome of the request that was looked up."""

    outcome: str
    original: str | None = None
    cancelled: bool = False
    refunded_fen: int | None = None


class ExpectedDay(Expected):
    """`wrong_lines` by request id: what is wrong with each."""

    outcome: str
    wrong_lines: dict[str, DifferenceKind] = {}


class ExpectedTransfer(Expected):
    outcome: str
    reason: str | None = None


class ExpectedState(Expected):
    state: str


class ExpectedReasons(Expected):
    """Every reason of a refusal; none where it is done."""

    refused: list[str] = []


class ExpectedDiagnosis(Expected):
    """`failed` is the first check that did not pass."""

    possible: bool
    reason: str | None = None
    failed: str | None = None


class ExpectedEnds(Expected):
    """Why bindings ended by themselves, by beneficiary."""

    ended: dict[str, str] = {}


# ---- the steps ----


class Bill(Part):
    request_id: str
    institution: str
    person: str
    amount_fen: int
    expense_type: ExpenseType = ExpenseType.OUTPATIENT
    credential_of: str | None = None
    # The answer does not reach the till, which then looks the request up; what is expected is what it finds.
    answer_lost: bool = False


class Earlier(Part):
    """A request that speaks of an earlier one, of the same institution and for the same person."""

    request_id: str
    institution: str
    person: str
    original: str


class Refund(Earlier):
    """Without an amount, all that is left."""

    amount_fen: int | None = None


class DayLine(Part):
    request_id: str
    account_fen: int
    mutual_aid_fen: int


class Day(Part):
    """An institution's own totals of today, and if they like its settlements one by one."""

    request_id: str
    institution: str
    count: int
    account_fen: int
    mutual_aid_fen: int
    refunded_fen: int
    lines: list[DayLine] | None = None


class Gift(Part):
    """Money from a personal account into a relative's wallet."""

    request_id: str
    institution: str
    giver: str
    receiver: str
    amount_fen: int


class Acceptance(Part):
    """The receiver accepts whatever is on its way to their wallet."""

    receiver: str


class Enrolment(Part):
    """What the feed says anew of a person; what is left out stays."""

    person: str
    insurance: Insurance | None = None
    status: EnrolmentStatus | None = None


class BillStep(Part):
    title: Title
    ask: Bill
    expect: ExpectedAnswer


class RefundStep(Part):
    title: Title
    refund: Refund
    expect: ExpectedRefund


class CancelStep(Part):
    title: Title
    cancel: Earlier
    expect: ExpectedCancel


class LookupStep(Part):
    title: Title
    lookup: Earlier
    expect: ExpectedLookup


class ReconcileStep(Part):
    title: Title
    reconcile: Day
    expect: ExpectedDay


class BindStep(Part):
    title: Title
    bind: NewBinding
    expect: ExpectedReasons = ExpectedReasons()


class EndStep(Part):
    title: Title
    end: Pair
    expect: ExpectedReasons = ExpectedReasons()


class TransferStep(Part):
    title: Title
    transfer: Gift
    expect: ExpectedTransfer


class AcceptStep(Part):
    title: Title
    accept: Acceptance
    expect: ExpectedState


class DiagnoseStep(Part):
    title: Title
    diagnose: Pair
    expect: ExpectedDiagnosis


class EnrolStep(Part):
    title: Title
    enrol: Enrolment
    expect: ExpectedEnds = ExpectedEnds()


VERBS = (
    "ask",
    "refund",
    "cancel",
    "lookup",
    "reconcile",
    "bind",
    "end",
    "transfer",
    "accept",
    "diagnose",
    "enrol",
)


def verb_of(step: Any) -> str | None:
    """The verb that a step has, as it stands in the file."""
    return next((verb for verb in VERBS if isinstance(step, dict) and verb in step), None)


Step = Annotated[
    Annotated[BillStep, Tag("ask")]
    | Annotated[RefundStep, Tag("refund")]
    | Annotated[CancelStep, Tag("cancel")]
    | Annotated[LookupStep, Tag("lookup")]
    | Annotated[ReconcileStep, Tag("reconcile")]
    | Annotated[BindStep, Tag("bind")]
    | Annotated[EndStep, Tag("end")]
    | Annotated[TransferStep, Tag("transfer")]
    | Annotated[AcceptStep, Tag("accept")]
    | Annotated[DiagnoseStep, Tag("diagnose")]
    | Annotated[EnrolStep, Tag("enrol")],
    Discriminator(
        verb_of,
        custom_error_type="step_without_a_verb",
        custom_error_message=f"a step has one of: {', '.join(VERBS)}",
    ),
]


PERSON_FIELDS = {"person", "credential_of", "payer", "beneficiary", "giver", "receiver", "holder", "shown"}


def named(said: Any, fields: set[str]) -> Iterator[str]:
    """Whoever stands under one of these fields, however deep."""
    if isinstance(said, list):
        for each in said:
            yield from named(each, fields)
    if isinstance(said, dict):
        yield from (value for field, value in said.items() if field in fields and value is not None)
        for value in said.values():
            yield from named(value, fields)


class Scenario(Part):
    """A whole file. Names of people and institutions are the scenario's own; each run makes them unique."""

    title: Title
    policies: dict[PolicyCode, NewPolicy] = {}
    institutions: dict[str, InstitutionPart]
    persons: dict[str, PersonPart]
    credits: list[CreditPart]
    bindings: list[BindingPart]
    kinship_links: list[LinkPart] = []
    # A file that has nothing but bills may call them so.
    steps: list[Step] = Field(validation_alias=AliasChoices("steps", "bills"))

    @model_validator(mode="after")
    def _names_who_is_there(self) -> "Scenario":
        said = [part.model_dump() for part in (*self.credits, *self.bindings, *self.kinship_links, *self.steps)]
        strangers = set(named(said, PERSON_FIELDS)) - set(self.persons)
        strangers |= set(named(said, {"institution"})) - set(self.institutions)
        if strangers:
            raise ValueError(f"neither in persons nor in institutions: {', '.join(sorted(strangers))}")
        return self


def read_scenario(file: Path) -> Scenario:
    """The scenario in a YAML file. Raises pydantic.ValidationError, Unreadable, OSError."""
    return Scenario.model_validate(read_document(file))
