"""The calendar of the insurance system is Asia/Shanghai; a clock is always passed in."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone

# China has had one zone without daylight saving since 1991: a fixed offset needs no tz database.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    return datetime.now(UTC)


def shanghai_date(moment: datetime) -> date:
    """The Shanghai date of an aware datetime."""
    return moment.astimezone(SHANGHAI).date()


def shanghai_time(moment: datetime) -> time:
    """The time of day in Shanghai."""
    return moment.astimezone(SHANGHAI).time()


def shanghai_moment(day: date, at: time = time()) -> datetime:
    """The instant of a Shanghai date and time of day."""
    return datetime.combine(day, at, tzinfo=SHANGHAI)


def shanghai_year(moment: datetime) -> int:
    """The Shanghai calendar year of an aware datetime."""
    return shanghai_date(moment).year


def year_start(year: int) -> datetime:
    """The first instant of a Shanghai calendar year."""
    return shanghai_moment(date(year, 1, 1))
