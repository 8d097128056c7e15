"""lookup: what became of request N."""

from typing import Any

from shared.messages.envelope import Answer, Operation, Request, RequestIdField


class LookupRequest(Request):
    operation = Operation.LOOKUP

    original_request_id: RequestIdField


class LookupAnswer(Answer):
    """The stored answer of the original, as it was sent."""

    original: dict[str, Any] | None = None
    cancelled: bool | None = None
    refunded_fen: int | None = None
