"""Answers as their receivers read them."""

from services.settlement.model import Written
from shared.messages.catalogue import CATALOGUE
from shared.messages.envelope import Answer, Operation


def read(written: Written) -> Answer:
    """An answer read by the model of its operation, which would write it in the very same words."""
    answer = CATALOGUE[Operation(str(written.operation))].answer.model_validate_json(written.text)

    assert answer.model_dump_json() == written.text
    told = (answer.operation, answer.institution_id, answer.outcome, answer.reason, answer.decided_at, answer.replayed)
    assert told == (
        written.operation,
        written.institution_id,
        written.outcome,
        written.reason,
        written.decided_at,
        written.replayed,
    )
    return answer


def said_again(answer: Answer) -> Answer:
    """What the same request must be answered when it comes again."""
    return answer.model_copy(update={"replayed": True})
