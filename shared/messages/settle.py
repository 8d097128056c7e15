"""settle and quote: decide who pays; settle debits, quote does not."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.policy import ExpenseType
from shared.messages.envelope import (
    AmountField,
    Answer,
    FreeText,
    Operation,
    PersonIdField,
    RegionField,
    Request,
)


class Credential(BaseModel):
    """What was presented at the counter, and whose it is: 01 code, 02 ID card, 03 social-security card."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: Literal["01", "02", "03"]
    person_id: PersonIdField


class SettleRequest(Request):
    operation = Operation.SETTLE

    person_id: PersonIdField
    credential: Credential
    expense_type: Annotated[ExpenseType, Field(strict=False)]
    amount_fen: AmountField
    care_region: RegionField
    use_own_account: bool = True
    use_mutual_aid: bool = True
    require_full: bool = False
    bill_ref: Annotated[FreeText, Field(max_length=64)] | None = None


class QuoteRequest(SettleRequest):
    """A settle that debits nothing."""

    operation = Operation.QUOTE


class SettleAnswer(Answer):
    """own + wallet + mutual_aid + cash = amount, always. All money is null in a rejected answer."""

    settlement_id: str | None = None
    amount_fen: int | None = None
    own_account_fen: int | None = None
    wallet_fen: int | None = None
    mutual_aid_fen: int | None = None
    cash_fen: int | None = None
    payer_id: str | None = None
    own_balance_fen: int | None = None
