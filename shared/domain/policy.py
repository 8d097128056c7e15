"""Region policies: every difference between regions, as dated data.

A region uses the policy put under its full code, else under its first four digits, else its first two, else the
shipped default; of the versions under one code, the latest that is in effect on the day. Source: contract.md,
"Region policy fields"; domain.md, rules 7-10.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared.domain.fields import telling_fields
from shared.domain.regions import Scope
from shared.domain.relations import KINSHIP, RELATION_GROUPS, Relation
from shared.domain.times import Day, TimeOfDay, shanghai_date, shanghai_moment, shanghai_time


class Funds(StrEnum):
    """Which money of a personal account may be shared."""

    ALL = "all"
    PRIOR_YEARS = "prior_years"


class ExpenseType(StrEnum):
    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"
    PHARMACY = "pharmacy"
    RESIDENT_PREMIUM = "resident_premium"
    PUBLIC_HEALTH = "public_health"
    FITNESS = "fitness"
    WELLNESS = "wellness"


# Never covered, anywhere: domain.md, rule 8.
NEVER_COVERED = frozenset({ExpenseType.PUBLIC_HEALTH, ExpenseType.FITNESS, ExpenseType.WELLNESS})

# A province, a pooling area or a region.
POLICY_CODE_PATTERN = r"^([0-9]{2}|[0-9]{4}|[0-9]{6})$"
PolicyCode = Annotated[str, Field(pattern=POLICY_CODE_PATTERN)]
Count = Annotated[int, Field(strict=True, ge=0, le=1_000)]
Money = Annotated[int, Field(strict=True, ge=0, le=10**11)]


def _may_repeat(schema: dict[str, Any]) -> None:
    """What is named twice counts once, so the description does not ask for unique items."""
    schema.pop("uniqueItems", None)


def _in_one_order(named: Iterable[StrEnum]) -> list[StrEnum]:
    """As the code lists them, so that the same policy is always written the same."""
    return sorted(named, key=lambda each: list(type(each).__members__).index(each.name))


Relations = Annotated[
    frozenset[Relation],
    Field(json_schema_extra=_may_repeat),
    PlainSerializer(_in_one_order, return_type=list[Relation], when_used="json"),
]
ExpenseTypes = Annotated[
    frozenset[ExpenseType],
    Field(json_schema_extra=_may_repeat),
    PlainSerializer(_in_one_order, return_type=list[ExpenseType], when_used="json"),
]


class UnreadablePolicy(Exception):
    """A stored policy that this release does not understand: a later one has put it."""


class PolicyPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _names_what_is_unknown(cls, said: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(said)
        except ValidationError as error:
            raise telling_fields(error, cls, named=True) from None


class WalletPolicy(PolicyPart):
    """Limits on transfers into a relative's wallet; closed hours may cross midnight."""

    per_transfer_fen: Money = 200_000
    per_day: Count = 3
    closed_from: TimeOfDay = time(22, 0)
    closed_until: TimeOfDay = time(6, 0)
    accept_by: TimeOfDay = time(6, 0)

    def is_closed(self, moment: datetime) -> bool:
        """Whether no transfer is made at this moment; equal ends mean that it is never closed."""
        now = shanghai_time(moment)
        if self.closed_from <= self.closed_until:
            return self.closed_from <= now < self.closed_until
        return now >= self.closed_from or now < self.closed_until

    def accept_until(self, moment: datetime) -> datetime:
        """When a transfer made at this moment returns if nobody has accepted it: at `accept_by` on the next day."""
        return shanghai_moment(shanghai_date(moment) + timedelta(days=1), self.accept_by)


