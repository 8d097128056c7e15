"""Duties that nobody asks for: done again and again, some time apart, whatever happens in between."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

AGAIN_AFTER_S = 60.0


async def rounds(
    work: Callable[[], Awaitable[object]],
    stop: asyncio.Event,
    *,
    every_s: float,
    failed: Callable[[Exception], None],
) -> None:
    """Calls `work` as long as it says that there is more, then waits `every_s`; returns once `stop` is set.

    What goes wrong is told to `failed`; the next round, which then comes within a minute, tries again.
    """
    while not stop.is_set():
        wait_s = every_s
        try:
            while await work() and not stop.is_set():
                pass
        except Exception as error:  # noqa: BLE001 a duty outlives everything that may go wrong in it
            failed(error)
            wait_s = min(every_s, AGAIN_AFTER_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait_s)
