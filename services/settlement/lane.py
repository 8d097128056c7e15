"""One queue's way through the worker: deliveries become batches, verdicts become answers, then acknowledgements.

Two steps run side by side: while the answers of one batch are being confirmed, the next is in the database. This is
the one place that acknowledges, and it does so only after the decision is durable and its answer confirmed: the
unacknowledged request is the outbox.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import stamina
import structlog
from aiormq.channel import Channel

from services.settlement import metrics
from services.settlement.deliveries import (
    Delivery,
    Posting,
    Said,
    Settled,
    can_be_let_go,
    dead_letters,
    poisoned,
    posting,
    read,
    refused,
)
from services.settlement.handler import Busy, Handler, Poisoned, Result, ServersAway
from services.settlement.model import Resolution
from services.settlement.patience import Patience
from shared.domain.times import Clock
from shared.messages.catalogue import BEGINNING_BYTES, Malformed, bytes_max
from shared.messages.envelope import Outcome
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import SILENCE_S, consume
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import Outgoing
from shared.rabbit.replies import Replies
from shared.rabbit.topology import DEAD
from shared.rabbit.wire import Message

log = structlog.get_logger()

BUSY_AGAIN_S = 0.5
# Every dead letter goes to one queue.
ANY_LETTER = Outgoing(DEAD, "", b"")
# Of what a lane may have in hand, one part in so many may be answers that wait for a reply queue; whatever else one refuses goes to the
# results at once. Who does not fetch holds up nobody else.
WAITING_PART = 4


class ConsumerLost(Exception):
    """The broker took the subscription away."""


@dataclass(slots=True)
class Line:
    """Messages in hand that stand in line to be decided: at most `batch_max` requests at once, waiting for what is held or not."""

    batch_max: int
    wait: bool
    messages: deque[Message] = field(default_factory=deque)

    def next_batch(self, queue: str) -> list[Delivery]:
        """Those in front, up to `batch_max` requests or one message more than that."""
        batch: list[Delivery] = []
        requests = 0
        while self.messages and requests < self.batch_max:
            batch.append(read(self.messages.popleft(), queue))
            requests += len(batch[-1].requests)
        return batch


class Lane:
    """Consumes one queue on one channel and answers on others.

    The channels belong to different connections: when an alarm blocks publishing, acknowledgements still flow.
    """

    def __init__(
        self,
        queue: str,
        consuming: Channel,
        publisher: LastingPublisher,
        replies: Replies,
        handler: Handler,
        clock: Clock,
        patience: Patience,
        batch_max: int,
        prefetch: int,
    ) -> None:
        self._queue = queue
        self._channel = consuming
        self._publisher = publisher
        self._replies = replies
        self._handler = handler
        self._clock = clock
        self._patience = patience
        self._batch_max = batch_max
        self._prefetch = prefetch
        self._tag: str | None = None
        self._read_bytes_max = bytes_max(queue)
        # Delivered and not acknowledged.
        self._in_hand = 0
        self._arrived = Line(batch_max, wait=True)
        # One that has waited before does not make the others wait again.
        self._returned = Line(batch_max, wait=False)
        self._lines = self._arrived, self._returned
        self._wake = asyncio.Event()
        self._lost = False
        self._away: str | None = None
        self._put_aside: set[int] = set()
        # Answered, and what of them is to be put aside was refused as yet.
        self._unburied: set[int] = set()
        self._settled: asyncio.Queue[list[Settled] | None] = asyncio.Queue(maxsize=1)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes the batch in hand. Raises what ends the broker session."""
        stopping = asyncio.create_task(self._wake_on(stop))
        try:
            await self._channel.basic_qos(prefetch_count=self._prefetch, timeout=SILENCE_S)
            self._channel.on_consumer_cancel_callbacks.add(self._on_cancelled)
            async with asyncio.TaskGroup() as steps:
                steps.create_task(self._decide_batches(stop))
                steps.create_task(self._answer_batches())
        finally:
            stopping.cancel()
            self._forget_subscription()

    async def trouble(self) -> str | None:
        """Why nothing is decided, or nothing answered, at the moment; None where neither is so."""
        if self._away:
            return f"PostgreSQL cannot be used: {self._away}"
        if await self._publisher.blocked() or await self._replies.blocked():
            return "RabbitMQ takes no answers: it has raised an alarm"
        return None

    # ---- first step: decide ----

    async def _decide_batches(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self._lost:
                raise ConsumerLost(f"the broker cancelled the consumer of {self._queue}")
            if not any(line.messages for line in self._lines):
                self._wake.clear()
                if self._may_subscribe():
                    await self._subscribe()
                await self._wake.wait()
                continue
            for line in self._lines:
                if line.messages and not stop.is_set():
                    batch = line.next_batch(self._queue)
                    settled = await self._decide(batch, stop, wait=line.wait)
                    if settled is not None:
                        await self._settled.put(settled)
        await self._unsubscribe()
        await self._settled.put(None)

    async def _decide(self, batch: Sequence[Delivery], stop: asyncio.Event, *, wait: bool) -> list[Settled] | None:
        """What to say to each delivery; None where stopping came before the database came back."""
        try:
            results = await self._results(batch, self._batch_max, wait=wait)
        except ServersAway as away:
            if (again := await self._results_after(away, batch, stop, wait=wait)) is None:
                return None
            results = again
        return self._settled_by(iter(results), batch)

    async def _results(self, batch: Sequence[Delivery], size_max: int, *, wait: bool) -> list[Result]:
        """A result for each request, decided so many at a time. Raises ServersAway, and then nothing of it is kept.

        The server that is back may be another one, which does not know what its predecessor had committed: nothing that
        was decided before is answered from memory.
        """
        incoming = [each for delivery in batch for each in delivery.incoming]
        results: list[Result] = []
        while len(results) < len(incoming):
            # A bulk message is more than a batch: it is decided in several.
            part = incoming[len(results) : len(results) + size_max]
            metrics.BATCH_SIZE.observe(len(part))
            with metrics.STAGE_SECONDS.labels("decide").time():
                results += await self._handler.handle(part, wait=wait)
        return results

    def _settled_by(self, results: Iterator[Result], batch: Sequence[Delivery]) -> list[Settled]:
        now = self._clock()
        settled: list[Settled] = []
        for delivery in batch:
            said: list[Said] = []
            busy = False
            for request in delivery.requests:
                if isinstance(request, Malformed):
                    said.append(refused(delivery, request, now))
                    continue
                match next(results):
                    case Resolution() as resolution:
                        said.append(Said(resolution.answer, resolution.text))
                    case Poisoned(incoming, error):
                        said.append(poisoned(incoming, error, now))
                    case Busy():
                        busy = True
            if busy:
                self._again_later(delivery)
            else:
                settled.append(Settled(delivery, said))
        return settled

    def _again_later(self, delivery: Delivery) -> None:
        """It stays unacknowledged, and until it is answered nothing behind it may be acknowledged in its stead."""
        self._put_aside.add(delivery.tag)
        metrics.PUT_ASIDE.labels(self._queue).inc()

        def again() -> None:
            self._returned.messages.append(delivery.message)
            self._wake.set()

        asyncio.get_running_loop().call_later(BUSY_AGAIN_S, again)

    async def _results_after(
        self, away: ServersAway, batch: Sequence[Delivery], stop: asyncio.Event, *, wait: bool
    ) -> list[Result] | None:
        """Stops consuming until the batch can be decided. What was delivered stays in hand, unacknowledged.

        Giving it back would count towards the delivery limit, and a long outage would dead-letter good requests.
        """
        log.warning("database_away", queue=self._queue, error=str(away))
        metrics.PAUSES.labels(self._queue).inc()
        self._away = away.kind
        await self._unsubscribe()
        size_max = self._batch_max
        async for attempt in stamina.retry_context(
            on=ServersAway, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                if stop.is_set():
                    return None
                await self._handler.ready()
                # It may be this batch that is too much for the time a transaction has.
                size_max = max(1, size_max // 2)
                results = await self._results(batch, size_max, wait=wait)
        self._away = None
        log.info("database_back", queue=self._queue)
        return results

    # ---- second step: answer, then acknowledge ----

    async def _answer_batches(self) -> None:
        while (settled := await self._settled.get()) is not None:
            with metrics.STAGE_SECONDS.labels("answer").time():
                await self._answer(settled)

    async def _answer(self, settled: Sequence[Settled]) -> None:
        waiting = await self._publish(settled)
        answered = []
        for each in settled:
            if each.delivery.tag in waiting:
                self._again_later(each.delivery)
            else:
                answered.append(each)
        if not answered:
            return
        _count(answered)
        await self._acknowledge([each.delivery for each in answered])

    async def _acknowledge(self, answered: Sequence[Delivery]) -> None:
        tags = [delivery.tag for delivery in answered]
        for kept in (self._put_aside, self._unburied):
            kept.difference_update(tags)
        if not self._put_aside:
            await self._channel.basic_ack(max(tags), multiple=True, wait=False)
        else:
            for tag in tags:
                await self._channel.basic_ack(tag, wait=False)
        self._in_hand -= len(answered)
        if self._tag is None:
            self._wake.set()

    async def _publish(self, settled: Sequence[Settled]) -> set[int]:
        """Publishes answers and dead letters, each confirmed. Returns the tags of deliveries of which something is refused as yet.

        Raises PublishFailed where the broker is away.
        """
        now, authenticate_senders = self._clock(), self._handler.authenticate_senders
        answers = {
            each.delivery.tag: posting(each, now, authenticate_senders=authenticate_senders)
            for each in settled
            if each.delivery.tag not in self._unburied
        }
        waiting = await self._publish_answers({tag: answer for tag, answer in answers.items() if answer})
        # What comes again is put aside when it is answered.
        return waiting | await self._publish_dead_letters(
            [each for each in settled if each.delivery.tag not in waiting]
        )

    async def _publish_answers(self, answers: Mapping[int, Posting]) -> set[int]:
        """Whose answers are refused as yet; what no queue takes otherwise is given up, and a lookup tells it.

        The decision stands whatever becomes of its answer. A sender's reply queue that is gone or full is the sender's affair
        and holds up nobody else.
        """
        waiting: set[int] = set()
        elsewhere: dict[int, Posting] = {}
        to_senders = {tag: answer for tag, answer in answers.items() if not answer.message.exchange}
        to_results = {tag: answer for tag, answer in answers.items() if answer.message.exchange}
        for publisher, part in ((self._replies, to_senders), (self._publisher, to_results)):
            receipts = await publisher.publish([answer.message for answer in part.values()])
            now = asyncio.get_running_loop().time()
            for (tag, answer), receipt in zip(part.items(), receipts, strict=True):
                if self._patience.is_asked_for(answer.message, receipt, now) and self._may_wait(tag, answer, waiting):
                    waiting.add(tag)
                elif receipt is not Receipt.CONFIRMED:
                    metrics.UNDELIVERED.labels(receipt.value).inc()
                    log.warning("answer_undelivered", receipt=receipt.value, message_type=answer.message.type)
                    if receipt is not Receipt.UNROUTABLE and answer.otherwise:
                        elsewhere[tag] = Posting(answer.otherwise)
            if not waiting.isdisjoint(part):
                log.info("answers_refused", queue=self._queue, requests=len(waiting))
                # RabbitMQ 3.10 refuses for ever on a channel that came while a queue had no leader.
                await publisher.close()
        return waiting | await self._publish_answers(elsewhere) if elsewhere else waiting

    def _may_wait(self, tag: int, answer: Posting, waiting: Collection[int]) -> bool:
        """Whether there is room for an answer that waits for its queue; where it would be lost otherwise, there always is."""
        others = self._put_aside.union(waiting) - {tag}
        return answer.otherwise is None or len(others) < max(1, self._prefetch // WAITING_PART)

    async def _publish_dead_letters(self, settled: Sequence[Settled]) -> set[int]:
        """Whose dead letters are refused as yet. A request is not acknowledged before it is put aside, however long that takes; what
        nobody could read is let go once the dead letters have refused for as long as a queue may.
        """
        now = self._clock()
        letters = [(each.delivery.tag, letter) for each in settled for letter in dead_letters(each, self._queue, now)]
        receipts = await self._publisher.publish([letter for _, letter in letters])
        refused = {tag for (tag, _), receipt in zip(letters, receipts, strict=True) if receipt is not Receipt.CONFIRMED}
        let_go: set[int] = set()
        if refused:
            if not self._patience.is_asked_for(ANY_LETTER, Receipt.REFUSED, asyncio.get_running_loop().time()):
                let_go = {each.delivery.tag for each in settled if each.delivery.tag in refused and can_be_let_go(each)}
            log.warning("dead_letters_refused", queue=self._queue, requests=len(refused), let_go=len(let_go))
            # As with answers: the channel may be what is wrong.
            await self._publisher.close()
        unburied = refused - let_go
        self._unburied |= unburied
        for each in settled:
            if each.delivery.tag not in unburied:
                _tell_of_dead_letters(each, self._queue, kept=each.delivery.tag not in let_go)
        return unburied

    # ---- the subscription ----

    def _may_subscribe(self) -> bool:
        """The broker counts a prefetch anew for each subscription, so what is in hand of an earlier one has to be done first, or most of it."""
        return self._tag is None and self._in_hand <= self._prefetch // 2

    async def _subscribe(self) -> None:
        self._tag = await consume(self._channel, self._queue, self._on_delivery, keeps=self._keeps)
        metrics.CONSUMING.labels(self._queue).inc()

    async def _unsubscribe(self) -> None:
        if tag := self._forget_subscription():
            await self._channel.basic_cancel(tag, timeout=SILENCE_S)

    def _forget_subscription(self) -> str | None:
        tag, self._tag = self._tag, None
        if tag is not None:
            metrics.CONSUMING.labels(self._queue).dec()
        return tag

    def _keeps(self, size: int) -> int:
        """How many of a body's bytes are kept: nobody fills a worker's memory, or the dead letters, with what nobody reads."""
        return size if size <= self._read_bytes_max else BEGINNING_BYTES

    def _on_delivery(self, message: Message) -> None:
        self._in_hand += 1
        self._arrived.messages.append(message)
        self._wake.set()

    def _on_cancelled(self, _: object) -> None:
        self._lost = True
        self._wake.set()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()


def _count(answered: Sequence[Settled]) -> None:
    """Once a batch: the library looks its labels up under a lock."""
    counted = Counter(_kind(said) for settled in answered for said in settled.said)
    for (operation, outcome, reason, replayed), times in counted.items():
        metrics.REQUESTS.labels(operation, outcome, reason).inc(times)
        if replayed:
            metrics.REPLAYS.labels(operation).inc(times)


def _kind(said: Said) -> tuple[str, str, str, bool]:
    """How what is said to a request is counted: operation, outcome, reason, and whether it repeats an earlier answer."""
    answer, dead_letter = said.answer, said.dead_letter
    if answer is None:
        assert dead_letter
        return dead_letter.operation or "unknown", Outcome.REJECTED, dead_letter.reason, False
    return answer.operation or "unknown", answer.outcome, answer.reason or "", answer.replayed


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
