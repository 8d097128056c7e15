"""A message as it came, what has become of each request in it, and what is to be published for it. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from services.settlement import answers
from services.settlement.incoming import Incoming, Sender
from services.settlement.model import Written
from services.settlement.rules import owns_reply_queue
from shared.domain.reasons import Reason
from shared.domain.values import dataclass
from shared.messages.catalogue import CATALOGUE, UNDECIDABLE, Bulk, Malformed, not_kept, parse
from shared.messages.envelope import Operation, Outcome, Request
from shared.messages.signing import Signed
from shared.rabbit.access import is_user, results_queue
from shared.rabbit.publisher import Outgoing
from shared.rabbit.topology import DEAD, LATER, RESULTS, About
from shared.rabbit.wire import Message

# Said before anybody has looked whether the sender is of the institution that a body names.
UNPROVEN = frozenset({Reason.MALFORMED, Reason.SENDER_MISMATCH})
# Of a dead letter's routing key nothing is repeated that a sender could have made up.
ROUTING_KEY = re.compile(rf"({'|'.join(CATALOGUE)})\.[0-9]{{6}}")


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message with its requests, read as far as they can be: one, or those of a bulk message, which `bulk` is around."""

    message: Message
    requests: tuple[Incoming | Malformed, ...]
    bulk: Request | None = None

    @property
    def tag(self) -> int:
        return self.message.delivery_tag

    @property
    def sender(self) -> Sender:
        return sender_of(self.message)

    @property
    def incoming(self) -> Iterator[Incoming]:
        return (each for each in self.requests if isinstance(each, Incoming))


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to one request; None where there is nobody to answer."""

    answer: Written | None
    dead_letter: Malformed | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """A delivery with what is said to each of its requests."""

    delivery: Delivery
    said: Sequence[Said]


@dataclass(frozen=True, slots=True)
class Posting:
    """An answer to publish, and what to publish `otherwise`, if it is not taken."""

    message: Outgoing
    otherwise: "Posting | None" = None


def sender_of(message: Message) -> Sender:
    signed = Signed(message.signature, message.type or "", message.body) if message.signature else None
    return Sender(message.user_id or None, message.reply_to or None, signed)


def is_long(message: Message, queue: str) -> bool:
    """Whether it asks for a day of an institution's, which may be ten thousand settlements. On a queue that takes no such request it is soon refused."""
    return message.type == Operation.RECONCILE and CATALOGUE[Operation.RECONCILE].queue == queue


def read(message: Message, queue: str) -> Delivery:
    """A message that a queue delivered as its requests, or as what is wrong with it."""
    if message.bytes_left_out:
        size = len(message.body) + message.bytes_left_out
        return Delivery(message, (not_kept(message.type, message.body, size, queue),))
    parsed = parse(message.type, message.routing_key, message.content_type, message.body)
    if isinstance(parsed, Malformed):
        return Delivery(message, (parsed,))
    operation = parsed.envelope.operation if isinstance(parsed, Bulk) else parsed.operation
    if (taken_by := CATALOGUE[operation].queue) != queue:
        # A copy (CC) of a message that its own queue has too: its sender is answered from there, and not told twice.
        copy = replace(message, reply_to=None)
        return Delivery(copy, (Malformed(f"{operation} is taken by {taken_by}", operation),))
    sender = sender_of(message)
    if isinstance(parsed, Bulk):
        requests = [each if isinstance(each, Malformed) else Incoming(each, sender) for each in parsed.settlements]
        return Delivery(message, tuple(requests), parsed.envelope)
    return Delivery(message, (Incoming(parsed, sender),))


def refused(delivery: Delivery, found: Malformed, now: datetime) -> Said:
    """What is said to something that is no acceptable request. Without a name in it, only where it asked for a reply."""
    alone = delivery.bulk is None
    unreadable = found if alone and not found.readable else None
    if unreadable and not delivery.sender.reply_to:
        return Said(None, dead_letter=unreadable)
    return Said(answers.malformed(found, now), unreadable)


