"""When load is sent, on a clock that only moves when somebody moves it."""

from dataclasses import dataclass

import pytest

from bench.load import open_loop


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


async def test_what_is_answered_at_once_takes_no_time_and_is_sent_at_the_rate() -> None:
    clock, sent_at_s = Clock(), []

    async def send(_: int) -> None:
        sent_at_s.append(clock())

    latencies_s = await open_loop(send, 10.0, lambda number: number >= 30, clock, clock.sleep)

    assert len(latencies_s) == len(sent_at_s) == 30
    # The last one is sent when the one after it was due: the loop never gives way but in sleep.
    assert clock() == pytest.approx(100.0 + 3.0)


async def test_a_stall_is_seen_by_everybody_who_was_due_in_its_course() -> None:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        # The generator itself is held up for a second, once.
        clock.now_s += 1.0 if clock() == 100.0 else seconds

    async def send(_: int) -> None:
        pass

    latencies_s = await open_loop(send, 10.0, lambda number: number >= 12, clock, sleep)

    assert max(latencies_s) >= 1.0
    assert sum(latency_s > 0.05 for latency_s in latencies_s) >= 10


async def test_nothing_is_sent_once_it_is_over() -> None:
    clock, sent = Clock(), []

    async def send(number: int) -> None:
        sent.append(number)

    assert await open_loop(send, 10.0, lambda _: True, clock, clock.sleep) == []
    assert not sent
