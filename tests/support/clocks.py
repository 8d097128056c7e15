"""A service whose clock a test turns: `python -m tests.support.clocks SERVICE FILE OFF_S`. All else is the service, root and settings.

A service asks nothing but the clock that its composition root is given what time it is: tests/contracts/test_house.py holds it to that.
Here it is given one that says what the file says, and as many seconds more or less.
"""

import sys
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

from shared.domain.times import system_clock
from shared.runtime import lifecycle
from shared.telemetry.logging import configure_logging

SETTINGS = {
    "settlement": "SettlementSettings",
    "binding": "BindingSettings",
    "bookkeeping": "BookkeepingSettings",
}
RUNS = "runs "


@dataclass(frozen=True)
class TurnedClock:
    """Stands at the moment that its file names, or runs as far from the machine's clock as it says; `off_s` more."""

    file: Path
    off_s: float = 0.0

    def __call__(self) -> datetime:
        said = self.file.read_text(encoding="ascii")
        if said.startswith(RUNS):
            now = system_clock() + timedelta(seconds=float(said.removeprefix(RUNS)))
        else:
            now = datetime.fromisoformat(said)
        return now + timedelta(seconds=self.off_s)

    def stand_at(self, moment: datetime) -> None:
        self._say(moment.isoformat())

    def run_from(self, moment: datetime) -> None:
        self._say(f"{RUNS}{(moment - system_clock()).total_seconds()}")

    def off_by(self, off: timedelta) -> "TurnedClock":
        """A clock that follows this one at a distance."""
        return replace(self, off_s=off.total_seconds())

    def _say(self, what: str) -> None:
        # At once, for whoever reads it meanwhile.
        unfinished = self.file.with_suffix(".part")
        unfinished.write_text(what, encoding="ascii")
        unfinished.rename(self.file)


def main(service: str, file: str, off_s: str) -> None:
    run = import_module(f"services.{service}.app").run
    settings = lifecycle.read_settings(getattr(import_module(f"services.{service}.settings"), SETTINGS[service]))
    configure_logging(settings.log_level, service=service)
    lifecycle.run(partial(run, settings, clock=TurnedClock(Path(file), float(off_s))))


if __name__ == "__main__":
    main(*sys.argv[1:])
