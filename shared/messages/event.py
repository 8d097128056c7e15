"""Events: what has happened, told to whoever wants to know. Source: contract.md; docs/integrators.md, "Events"."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class EventName(StrEnum):
    """The first words of an event's routing key; a region follows."""

    DEBITED = "account.debited"
    REFUNDED = "account.refunded"
    REFUND_REVERSED = "account.refund_reversed"
    CREDITED = "account.credited"
    CREDIT_REVERSED = "account.credit_reversed"
    AGED = "account.aged"
    TRANSFER_GIVEN = "transfer.given"
    TRANSFER_ARRIVED = "transfer.arrived"
    TRANSFER_RETURNED = "transfer.returned"
    TRANSFER_REVERSED = "transfer.reversed"
    BINDING_MADE = "binding.made"
    BINDING_ENDED = "binding.ended"


class Event(BaseModel):
    """What every event says. It may come more than once, each time with the same `event_id`."""

    model_config = ConfigDict(frozen=True)

    event_id: str
    event: EventName
    at: datetime


class AccountEvent(Event):
    """What a movement did to one person's account, in fen; what was taken is negative.

    `seal_no` is its place among all that was sealed in the province, `hash` the head of the chain there.
    """

    person_id: str
    insured_region: str
    movement_id: str
    original_id: str | None
    institution_id: str | None
    request_id: str | None
    binding_id: str | None
    care_region: str | None
    current_year_fen: int
    prior_years_fen: int
    wallet_fen: int
    seal_no: int
    hash: str


class BindingEvent(Event):
    """A binding that was made or ended; `cause` says why it ended, `valid_until` from when on it is no longer valid."""

    binding_id: str
    payer_id: str
    payer_province: str
    beneficiary_id: str
    beneficiary_province: str
    valid_from: date
    valid_until: date | None
    cause: str | None
