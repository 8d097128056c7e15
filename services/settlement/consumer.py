"""The AMQP edge: one broker session after the other, each with new connections, channels and consumer tags.

What becomes of a delivery is lane.py: deliveries, batches, verdicts, answers, acknowledgements.
"""

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import stamina
import structlog
from aiormq.channel import Channel

from services.settlement import metrics
from services.settlement.answering import WAITING_PART, Answering
from services.settlement.handler import Handler
from services.settlement.hearing import LOOKS_MAX, Look, deaf
from services.settlement.lane import ConsumerLost, Lane
from services.settlement.later import Later
from services.settlement.patience import Patience
from shared.domain.times import Clock
from shared.rabbit.connection import SILENCE_S, BrokerError, Brokers, Connection, close, open_channel
from shared.rabbit.direct import Nodes
from shared.rabbit.lasting import LastingPublisher
from shared.rabbit.publisher import PublishFailed
from shared.rabbit.replies import Replies
from shared.rabbit.topology import BULK, DEAD, LATER, Differs, declare

log = structlog.get_logger()

LOOK_EVERY_S = 5.0
# One being decided, one being answered or arriving.
BULK_PREFETCH = 2
# A session that has lasted so long was a good one: the next is begun at once, and only then are pauses made longer again.
GOOD_SESSION_S = 10.0


class SessionLost(Exception):
    """The broker, or the way to it, is gone; what was not acknowledged will come again."""


LOSSES = (*BrokerError, PublishFailed, ConsumerLost, SessionLost)


@dataclass(slots=True)
class Consumer:
    """Consumes its queues until told to stop, whatever the broker does."""

    brokers: Brokers
    queues: Sequence[str]
    handler: Handler
    clock: Clock
    batch_max: int
    prefetch: int
    lanes: int
    _lanes: list[Lane] = field(default_factory=list, init=False)
    _patience: Patience = field(default_factory=Patience, init=False)
    _nodes: Nodes = field(default_factory=Nodes, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Returns once `stop` is set and the batches in hand are answered and acknowledged."""
        while not stop.is_set():
            async for attempt in stamina.retry_context(
                on=SessionLost, attempts=None, timeout=None, wait_initial=0.1, wait_max=3.0
            ):
                with attempt:
                    if not stop.is_set():
                        await self._session(stop)

    async def trouble(self) -> str | None:
        """Why nothing is decided, or nothing answered, at the moment; None where neither is so."""
        if not self._lanes:
            return "RabbitMQ cannot be reached"
        for lane in self._lanes:
            if why := await lane.trouble():
                return why
        return None

    async def _session(self, stop: asyncio.Event) -> None:
        """One session, from connecting to stopping or, if it was a good one, to being lost. Raises SessionLost."""
        began = math.inf
        opened: list[Connection | LastingPublisher] = []
        try:
            consuming = await self.brokers.connect(name="gongji-settlement consuming")
            opened.append(consuming)
            watched = await open_channel(consuming, confirms=False)
            async with asyncio.timeout(SILENCE_S):
                await declare(watched)
            channels = [watched]
            lanes = []
            for queue in (queue for queue in self.queues for _ in range(self.lanes)):
                requests = await open_channel(consuming, confirms=False)
                channels.append(requests)
                # Apart, because an alarm blocks a connection that publishes, and acknowledgements must still flow.
                publisher = LastingPublisher(self.brokers, name="gongji-settlement publishing")
                replies = Replies(self.brokers, self._nodes, name="gongji-settlement replying")
                opened += [publisher, replies]
                # A bulk message is several batches by itself.
                prefetch = BULK_PREFETCH if queue == BULK else self.prefetch
                answering = Answering(
                    queue,
                    publisher,
                    replies,
                    self._patience,
                    self.clock,
                    self.handler.authenticate_senders,
                    waiting_max=max(1, prefetch // WAITING_PART),
                )
                lanes.append(Lane(queue, requests, answering, self.handler, self.clock, self.batch_max, prefetch))
            again = LastingPublisher(self.brokers, name="gongji-settlement publishing again")
            opened.append(again)
            metrics.SESSIONS.inc()
            self._lanes = lanes
            began = asyncio.get_running_loop().time()
            log.info("broker_session_begun", queues=list(self.queues))
            await self._work(lanes, channels, Later(watched, again, self.clock), stop)
        except (*LOSSES, ExceptionGroup) as lost:
            causes = _leaves(lost)
            if not all(isinstance(cause, LOSSES) for cause in causes):
                raise
            names = ", ".join(sorted({type(cause).__name__ for cause in causes}))
            why = next((str(cause) for cause in causes if isinstance(cause, Differs)), None)
            log.warning("broker_session_lost", causes=names, why=why, exc_info=any(map(_is_unexpected, causes)))
            for each in opened:
                if isinstance(each, Connection):
                    self.brokers.failed(each)
            if asyncio.get_running_loop().time() - began < GOOD_SESSION_S:
                raise SessionLost(names) from lost
        finally:
            self._lanes = []
            closing = (close(each) if isinstance(each, Connection) else each.close() for each in opened)
            await asyncio.gather(*closing)

    async def _work(
        self, lanes: Sequence[Lane], channels: Sequence[Channel], later: Later, stop: asyncio.Event
    ) -> None:
        async with asyncio.TaskGroup() as session:
            watches = [session.create_task(_watch(channel)) for channel in channels]
            watches.append(session.create_task(self._look_after(lanes, later)))
            async with asyncio.TaskGroup() as working:
                for lane in lanes:
                    working.create_task(lane.run(stop))
            for watch in watches:
                watch.cancel()

    async def _look_after(self, lanes: Sequence[Lane], later: Later) -> None:
        """Looks how many messages wait, whether lanes get them, and whether results can be told that could not be before.

        Raises SessionLost where a lane waits and is given none of them.
        """
        looks: deque[list[Look]] = deque(maxlen=LOOKS_MAX)
        while True:
            waiting = {queue: await _waiting(later.channel, queue) for queue in (*self.queues, LATER, DEAD)}
            for queue, messages in waiting.items():
                metrics.WAITING.labels(queue).set(messages)
            looks.append([lane.look(waiting[lane.queue]) for lane in lanes])
            if silent := deaf(tuple(looks)):
                raise SessionLost(f"there are messages, and none is delivered: {', '.join(sorted(silent))}")
            await later.publish_again(waiting[LATER])
            await asyncio.sleep(LOOK_EVERY_S)


async def _waiting(channel: Channel, queue: str) -> int:
    async with asyncio.timeout(SILENCE_S):
        declared = await channel.queue_declare(queue=queue, passive=True)
    return declared.message_count or 0


async def _watch(channel: Channel) -> None:
    """Ends the session as soon as a channel closes, even while nobody is using it."""
    await asyncio.wait([channel.closing])
    raise SessionLost("a channel was closed")


def _is_unexpected(cause: Exception) -> bool:
    """The library says with a RuntimeError that something is closed; one of anybody else's is a mistake, whose place is wanted."""
    return isinstance(cause, RuntimeError) and not type(cause).__module__.startswith("aiormq")


def _leaves(error: Exception) -> list[Exception]:
    """The errors that a group of errors is made of."""
    if isinstance(error, ExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