class RegionPolicy(PolicyPart):
    """What one region allows from a date on. None means no limit."""

    effective_from: Day
    scope: Scope = Scope.POOL
    relations: Relations = frozenset(
        {Relation.SPOUSE, Relation.FATHER, Relation.MOTHER, Relation.SON, Relation.DAUGHTER}
    )
    members_max: Count | None = 8
    members_max_by_relation: dict[str, Count] = Field(default_factory=dict)
    payers_max_per_beneficiary: Count | None = None
    funds: Funds = Funds.ALL
    keep_fen: Money = 0
    shared_expense_types: ExpenseTypes = frozenset(
        {ExpenseType.OUTPATIENT, ExpenseType.PHARMACY, ExpenseType.RESIDENT_PREMIUM}
    )
    unbind_after_days: Annotated[int, Field(strict=True, ge=0, le=3_660)] = 0
    annual_limit_fen: Money | None = None
    wallet: WalletPolicy = WalletPolicy()

    @field_validator("members_max_by_relation")
    @classmethod
    def _limits_what_exists(cls, limits: dict[str, int]) -> dict[str, int]:
        known = RELATION_GROUPS | set(Relation)
        if unknown := sorted(set(limits) - known):
            raise ValueError(f"unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return limits

    @field_validator("shared_expense_types")
    @classmethod
    def _shares_what_is_covered(cls, types: frozenset[ExpenseType]) -> frozenset[ExpenseType]:
        if never := sorted(types & NEVER_COVERED):
            raise ValueError(f"{', '.join(never)} can never be covered")
        return types


class NewPolicy(RegionPolicy):
    """A policy that is to be put. One that stands is read as it was put, also where this has become stricter."""

    @field_validator("members_max_by_relation")
    @classmethod
    def _limits_can_be_reached(cls, limits: dict[str, int], said: ValidationInfo) -> dict[str, int]:
        """A limit of nobody closes something and is left alone."""
        members_max, relations = said.data.get("members_max"), said.data.get("relations", frozenset())
        allowed = {name for relation in relations for name in (relation, KINSHIP[relation].group)}
        for name, limit in limits.items():
            if limit and name not in allowed:
                raise ValueError(
                    f"{name}: {limit}, but relations does not allow any {name}: name it there, or leave this out"
                )
            if members_max is not None and limit > members_max:
                raise ValueError(f"{name}: {limit} is above members_max: {members_max}")
            of_group = limits.get(KINSHIP[Relation(name)].group, limit) if name in set(Relation) else limit
            if limit > of_group:
                raise ValueError(f"{name}: {limit} is above {KINSHIP[Relation(name)].group}: {of_group}")
        return limits


SHIPPED = 0
# Regions times the days that anybody asks about at one time: enough for a nation.
FOUND_MAX = 20_000


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy and where it stands: the code it was put under ("" for the default) and its version there.

    Its name is what a record writes: "13@2".
    """

    code: str
    version: int
    policy: RegionPolicy
    name: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.code or 'default'}@{self.version}")

    def precedence(self) -> tuple[bool, date, int]:
        """What an operator has put comes before what was shipped, then the later date, then the later version."""
        return self.version > SHIPPED, self.policy.effective_from, self.version


@dataclass(frozen=True, slots=True)
class PolicyBook:
    """Every policy version, ready to be asked for a region and a day."""

    versions: dict[str, tuple[PolicyVersion, ...]] = field(default_factory=dict)
    # What was found for a region on a day: a batch asks for the same few again and again.
    _found: dict[tuple[str, date], PolicyVersion] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, put: Iterable[PolicyVersion] = ()) -> "PolicyBook":
        """The shipped policies, with what operators have put on top of them."""
        by_code: dict[str, list[PolicyVersion]] = defaultdict(list)
        for version in (*shipped_policies(), *put):
            by_code[version.code].append(version)
        latest_first = {
            code: tuple(sorted(versions, key=PolicyVersion.precedence, reverse=True))
            for code, versions in by_code.items()
        }
        return cls(latest_first)

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> "PolicyBook":
        """The book that stored rows of code, version and policy (JSON text) make, on top of the shipped policies.

        Raises UnreadablePolicy.
        """
        return cls.of(_stored(row["code"], row["version"], row["policy"]) for row in rows)

    def on(self, region: str, day: date) -> PolicyVersion:
        """The policy of a region on a Shanghai date."""
        found = self._found.get((region, day))
        if found is None:
            if len(self._found) >= FOUND_MAX:
                self._found.clear()
            found = self._found[region, day] = self._find(region, day)
        return found

    def _find(self, region: str, day: date) -> PolicyVersion:
        for code in (region, region[:4], region[:2], ""):
            for version in self.versions.get(code, ()):
                if version.policy.effective_from <= day:
                    return version
        raise LookupError(f"the shipped default policy is not in effect on {day}")

    def named(self, name: str) -> PolicyVersion | None:
        """The version that a record names: "13@2"."""
        code, _, number = name.partition("@")
        versions = self.versions.get("" if code == "default" else code, ())
        return next((version for version in versions if version.version == int(number)), None)


def _stored(code: str, version: int, policy: str) -> PolicyVersion:
    try:
        return PolicyVersion(code, version, RegionPolicy.model_validate_json(policy))
    except ValidationError as error:
        fields = ", ".join(sorted({str(each["loc"][0]) if each["loc"] else "all of it" for each in error.errors()}))
        raise UnreadablePolicy(
            f"this release does not understand version {version} of the policy of {code or 'default'} ({fields}): "
            "run the release that it was put with, or put the policy anew"
        ) from error


@cache
def shipped_policies() -> tuple[PolicyVersion, ...]:
    """The policies in `policies/regions.yaml`: the default, and the provinces whose procedure is published."""
    text = resources.files("shared.domain").joinpath("policies/regions.yaml").read_text(encoding="utf-8")
    regions: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return tuple(
        PolicyVersion("" if code == "default" else code, SHIPPED, RegionPolicy.model_validate(fields))
        for code, fields in regions.items()
    )
