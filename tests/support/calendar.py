"""Clocks that a test turns."""

from datetime import UTC, date, datetime, time, timedelta

from shared.domain.times import SHANGHAI, shanghai_date


class Clock:
    """Stands at a moment until a test moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Calendar:
    """Noon in Shanghai, today or some days later; no two looks at it are alike."""

    def __init__(self) -> None:
        self._now = datetime.combine(shanghai_date(datetime.now(UTC)), time(12), SHANGHAI)

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now.astimezone(UTC)

    def turn(self, days: int) -> None:
        self._now += timedelta(days=days)

    def set(self, at: time, days: int = 0) -> None:
        """A time of day, today or some days later."""
        self._now = datetime.combine(self.today() + timedelta(days=days), at, SHANGHAI)

    def day(self, ahead: int = 0) -> str:
        """Today or a day ahead, as the HTTP API writes it."""
        return (self.today() + timedelta(days=ahead)).isoformat()

    def today(self) -> date:
        return shanghai_date(self._now)