def poisoned(incoming: Incoming, error: str, now: datetime) -> Said:
    """What is said to a request that cannot be decided, whatever else is in the batch."""
    found = Malformed(
        f"{UNDECIDABLE} ({error})",
        incoming.operation,
        incoming.request.request_id,
        incoming.request.institution_id,
    )
    return Said(answers.malformed(found, now), found)


def posting(settled: Settled, now: datetime, *, authenticate_senders: bool) -> Posting | None:
    """The answer, if there is somebody to answer."""
    delivery, said = settled.delivery, settled.said
    proven = not authenticate_senders or any(each.answer and each.answer.reason not in UNPROVEN for each in said)
    if delivery.bulk:
        # The same whenever it is said again: when the last of them was decided.
        each_said = [each.answer for each in said if each.answer]
        decided = [answer.decided_at for answer in each_said if answer.outcome != Outcome.REJECTED]
        answer = answers.bulk(delivery.bulk, each_said, max(decided, default=now))
    elif said[0].answer:
        answer = said[0].answer
    else:
        return None
    to_results = _to_results(delivery, answer, proven=proven)
    results = Posting(to_results)
    sender = delivery.sender
    if sender.reply_to and (not authenticate_senders or owns_reply_queue(sender)):
        # Whom the broker does not vouch for is one sender: it could be anybody.
        whose = (sender.user_id or "") if authenticate_senders else None
        reply = replace(to_results, exchange="", routing_key=sender.reply_to, on_behalf_of=whose)
        return Posting(reply, otherwise=results)
    return results


def kept_for_later(result: Outgoing, now: datetime) -> Outgoing:
    """A result that was refused, as it stands in line for another try."""
    return replace(result, exchange=LATER, headers={About.REFUSED_AT: now.isoformat()})


def dead_letters(settled: Settled, queue: str, now: datetime) -> Iterator[Outgoing]:
    """What of a delivery is to be put aside."""
    delivery = settled.delivery
    for request, each in zip(delivery.requests, settled.said, strict=True):
        if each.dead_letter:
            yield _dead_letter(_alone(delivery, request), each.dead_letter, queue, now)


def can_be_let_go(settled: Settled) -> bool:
    """Whether none of what is to be put aside was anybody's request: nobody could read it, so nobody can ask for it by name."""
    return not any(each.dead_letter and each.dead_letter.readable for each in settled.said)


def _to_results(delivery: Delivery, answer: Written, *, proven: bool) -> Outgoing:
    """To the institution's results; of a sender who may be another one, to the sender's own, as the broker knows whose they are."""
    operation, user = answer.operation or "unknown", delivery.sender.user_id
    institution_id = answer.institution_id if proven else None
    to_results = Outgoing(
        RESULTS,
        f"{operation}.{answer.outcome}.{institution_id or 'unknown'}",
        answer.text.encode(),
        type=f"{operation}.result",
        correlation_id=delivery.message.correlation_id,
    )
    if proven or user is None or not is_user(user):
        return to_results
    return replace(to_results, exchange="", routing_key=results_queue(user))


def _alone(delivery: Delivery, request: Incoming | Malformed) -> Message:
    """The message of one request, as if a settlement of a bulk message had come alone."""
    if delivery.bulk is None or isinstance(request, Malformed):
        return delivery.message
    return replace(
        delivery.message,
        type=Operation.SETTLE,
        routing_key=f"{Operation.SETTLE}.{request.request.insured_region}",
        body=request.request.content().encode(),
    )


def _dead_letter(message: Message, found: Malformed, queue: str, now: datetime) -> Outgoing:
    """The body as it came, with what was wrong. The sender's own words stay behind: they may route, or be personal."""
    cut: dict[str, int] = {About.BYTES_LEFT_OUT: message.bytes_left_out} if message.bytes_left_out else {}
    return Outgoing(
        DEAD,
        message.routing_key if ROUTING_KEY.fullmatch(message.routing_key) else "unknown",
        message.body,
        # A word that is no operation is the sender's own too.
        type=found.operation,
        headers={
            About.QUEUE: queue,
            About.REASON: found.reason,
            About.PROBLEMS: found.problems,
            About.DEAD_AT: now.isoformat(),
            **cut,
        },
    )
