"""How often somebody may call: a minute's worth at once, then one at a time, and nobody at another's cost."""

import pytest

from services.binding.rates import MINUTE_S, Meter


def calls_let_through(meter: Meter, calls: int, caller: str = "a", per_minute: int = 60, now: float = 0.0) -> int:
    return sum(meter.wait_s(caller, per_minute, now) == 0 for _ in range(calls))


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600, 29_999])
def test_a_minutes_worth_may_come_at_once(per_minute: int) -> None:
    """To the call, whatever the fractions of a second."""
    assert calls_let_through(Meter(), per_minute + 100, per_minute=per_minute) == per_minute


def test_no_minute_has_more_than_twice_as_many() -> None:
    """Nor does any edge of a window let more through than was saved up and what came in."""
    meter = Meter()

    let_through = sum(calls_let_through(meter, 1_000, now=second / 10) for second in range(601))

    assert let_through == 60 + 60


def test_it_says_when_the_next_may_come() -> None:
    """Not a moment before, and then it does."""
    meter = Meter()
    calls_let_through(meter, 60)
    wait_s = meter.wait_s("a", 60, 0.0)

    too_soon = meter.wait_s("a", 60, wait_s - 0.01)
    in_time = meter.wait_s("a", 60, wait_s)

    assert wait_s == pytest.approx(1.0)
    assert too_soon == pytest.approx(0.01)
    assert in_time == 0


def test_who_is_refused_does_not_wait_longer_for_asking() -> None:
    """A refused call costs nothing."""
    meter = Meter()
    calls_let_through(meter, 1_000)

    assert calls_let_through(meter, 1_000, now=MINUTE_S) == 60


def test_each_caller_has_their_own() -> None:
    """One who floods holds up nobody else."""
    meter = Meter()
    calls_let_through(meter, 1_000, "flood")

    assert calls_let_through(meter, 100, "other") == 60


def test_no_flood_of_callers_fills_the_memory() -> None:
    """Those heard of longest ago are forgotten; who is refused all the time is not."""
    meter = Meter(callers_max=100)
    calls_let_through(meter, 60, "flood")
    for number in range(10_000):
        meter.wait_s(f"c{number}", 60, 0.0)
        meter.wait_s("flood", 60, 0.0)

    assert meter.callers == 100
    assert meter.wait_s("flood", 60, 0.0) > 0
