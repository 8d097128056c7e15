"""refund and cancel (冲正): giving back what was paid."""

from enum import StrEnum
from typing import Self

from pydantic import model_validator

from shared.messages.envelope import AmountField, Answer, Operation, Request, RequestIdField


class Effect(StrEnum):
    """What a cancel found: it returned money, there was nothing to return, or the original can no longer come."""

    REVERSED = "reversed"
    NOTHING_TO_REVERSE = "nothing_to_reverse"
    BLOCKED = "blocked"


class RefundRequest(Request):
    """Without an amount, all that is left."""

    operation = Operation.REFUND

    original_request_id: RequestIdField
    amount_fen: AmountField | None = None


class CancelRequest(Request):
    operation = Operation.CANCEL

    original_request_id: RequestIdField

    @model_validator(mode="after")
    def _speaks_of_another(self) -> Self:
        if self.original_request_id == self.request_id:
            raise ValueError("original_request_id must be another request's id")
        return self


class ReturnedAnswer(Answer):
    """What was returned: own + wallet + mutual_aid = amount. `settlement_id` is the original's."""

    settlement_id: str | None = None
    amount_fen: int | None = None
    own_account_fen: int | None = None
    wallet_fen: int | None = None
    mutual_aid_fen: int | None = None
    payer_id: str | None = None
    own_balance_fen: int | None = None


class RefundAnswer(ReturnedAnswer):
    pass


class CancelAnswer(ReturnedAnswer):
    effect: Effect | None = None
