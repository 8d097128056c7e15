"""One queue's way through the worker: deliveries become batches, verdicts become answers, then acknowledgements.

Two steps run side by side: while the answers of one batch are being confirmed, the next is in the database. This is
the one place that acknowledges requests, and it does so only after the decision is durable and its answer confirmed: the
unacknowledged request is the outbox.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import stamina
import structlog
from aiormq.channel import Channel

from services.settlement import metrics
from services.settlement.answering import Answering
from services.settlement.deliveries import Delivery, Said, Settled, is_long, poisoned, read, refused
from services.settlement.handler import Busy, Handler, Poisoned, Result, ServersAway
from services.settlement.hearing import Look
from services.settlement.incoming import Incoming
from services.settlement.model import Resolution
from shared.domain.times import Clock
from shared.messages.catalogue import BEGINNING_BYTES, Malformed, bytes_max
from shared.messages.envelope import Outcome
from shared.rabbit.connection import SILENCE_S, consume
from shared.rabbit.wire import Message

log = structlog.get_logger()

Done = TypeVar("Done")

BUSY_AGAIN_S = 0.5
# So many prefetches of what is put aside a lane holds beside the one that it works through.
ASIDE_PREFETCHES = 2


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
        answering: Answering,
        handler: Handler,
        clock: Clock,
        batch_max: int,
        prefetch: int,
    ) -> None:
        self._queue = queue
        self._channel = consuming
        self._answering = answering
        self._handler = handler
        self._clock = clock
        self._batch_max = batch_max
        self._prefetch = prefetch
        self._tag: str | None = None
        self._read_bytes_max = bytes_max(queue)
        self._delivered = 0
        # Delivered and not acknowledged.
        self._in_hand = 0
        # The newest tag when the subscription began.
        self._subscribed_after = 0
        self._newest_tag = 0
        self._arrived = Line(batch_max, wait=True)
        # An institution's day is long to read and to tell: one at a time, with others in between.
        self._days = Line(1, wait=True)
        # One that has waited before does not make the others wait again.
        self._returned = Line(batch_max, wait=False)
        self._lines = self._arrived, self._days, self._returned
        self._wake = asyncio.Event()
        self._lost = False
        self._away: str | None = None
        self._put_aside: set[int] = set()
        # Days, which others overtake.
        self._overtaken: set[int] = set()
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
        if await self._answering.blocked():
            return "RabbitMQ takes no answers: it has raised an alarm"
        return None

    @property
    def queue(self) -> str:
        return self._queue

    def look(self, waiting: int) -> Look:
        """What it has heard of its queue, which has so many messages at the moment."""
        return Look(self._queue, waiting, self._delivered, self._tag if self._in_hand == 0 else None)

    # ---- first step: decide ----

    async def _decide_batches(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self._lost:
                raise ConsumerLost(f"the broker cancelled the consumer of {self._queue}")
            self._wake.clear()
            await self._keep_subscribed(stop)
            if not any(line.messages for line in self._lines):
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
        incoming = [each for delivery in batch for each in delivery.incoming]
        sizes = _sizes(min(self._batch_max, len(incoming)))

        async def attempt() -> list[Result]:
            return await self._results(incoming, next(sizes), wait=wait)

        try:
            results = await attempt()
        except ServersAway as away:
            if (again := await self._once_usable(away, attempt, stop)) is None:
                return None
            results = again
        return self._settled_by(iter(results), batch)

    async def _results(self, incoming: Sequence[Incoming], size_max: int, *, wait: bool) -> list[Result]:
        """A result for each request, decided so many at a time. Raises ServersAway, and then nothing of it is kept.

        The server that is back may be another one, which does not know what its predecessor had committed: nothing that
        was decided before is answered from memory.
        """
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
                        said.append(Said(resolution.answer))
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
            (self._days if is_long(delivery.message, self._queue) else self._returned).messages.append(delivery.message)
            self._wake.set()

        asyncio.get_running_loop().call_later(BUSY_AGAIN_S, again)

    async def _once_usable(
        self, away: ServersAway, work: Callable[[], Awaitable[Done]], stop: asyncio.Event
    ) -> Done | None:
        """Stops consuming until some work can be done; None where stopping comes first. What was delivered stays in hand, unacknowledged.

        Giving it back would count towards the delivery limit, and a long outage would dead-letter good requests.
        """
        log.warning("database_away", queue=self._queue, error=str(away))
        metrics.PAUSES.labels(self._queue).inc()
        self._away = away.kind
        await self._unsubscribe()
        async for attempt in stamina.retry_context(
            on=ServersAway, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                if stop.is_set():
                    return None
                await self._handler.ready()
                done = await work()
        self._away = None
        log.info("database_back", queue=self._queue)
        return done

    # ---- second step: answer, then acknowledge ----

    async def _answer_batches(self) -> None:
        while (settled := await self._settled.get()) is not None:
            with metrics.STAGE_SECONDS.labels("answer").time():
                await self._answer(settled)

    async def _answer(self, settled: Sequence[Settled]) -> None:
        waiting = await self._answering.publish(settled, self._put_aside)
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
        # One that was overtaken is acknowledged by itself, and nothing behind it in its stead.
        in_order = not self._overtaken
        self._overtaken.difference_update(tags)
        self._put_aside.difference_update(tags)
        self._answering.forget(tags)
        if in_order and not self._put_aside:
            await self._channel.basic_ack(max(tags), multiple=True, wait=False)
        else:
            for tag in tags:
                await self._channel.basic_ack(tag, wait=False)
        self._in_hand -= len(answered)
        if self._tag is None:
            self._wake.set()

    # ---- the subscription ----

    async def _keep_subscribed(self, stop: asyncio.Event) -> None:
        """Subscribes where there is room, and anew where what is put aside takes up half of the subscription's prefetch.

        The broker counts a prefetch anew for each subscription, so what is in hand of an earlier one has to be done first, or most of
        it. What is put aside may be there for long and keeps nobody else waiting, up to a bound.
        """
        at_work = self._in_hand - len(self._put_aside)
        if at_work > self._prefetch // 2 or len(self._put_aside) >= ASIDE_PREFETCHES * self._prefetch:
            return
        aside = sum(tag > self._subscribed_after for tag in self._put_aside)
        if self._tag is None or aside >= max(1, self._prefetch // 2):
            await self._unsubscribe()
            if await self._is_usable(stop):
                await self._subscribe()

    async def _is_usable(self, stop: asyncio.Event) -> bool:
        """Waits for the database: without it each session of the broker's would spend a delivery of all that it is given."""

        async def nothing_more() -> bool:
            return True

        try:
            await self._handler.ready()
        except ServersAway as away:
            return bool(await self._once_usable(away, nothing_more, stop))
        return True

    async def _subscribe(self) -> None:
        self._subscribed_after = self._newest_tag
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
        self._delivered += 1
        self._in_hand += 1
        self._newest_tag = message.delivery_tag
        if is_long(message, self._queue):
            self._overtaken.add(message.delivery_tag)
            self._days.messages.append(message)
        else:
            self._arrived.messages.append(message)
        self._wake.set()

    def _on_cancelled(self, _: object) -> None:
        self._lost = True
        self._wake.set()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()


def _sizes(whole: int) -> Iterator[int]:
    """How many requests to decide at once, attempt after attempt: whole every other time, in ever smaller parts in between.

    A batch may be too much for the time or the memory that a transaction has. But all of its parts have to come through in
    one attempt, and where it is the way to the server that breaks, one is likelier to than many.
    """
    part = whole
    while True:
        yield max(1, whole)
        part //= 2
        yield max(1, part)


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
