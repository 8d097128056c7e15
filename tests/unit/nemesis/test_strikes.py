"""What the nemesis draws can be drawn again, and reaches what services wait for."""

from random import Random

from tests.nemesis.faults import FAULTS
from tests.nemesis.strikes import LONG_S, QUIET_S, Strike, drawn_strikes

SEEDS = range(200)


def strikes(seed: int, seconds: float = 60.0) -> list[Strike]:
    return list(drawn_strikes(Random(f"{seed} faults"), seconds, list(FAULTS)))  # noqa: S311 nothing hangs on it


def test_the_same_seed_draws_the_same() -> None:
    """And another draws something else."""
    assert strikes(7) == strikes(7)
    assert strikes(7) != strikes(8)


def test_no_seed_strikes_for_longer_than_it_was_told() -> None:
    """The last strike ends with the time, so that a minute's load stays a minute's."""
    for seed in SEEDS:
        assert sum(each.pause_s + each.lasts_s for each in strikes(seed)) <= 60.0 + QUIET_S[1]


def test_some_last_longer_than_any_service_waits_and_some_come_two_at_once() -> None:
    """A few in each hundred; what waits longest is a heartbeat, some 40 s."""
    drawn = [each for seed in SEEDS for each in strikes(seed)]

    assert 0.05 < sum(each.is_long for each in drawn) / len(drawn) < 0.2
    assert max(each.lasts_s for each in drawn) > 0.9 * LONG_S[1]
    assert 0.1 < sum(len(each.faults) == 2 for each in drawn) / len(drawn) < 0.3
    assert {name for each in drawn for name in each.faults} == set(FAULTS)
