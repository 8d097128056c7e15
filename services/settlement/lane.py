"""One queue's way through the worker: deliveries become batches, verdicts become answers, then acknowledgements.

Two steps run side by side: while the answers of one batch are being confirmed, the next is in the database. This is
the one place that acknowledges, and it does so only after the decision is durable and its answer confirmed: the
unacknowledged request is the outbox.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import stamina
import structlog
from aiormq.channel import Channel

from services.settlement import answers, metrics
from services.settlement.handler import Busy, Handler, Poisoned, ServersAway
from services.settlement.incoming import Incoming, Sender
from services.settlement.model import Replay, Resolution
from services.settlement.rules import owns_reply_queue
from shared.domain.times import Clock
from shared.messages.catalogue import Malformed, parse
from shared.messages.envelope import Answer
from shared.rabbit.confirms import Receipt
from shared.rabbit.connection import tap_of
from shared.rabbit.publisher import Outgoing, Publisher, PublishFailed
from shared.rabbit.replies import Replies
from shared.rabbit.tap import taken_by_the_tap
from shared.rabbit.topology import DEAD, RESULTS
from shared.rabbit.wire import Message

log = structlog.get_logger()

BUSY_AGAIN_S = 0.5


class ConsumerLost(Exception):
    """The broker took the subscription away."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came, with its body read as far as it can be."""

    message: Message
    content: Incoming | Malformed

    @property
    def tag(self) -> int:
        return self.message.delivery_tag

    @property
    def sender(self) -> Sender:
        return sender_of(self.message)


@dataclass(frozen=True, slots=True)
class Settled:
    """A delivery with what is to be published for it before it is acknowledged; `text` is the answer as JSON."""

    delivery: Delivery
    answer: Answer | None
    text: str = ""
    dead_letter: Malformed | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """A message to publish, and where to publish it if its queue refuses it."""

    message: Outgoing
    otherwise: Outgoing | None = None


def sender_of(message: Message) -> Sender:
    return Sender(message.user_id or None, message.reply_to or None)


def read(message: Message) -> Delivery:
    """A delivered message as a request, or as what is wrong with it."""
    parsed = parse(message.type, message.routing_key, message.content_type, message.body)
    if isinstance(parsed, Malformed):
        return Delivery(message, parsed)
    return Delivery(message, Incoming(parsed, sender_of(message)))


