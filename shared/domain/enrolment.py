"""How a person is insured, and what an institution is: words that both services speak."""

from enum import StrEnum


class Insurance(StrEnum):
    """Only employees have a personal account."""

    EMPLOYEE = "employee"
    RESIDENT = "resident"


class EnrolmentStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


class InstitutionKind(StrEnum):
    HOSPITAL = "hospital"
    PHARMACY = "pharmacy"
    GATEWAY = "gateway"
    TAX_OFFICE = "tax_office"
    AGENCY = "agency"


class InstitutionStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
