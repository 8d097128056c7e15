"""How a person is insured, and what an institution is: words that both services speak."""

from dataclasses import dataclass
from enum import StrEnum


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


class InstitutionKind(StrEnum):
    HOSPITAL = "hospital"
    PHARMACY = "pharmacy"
    GATEWAY = "gateway"
    TAX_OFFICE = "tax_office"
    AGENCY = "agency"


class InstitutionStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
