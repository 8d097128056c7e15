"""How a person is insured, and what an institution is: words that both services speak."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Insurance(StrEnum):
    """Only employees have a personal account."""

    EMPLOYEE = "employee"
    RESIDENT = "resident"


class EnrolmentStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class EndCause(StrEnum):
    """Why a binding ended by itself: an enrolment has changed."""

    PAYER_LEFT = "payer_left_employee_insurance"
    PAYER_MOVED = "payer_moved"
    BENEFICIARY_MOVED = "beneficiary_moved"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How a person is insured: no name, no ID number."""

    region_code: str
    insurance: Insurance
    status: EnrolmentStatus
    account_frozen: bool = False

    @property
    def is_active_employee(self) -> bool:
        return self.insurance is Insurance.EMPLOYEE and self.status is EnrolmentStatus.ACTIVE


# People are many, ways of being insured few.
@lru_cache(maxsize=20_000)
def enrolment_of(region_code: str, insurance: str, status: str, account_frozen: bool) -> Enrolment:
    """The enrolment that a stored row tells of."""
    return Enrolment(region_code, Insurance(insurance), EnrolmentStatus(status), account_frozen)


class InstitutionKind(StrEnum):
    HOSPITAL = "hospital"
    PHARMACY = "pharmacy"
    GATEWAY = "gateway"
    TAX_OFFICE = "tax_office"
    AGENCY = "agency"


class InstitutionStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
