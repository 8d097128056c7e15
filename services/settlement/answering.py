"""What is published for the deliveries of a lane: each answer where it is taken, and dead letters."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import structlog

from services.settlement import metrics
from services.settlement.deliveries import Posting, Settled, can_be_let_go, dead_letters, kept_for_later, posting
from services.settlement.patience import Patience
from shared.domain.times import Clock
from shared.rabbit.confirms import Receipt
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing
from shared.rabbit.replies import Replies
from shared.rabbit.topology import DEAD, RESULTS

log = structlog.get_logger()

# Of what a lane may have in hand, one part in so many may be answers that wait for a reply queue; whatever else one refuses goes to the
# results at once. Who does not fetch holds up nobody else.
WAITING_PART = 4
# Every dead letter goes to one queue.
ANY_LETTER = Outgoing(DEAD, "", b"")
# A connection is made anew over a refusal, but no more often than that.
RENEWED_EVERY_S = 0.5


@dataclass(slots=True)
class Answering:
    """Publishes what a lane has to say. What is refused stays with the lane, by its tag, and comes again.

    Replies to addresses that senders chose have a connection of their own.
    """

    queue: str
    publisher: LastingPublisher
    replies: Replies
    patience: Patience
    clock: Clock
    authenticate_senders: bool
    # So many answers may wait for reply queues.
    waiting_max: int
    # Answered, and what of them is to be put aside was refused as yet: which of their requests.
    _unburied: dict[int, list[bool]] = field(default_factory=dict, init=False)
    _renewed_at: dict[LastingPublisher, float] = field(default_factory=dict, init=False)

    async def blocked(self) -> bool:
        """Whether the broker has raised an alarm that stops answers."""
        return await self.publisher.blocked() or await self.replies.blocked()

    def forget(self, tags: Sequence[int]) -> None:
        """These are done with."""
        for tag in tags:
            self._unburied.pop(tag, None)

    async def publish(self, settled: Sequence[Settled], put_aside: AbstractSet[int]) -> set[int]:
        """Publishes answers and dead letters, each confirmed. Returns the tags of deliveries of which something is refused as yet.

        `put_aside` are those that the lane has waiting already. Raises PublishFailed where the broker is away.
        """
        now = self.clock()
        answers = {
            each.delivery.tag: posting(each, now, authenticate_senders=self.authenticate_senders)
            for each in settled
            # What was told already, but for what has been decided otherwise since.
            if self._unburied.get(each.delivery.tag) != _to_be_buried(each)
        }
        waiting = await self._publish_answers({tag: answer for tag, answer in answers.items() if answer}, put_aside)
        # What comes again is put aside when it is answered.
        return waiting | await self._publish_dead_letters(
            [each for each in settled if each.delivery.tag not in waiting]
        )

    async def _publish_answers(self, answers: Mapping[int, Posting], put_aside: AbstractSet[int]) -> set[int]:
        """Whose answers are refused as yet; what is taken nowhere is given up, and a lookup tells it.

        The decision stands whatever becomes of its answer. A sender's reply queue that is gone or full is the sender's affair
        and holds up nobody else.
        """
        waiting: set[int] = set()
        elsewhere: dict[int, Posting] = {}
        to_senders = {tag: answer for tag, answer in answers.items() if not answer.message.exchange}
        to_exchanges = {tag: answer for tag, answer in answers.items() if answer.message.exchange}
        for publisher, part in ((self.replies, to_senders), (self.publisher, to_exchanges)):
            receipts = await publisher.publish([answer.message for answer in part.values()])
            now = asyncio.get_running_loop().time()
            for (tag, answer), receipt in zip(part.items(), receipts, strict=True):
                if receipt is Receipt.REFUSED and answer.message.exchange == RESULTS:
                    metrics.POSTPONED.inc()
                    elsewhere[tag] = Posting(kept_for_later(answer.message, self.clock()))
                elif self.patience.is_asked_for(answer.message, receipt, now) and self._may_wait(
                    tag, answer, put_aside | waiting
                ):
                    waiting.add(tag)
                elif receipt is not Receipt.CONFIRMED:
                    metrics.UNDELIVERED.labels(receipt.value).inc()
                    log.warning("answer_undelivered", receipt=receipt.value, message_type=answer.message.type)
                    if receipt is not Receipt.UNROUTABLE and answer.otherwise:
                        elsewhere[tag] = answer.otherwise
            if refused := receipts.count(Receipt.REFUSED):
                log.info("answers_refused", queue=self.queue, requests=refused)
                await self._renew(publisher)
        return waiting | await self._publish_answers(elsewhere, put_aside) if elsewhere else waiting

    def _may_wait(self, tag: int, answer: Posting, waiting: AbstractSet[int]) -> bool:
        """Whether there is room for an answer that waits for its queue; where it would be lost otherwise, there always is."""
        return answer.otherwise is None or len(waiting - {tag}) < self.waiting_max

    async def _publish_dead_letters(self, settled: Sequence[Settled]) -> set[int]:
        """Whose dead letters are refused as yet. A request is not acknowledged before it is put aside, however long that takes; what
        nobody could read is let go once the dead letters have refused for as long as a queue may.
        """
        now = self.clock()
        letters = [(each.delivery.tag, letter) for each in settled for letter in dead_letters(each, self.queue, now)]
        receipts = await self.publisher.publish([letter for _, letter in letters])
        refused = {tag for (tag, _), receipt in zip(letters, receipts, strict=True) if receipt is not Receipt.CONFIRMED}
        let_go: set[int] = set()
        if refused:
            if not self.patience.is_asked_for(ANY_LETTER, Receipt.REFUSED, asyncio.get_running_loop().time()):
                let_go = {each.delivery.tag for each in settled if each.delivery.tag in refused and can_be_let_go(each)}
            log.warning("dead_letters_refused", queue=self.queue, requests=len(refused), let_go=len(let_go))
            await self._renew(self.publisher)
        unburied = refused - let_go
        for each in settled:
            if each.delivery.tag in unburied:
                self._unburied[each.delivery.tag] = _to_be_buried(each)
            else:
                _tell_of_dead_letters(each, self.queue, kept=each.delivery.tag not in let_go)
        return unburied

    async def _renew(self, publisher: LastingPublisher) -> None:
        """RabbitMQ 3.10 refuses for ever on a channel that came while a queue had no leader."""
        now = asyncio.get_running_loop().time()
        if now >= self._renewed_at.get(publisher, -RENEWED_EVERY_S) + RENEWED_EVERY_S:
            self._renewed_at[publisher] = now
            await publisher.close()


def _to_be_buried(settled: Settled) -> list[bool]:
    """Which requests of a delivery are to be put aside."""
    return [bool(said.dead_letter) for said in settled.said]


def _tell_of_dead_letters(settled: Settled, queue: str, *, kept: bool) -> None:
    message = settled.delivery.message
    for each in (said.dead_letter for said in settled.said if said.dead_letter):
        if kept:
            metrics.DEAD_LETTERS.labels("poisoned" if each.readable else "unreadable").inc()
            log.warning("dead_lettered", queue=queue, problems=each.problems)
        else:
            metrics.DEAD_LETTERS_LET_GO.labels(queue).inc()
            size = len(message.body) + message.bytes_left_out
            # No digest: that of a body that is nothing but an ID number would tell it.
            log.error("dead_letter_let_go", queue=queue, problems=each.problems, bytes=size, user=message.user_id)