class Lane:
    """Consumes one queue on one channel and answers on another.

    The channels belong to different connections: when an alarm blocks publishing, acknowledgements still flow.
    """

    def __init__(
        self,
        queue: str,
        consuming: Channel,
        publishing: Channel,
        replies: Replies,
        handler: Handler,
        clock: Clock,
        batch_max: int,
        prefetch: int,
    ) -> None:
        self._queue = queue
        self._channel = consuming
        self._publisher = Publisher(publishing)
        self._replies = replies
        self._handler = handler
        self._clock = clock
        self._batch_max = batch_max
        self._prefetch = prefetch
        self._tag: str | None = None
        self._arrived: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._lost = False
        self._put_aside: set[int] = set()
        self._settled: asyncio.Queue[list[Settled] | None] = asyncio.Queue(maxsize=1)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes the batch in hand. Raises what ends the broker session."""
        stopping = asyncio.create_task(self._wake_on(stop))
        try:
            await self._channel.basic_qos(prefetch_count=self._prefetch)
            self._channel.on_consumer_cancel_callbacks.add(self._on_cancelled)
            await self._subscribe()
            async with asyncio.TaskGroup() as steps:
                steps.create_task(self._decide_batches(stop))
                steps.create_task(self._answer_batches())
        finally:
            stopping.cancel()
            metrics.CONSUMING.labels(self._queue).set(0)

    # ---- first step: decide ----

    async def _decide_batches(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self._lost:
                raise ConsumerLost(f"the broker cancelled the consumer of {self._queue}")
            if not self._arrived:
                self._wake.clear()
                await self._wake.wait()
                continue
            # Whatever has arrived while the last batch was being committed is the next one.
            batch = [read(self._arrived.popleft()) for _ in range(min(len(self._arrived), self._batch_max))]
            settled = await self._decide(batch, stop)
            if settled is None:
                break
            await self._settled.put(settled)
        await self._unsubscribe()
        await self._settled.put(None)

    async def _decide(self, batch: Sequence[Delivery], stop: asyncio.Event) -> list[Settled] | None:
        """What to publish for each delivery; None where stopping came before the database came back."""
        incoming = [delivery.content for delivery in batch if isinstance(delivery.content, Incoming)]
        metrics.BATCH_SIZE.observe(len(batch))
        while True:
            try:
                with metrics.STAGE_SECONDS.labels("decide").time():
                    # One that has waited before does not make the others wait again.
                    wait = self._put_aside.isdisjoint(delivery.tag for delivery in batch)
                    results = iter(await self._handler.handle(incoming, wait=wait) if incoming else [])
                break
            except ServersAway as away:
                await self._pause(away, stop)
                if stop.is_set():
                    return None
        now = self._clock()
        settled: list[Settled] = []
        for delivery in batch:
            if isinstance(delivery.content, Malformed):
                settled.append(self._malformed(delivery, delivery.content, now))
                continue
            match next(results):
                case Resolution() as resolution:
                    _count(resolution)
                    settled.append(Settled(delivery, resolution.answer, resolution.text))
                case Poisoned(_, error):
                    found = Malformed(
                        f"it cannot be decided ({error})",
                        delivery.content.operation,
                        delivery.content.request.request_id,
                        delivery.content.request.institution_id,
                    )
                    settled.append(_refused(delivery, found, now, dead_letter=found))
                case Busy():
                    self._again_later(delivery)
        return settled

    def _malformed(self, delivery: Delivery, found: Malformed, now: datetime) -> Settled:
        metrics.REQUESTS.labels(found.operation or "unknown", "rejected", "malformed").inc()
        if found.readable:
            return _refused(delivery, found, now)
        if not delivery.sender.reply_to:
            return Settled(delivery, None, dead_letter=found)
        return _refused(delivery, found, now, dead_letter=found)

    def _again_later(self, delivery: Delivery) -> None:
        """It stays unacknowledged, and until it is answered nothing behind it may be acknowledged in its stead."""
        self._put_aside.add(delivery.tag)
        metrics.PUT_ASIDE.labels(self._queue).inc()

        def again() -> None:
            self._arrived.append(delivery.message)
            self._wake.set()

        asyncio.get_running_loop().call_later(BUSY_AGAIN_S, again)

    async def _pause(self, away: ServersAway, stop: asyncio.Event) -> None:
        """Stops consuming until the database answers again. What was delivered stays in hand, unacknowledged.

        Giving it back would count towards the delivery limit, and a long outage would dead-letter good requests.
        """
        log.warning("database_away", queue=self._queue, error=str(away))
        metrics.PAUSES.labels(self._queue).inc()
        await self._unsubscribe()
        async for attempt in stamina.retry_context(
            on=ServersAway, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                if not stop.is_set():
                    await self._handler.ready()
        if not stop.is_set():
            await self._subscribe()
            log.info("database_back", queue=self._queue)

    # ---- second step: answer, then acknowledge ----

    async def _answer_batches(self) -> None:
        while (settled := await self._settled.get()) is not None:
            with metrics.STAGE_SECONDS.labels("answer").time():
                await self._answer(settled)

    async def _answer(self, settled: Sequence[Settled]) -> None:
        await self._publish([posting for each in settled for posting in self._postings(each)])
        tags = [each.delivery.tag for each in settled]
        if not tags:
            return
        self._put_aside.difference_update(tags)
        if not self._put_aside:
            await self._channel.basic_ack(max(tags), multiple=True, wait=False)
            return
        for tag in tags:
            await self._channel.basic_ack(tag, wait=False)

    async def _publish(self, postings: Sequence[Posting]) -> None:
        """Publishes answers and dead letters. Raises PublishFailed where the broker does not take a dead letter."""
        to_senders = [posting for posting in postings if not posting.message.exchange]
        to_exchanges = [posting for posting in postings if posting.message.exchange]
        receipts = [
            *await self._replies.publish([posting.message for posting in to_senders]),
            *await self._publisher.publish([posting.message for posting in to_exchanges]),
        ]
        elsewhere = []
        for posting, receipt in zip([*to_senders, *to_exchanges], receipts, strict=True):
            if receipt is Receipt.CONFIRMED:
                continue
            if posting.message.exchange == DEAD:
                raise PublishFailed(f"a dead letter was {receipt.value}")
            # The decision stands whatever becomes of its answer, and a lookup tells it. A sender's reply queue that is
            # gone or full is the sender's affair and holds up nobody else.
            metrics.UNDELIVERED.labels(receipt.value).inc()
            log.warning("answer_undelivered", receipt=receipt.value, message_type=posting.message.type)
            if receipt is Receipt.REFUSED and posting.otherwise:
                elsewhere.append(Posting(posting.otherwise))
        if elsewhere:
            await self._publish(elsewhere)

    def _postings(self, settled: Settled) -> list[Posting]:
        postings = []
        if settled.answer is not None:
            postings.append(self._addressed(settled.delivery, settled.answer, settled.text))
        if settled.dead_letter is not None:
            metrics.DEAD_LETTERS.labels("poisoned" if settled.dead_letter.readable else "unreadable").inc()
            log.warning("dead_lettered", queue=self._queue, problems=settled.dead_letter.problems)
            postings.append(Posting(_dead_letter(settled.delivery, settled.dead_letter, self._queue, self._clock())))
        return postings

    def _addressed(self, delivery: Delivery, answer: Answer, text: str) -> Posting:
        """To the sender's reply queue if it is the sender's, else to the institution's results."""
        sender, operation = delivery.sender, answer.operation or "unknown"
        to_results = Outgoing(
            RESULTS,
            f"{operation}.{answer.outcome}.{answer.institution_id or 'unknown'}",
            text.encode(),
            type=f"{operation}.result",
            correlation_id=delivery.message.correlation_id,
        )
        if sender.reply_to and (not self._handler.authenticate_senders or owns_reply_queue(sender)):
            return Posting(replace(to_results, exchange="", routing_key=sender.reply_to), otherwise=to_results)
        return Posting(to_results)

    # ---- the subscription ----

    async def _subscribe(self) -> None:
        tap_of(self._channel).on_delivery = self._on_delivery
        consumed = await self._channel.basic_consume(self._queue, taken_by_the_tap)
        self._tag = consumed.consumer_tag
        metrics.CONSUMING.labels(self._queue).set(1)

    async def _unsubscribe(self) -> None:
        metrics.CONSUMING.labels(self._queue).set(0)
        if self._tag is not None:
            tag, self._tag = self._tag, None
            await self._channel.basic_cancel(tag)

    def _on_delivery(self, message: Message) -> None:
        self._arrived.append(message)
        self._wake.set()

    def _on_cancelled(self, _: object) -> None:
        self._lost = True
        self._wake.set()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()


def _count(resolution: Resolution) -> None:
    operation = resolution.incoming.operation
    if isinstance(resolution.verdict, Replay):
        metrics.REPLAYS.labels(operation).inc()
    answer = resolution.answer
    metrics.REQUESTS.labels(operation, answer.outcome, answer.reason or "").inc()


def _refused(delivery: Delivery, found: Malformed, now: datetime, dead_letter: Malformed | None = None) -> Settled:
    answer = answers.malformed(found, now)
    return Settled(delivery, answer, answer.model_dump_json(), dead_letter)


def _dead_letter(delivery: Delivery, found: Malformed, queue: str, now: datetime) -> Outgoing:
    """The body as it came, with what was wrong. The sender's own headers stay behind: they may route, or be personal."""
    message = delivery.message
    return Outgoing(
        DEAD,
        message.routing_key,
        message.body,
        type=message.type,
        content_type=message.content_type,
        headers={
            "x-gongji-queue": queue,
            "x-gongji-reason": found.reason,
            "x-gongji-problems": found.problems,
            "x-gongji-dead-at": now.isoformat(),
        },
    )
