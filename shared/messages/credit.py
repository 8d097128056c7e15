"""credit: the agency pays into a personal account, which opens on first use."""

from typing import Annotated, Literal

from pydantic import Field

from shared.messages.envelope import AmountField, Answer, FreeText, Operation, PersonIdField, Request


class CreditRequest(Request):
    operation = Operation.CREDIT

    person_id: PersonIdField
    fund: Literal["current_year", "prior_years"]
    amount_fen: AmountField
    note: Annotated[FreeText, Field(max_length=200)] | None = None


class CreditAnswer(Answer):
    current_year_fen: int | None = None
    prior_years_fen: int | None = None
