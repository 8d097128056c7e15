"""Which faults strike when, drawn before anything starts: the same seed draws the same. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

QUIET_S = (0.5, 3.0)
SHORT_S = (0.5, 4.0)
# Longer than what services wait for: 15 s for a confirm, a silent server or an idle transaction, 30 s for a connection, some 40 s for a heartbeat.
LONG_S = (16.0, 40.0)
LONG_OFTEN = 0.12
TWO_OFTEN = 0.2


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, or two at once, after a pause."""

    pause_s: float
    faults: tuple[str, ...]
    lasts_s: float

    def __str__(self) -> str:
        return f"{' + '.join(self.faults)} {self.lasts_s:.0f} s" if self.is_long else " + ".join(self.faults)

    @property
    def is_long(self) -> bool:
        return self.lasts_s > SHORT_S[1]


def drawn_strikes(chance: random.Random, seconds: float, faults: Sequence[str]) -> Iterator[Strike]:
    """One after the other until the time is over; the last ends with it."""
    left_s = seconds
    while left_s > 0:
        pause_s = chance.uniform(*QUIET_S)
        struck = tuple(chance.sample(faults, 2 if chance.random() < TWO_OFTEN else 1))
        lasts_s = chance.uniform(*(LONG_S if chance.random() < LONG_OFTEN else SHORT_S))
        yield Strike(pause_s, struck, min(lasts_s, max(left_s - pause_s, 0.0)))
        left_s -= pause_s + lasts_s
