"""How often somebody may call. Pure: the time is passed in.

Source: the generic cell rate algorithm (ITU-T I.371): one number for each caller, and no window at whose edge twice as much
passes. A library for this keeps every caller of a window, however many there are; here their number is bounded.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

MINUTE_S = 60.0
# A caller costs about 200 bytes.
CALLERS_MAX = 50_000
# Sums of fractions of a minute are not exact; nobody waits for what is less than this.
TOLERANCE_S = 1e-6


@dataclass(slots=True)
class Meter:
    """Lets each caller call so many times a minute, all at once if they like.

    Of more callers than `callers_max`, those that were heard of longest ago are forgotten and begin anew.
    """

    callers_max: int = CALLERS_MAX
    _paid_until: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def wait_s(self, caller: str, calls_per_minute: int, now: float) -> float:
        """Counts a call and gives 0, or gives the seconds until the caller may call again. `now` only goes forward."""
        paid_until = max(self._paid_until.get(caller, now), now)
        then = paid_until + MINUTE_S / calls_per_minute
        wait_s = then - now - MINUTE_S
        passed = wait_s <= TOLERANCE_S
        self._paid_until[caller] = then if passed else paid_until
        self._paid_until.move_to_end(caller)
        if len(self._paid_until) > self.callers_max:
            self._paid_until.popitem(last=False)
        return 0.0 if passed else wait_s

    @property
    def callers(self) -> int:
        """How many are remembered."""
        return len(self._paid_until)
