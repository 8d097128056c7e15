"""What both echoes do, whatever they are built on: two batches of a lane under way.

While the confirms of one batch are awaited, the next is published already, as a worker decides one while it answers another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

# What is best for an echo. Tried in turn on a busy machine: one process with batches of 100 and a prefetch of 200 was the slower one in
# three tries of four; batches of 400 with 800, of 500 with more, or a second lane gave nothing more.
LANES, BATCH_MAX = 1, 250
UNDER_WAY = 2
# As many again on their way as are under way.
PREFETCH = 2 * UNDER_WAY * BATCH_MAX
# As the worker's answers are marked.
ANSWER_TYPE = "settle.result"

M = TypeVar("M")


class Lane(Generic[M]):
    """Whatever has arrived is the next batch; `publish` returns once every message of one is confirmed."""

    def __init__(
        self,
        publish: Callable[[Sequence[M]], Awaitable[None]],
        acknowledge_up_to: Callable[[M], Awaitable[None]],
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._publish = publish
        self._acknowledge_up_to = acknowledge_up_to
        self._batch_max = batch_max
        self._arrived: deque[M] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Semaphore(UNDER_WAY)
        self._under_way: asyncio.Queue[tuple[asyncio.Task[None], M]] = asyncio.Queue()

    def arrive(self, message: M) -> None:
        self._arrived.append(message)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled; what is in hand then stays unacknowledged."""
        async with asyncio.TaskGroup() as steps:
            steps.create_task(self._send_batches(steps))
            steps.create_task(self._acknowledge_batches())

    async def _send_batches(self, steps: asyncio.TaskGroup) -> None:
        while True:
            await self._room.acquire()
            while not self._arrived:
                self._wake.clear()
                await self._wake.wait()
            batch = [self._arrived.popleft() for _ in range(min(len(self._arrived), self._batch_max))]
            self._under_way.put_nowait((steps.create_task(self._sent(batch)), batch[-1]))

    async def _sent(self, batch: Sequence[M]) -> None:
        await self._publish(batch)

    async def _acknowledge_batches(self) -> None:
        """In the order in which they were taken, so that one acknowledgement stands for a batch."""
        while True:
            sending, last = await self._under_way.get()
            await sending
            await self._acknowledge_up_to(last)
            self._room.release()


async def run_lanes(lanes: Sequence[Lane[M]], stop: asyncio.Event) -> None:
    """All of them until `stop` is set, or until one fails."""
    async with asyncio.TaskGroup() as working:
        running = [working.create_task(lane.run()) for lane in lanes]
        await stop.wait()
        for each in running:
            each.cancel()
