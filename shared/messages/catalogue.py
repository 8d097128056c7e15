"""Every operation with its request, its answer and its queue; parsing a body into a request."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json, to_json

from shared.domain.enrolment import InstitutionKind
from shared.domain.reasons import Reason
from shared.domain.regions import province_of
from shared.messages.bulk import BULK_BYTES_MAX, SETTLEMENTS_MAX, BulkAnswer, BulkRequest
from shared.messages.credit import CreditAnswer, CreditRequest
from shared.messages.envelope import (
    BODY_BYTES_MAX,
    InstitutionIdField,
    Operation,
    Request,
    RequestIdField,
)
from shared.messages.lookup import LookupAnswer, LookupRequest
from shared.messages.reconcile import ReconcileAnswer, ReconcileRequest
from shared.messages.settle import QuoteRequest, SettleAnswer, SettleRequest
from shared.messages.transfer import TransferAnswer, TransferRequest
from shared.messages.undo import CancelAnswer, CancelRequest, RefundAnswer, RefundRequest

AnswerType = (
    type[SettleAnswer]
    | type[BulkAnswer]
    | type[CreditAnswer]
    | type[LookupAnswer]
    | type[TransferAnswer]
    | type[RefundAnswer]
    | type[CancelAnswer]
    | type[ReconcileAnswer]
)


@dataclass(frozen=True, slots=True)
class Wire:
    """How one operation looks on the wire, and which kinds of institution may send it."""

    request: type[Request]
    answer: AnswerType
    queue: str
    senders: frozenset[InstitutionKind]
    bytes_max: int = BODY_BYTES_MAX


PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

SETTLEMENT_QUEUE = "gongji.settlement"
BULK_QUEUE = "gongji.bulk"
INQUIRY_QUEUE = "gongji.inquiry"

CARE_GIVERS = frozenset(
    {InstitutionKind.HOSPITAL, InstitutionKind.PHARMACY, InstitutionKind.GATEWAY, InstitutionKind.TAX_OFFICE}
)
AGENCIES = frozenset({InstitutionKind.AGENCY})
TRANSFERRING = frozenset({InstitutionKind.AGENCY, InstitutionKind.GATEWAY})
# A lookup and a cancel speak of the sender's own request, so every kind of institution may send them.
EVERYBODY = frozenset(InstitutionKind)

CATALOGUE: dict[Operation, Wire] = {
    Operation.SETTLE: Wire(SettleRequest, SettleAnswer, SETTLEMENT_QUEUE, CARE_GIVERS),
    Operation.SETTLE_BULK: Wire(BulkRequest, BulkAnswer, BULK_QUEUE, CARE_GIVERS, BULK_BYTES_MAX),
    Operation.CREDIT: Wire(CreditRequest, CreditAnswer, SETTLEMENT_QUEUE, AGENCIES),
    Operation.REFUND: Wire(RefundRequest, RefundAnswer, SETTLEMENT_QUEUE, CARE_GIVERS),
    Operation.CANCEL: Wire(CancelRequest, CancelAnswer, SETTLEMENT_QUEUE, EVERYBODY),
    Operation.TRANSFER: Wire(TransferRequest, TransferAnswer, SETTLEMENT_QUEUE, TRANSFERRING),
    Operation.QUOTE: Wire(QuoteRequest, SettleAnswer, INQUIRY_QUEUE, CARE_GIVERS),
    Operation.LOOKUP: Wire(LookupRequest, LookupAnswer, INQUIRY_QUEUE, EVERYBODY),
    Operation.RECONCILE: Wire(ReconcileRequest, ReconcileAnswer, INQUIRY_QUEUE, CARE_GIVERS),
}


# What is wrong in more places than that is no mistake of a field.
PROBLEMS_MAX = 200
# Of a body that is too long this much is kept. It is looked through for its sender's name, unless the whole is far too long.
BEGINNING_BYTES = 1024
NAME_BYTES_MAX = 1024 * 1024


# How the problems of a good request begin that makes PostgreSQL fail.
UNDECIDABLE = "it cannot be decided"


@dataclass(frozen=True, slots=True)
class Malformed:
    """A body that is no acceptable request.

    `problems` names fields and what they should be, never the values: they may be personal. `request_id` and
    `institution_id` are given where both could be read; then the sender can be answered by name.
    """

    problems: str
    operation: str | None = None
    request_id: str | None = None
    institution_id: str | None = None

    reason = Reason.MALFORMED

    @property
    def readable(self) -> bool:
        return self.request_id is not None and self.institution_id is not None


@dataclass(frozen=True, slots=True)
class Bulk:
    """Many settle requests in one message; what is wrong with one of them is said in its place."""

    envelope: Request
    settlements: tuple[SettleRequest | Malformed, ...]


class _Name(BaseModel):
    """Just enough of a body to know whom to answer."""

    request_id: RequestIdField
    institution_id: InstitutionIdField


class _Envelope(Request):
    """A bulk request around settlements that have still to be looked at one by one."""

    operation = Operation.SETTLE_BULK

    settlements: Annotated[list[Any], Field(min_length=1, max_length=SETTLEMENTS_MAX)]


def bytes_max(queue: str) -> int:
    """How long the longest request of a queue may be."""
    return max(wire.bytes_max for wire in CATALOGUE.values() if wire.queue == queue)


def parse(operation: str | None, routing_key: str, content_type: str | None, body: bytes) -> Request | Bulk | Malformed:
    """A message's body as a request of its operation, or what is wrong with it.

    The operation is the message's `type`; it must be the routing key's first word, and the key's region the body's.
    """
    if operation not in CATALOGUE:
        # What the sender made up is repeated nowhere: not in an answer, a label or a routing key.
        return _malformed(f"the type property must be one of {', '.join(CATALOGUE)}", None, body)
    wire = CATALOGUE[Operation(operation)]
    if len(body) > wire.bytes_max:
        return _too_long(operation, body, len(body), wire.bytes_max)
    if content_type is not None and content_type.partition(";")[0].strip().lower() != "application/json":
        return _malformed("content_type must be application/json", operation, body)
    key_operation, _, key_region = routing_key.partition(".")
    if key_operation != operation:
        return _malformed("the routing key's first word must be the type property", operation, body)
    if not _is_json(body):
        return Malformed("the body is not JSON: NaN and Infinity are no numbers", operation)
    try:
        request = _read_bulk(body) if wire.request is BulkRequest else wire.request.model_validate_json(body)
    except ValidationError as error:
        return _malformed(describe(error), operation, body)
    envelope = request.envelope if isinstance(request, Bulk) else request
    if key_region != envelope.insured_region:
        return _malformed("the routing key's region must be insured_region", operation, body)
    return request


def not_kept(operation: str | None, beginning: bytes, size: int, queue: str) -> Malformed:
    """A body of so many bytes, of which only the beginning was kept."""
    return _too_long(operation if operation in CATALOGUE else None, beginning, size, bytes_max(queue))


def _too_long(operation: str | None, body: bytes, size: int, most: int) -> Malformed:
    looked_through = body[:BEGINNING_BYTES] if size <= NAME_BYTES_MAX else b""
    return _malformed(f"the body has {size} bytes; at most {most} are read", operation, looked_through, whole=False)


def _read_bulk(body: bytes) -> Bulk:
    """Raises ValidationError where the message around the settlements is wrong."""
    try:
        bulk = BulkRequest.model_validate_json(body)
        return Bulk(bulk, tuple(_of_its_sender(each, bulk) for each in bulk.settlements))
    except ValidationError:
        # Something is wrong somewhere: only now is each looked at alone, which takes three times as long.
        around = _Envelope.model_validate_json(body)
        return Bulk(around, tuple(_of_its_sender(_settlement(said), around) for said in around.settlements))


def _settlement(said: Any) -> SettleRequest | Malformed:
    try:
        return SettleRequest.model_validate(said)
    except ValidationError as error:
        return _malformed(describe(error), Operation.SETTLE, to_json(said))


def _of_its_sender(settlement: SettleRequest | Malformed, envelope: Request) -> SettleRequest | Malformed:
    """A message comes from one institution and goes to one province."""
    if isinstance(settlement, Malformed):
        return settlement
    found = (Operation.SETTLE, settlement.request_id, settlement.institution_id)
    if settlement.institution_id != envelope.institution_id:
        return Malformed("institution_id must be that of the message around it", *found)
    if province_of(settlement.insured_region) != province_of(envelope.insured_region):
        return Malformed("insured_region must be in the province of the message around it", *found)
    return settlement


def describe(error: ValidationError) -> str:
    """A validation error in words, without any value: "amount_fen: Input should be greater than or equal to 1"."""
    if (count := error.error_count()) > PROBLEMS_MAX:
        # To list them takes longer than to find them.
        return f"body: {count} things in it are wrong"
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{place(each['type'], each['loc'])}: {each['msg']}" for each in found[:5])


def place(kind: str, location: tuple[int | str, ...]) -> str:
    """Where a validation error is. A key that the sender made up may itself be personal, so it is not repeated."""
    words = [str(step) if isinstance(step, int) or PLAIN_NAME.fullmatch(step) else "(a field)" for step in location]
    if kind == "extra_forbidden":
        words[-1] = "(unknown field)"
    return ".".join(words) or "body"


def _is_json(body: bytes) -> bool:
    """The parser takes NaN and Infinity, which are not JSON; a body that holds the words is looked at again."""
    if b"NaN" not in body and b"Infinity" not in body:
        return True
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError:
        return False
    return True


def _malformed(problems: str, operation: str | None, body: bytes, *, whole: bool = True) -> Malformed:
    name = _name(body, whole=whole)
    if name is None:
        return Malformed(problems, operation)
    return Malformed(problems, operation, name.request_id, name.institution_id)


def _name(body: bytes, *, whole: bool) -> _Name | None:
    try:
        content: Any = from_json(body, allow_inf_nan=False, allow_partial=not whole)
        return _Name.model_validate(content, strict=True)
    except (ValueError, RecursionError):
        return None
