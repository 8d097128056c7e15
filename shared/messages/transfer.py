"""transfer: an employee gives to a relative's wallet (医保钱包), in any province."""

from shared.messages.envelope import (
    AmountField,
    Answer,
    AnsweredMoment,
    Operation,
    PersonIdField,
    RegionField,
    Request,
)


class TransferRequest(Request):
    """`insured_region` is the giver's."""

    operation = Operation.TRANSFER

    from_person_id: PersonIdField
    to_person_id: PersonIdField
    to_insured_region: RegionField
    amount_fen: AmountField


class TransferAnswer(Answer):
    """`accept_by` is when the money returns unless the receiver accepts; null where nothing waits for that."""

    transfer_id: str | None = None
    amount_fen: int | None = None
    accept_by: AnsweredMoment | None = None
