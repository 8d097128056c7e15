"""The calendar of the insurance system is Asia/Shanghai; a clock is always passed in."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

# China has had one zone without daylight saving since 1991: a fixed offset needs no tz database.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    return datetime.now(UTC)


def shanghai_date(moment: datetime) -> date:
    """The Shanghai date of an aware datetime."""
    return moment.astimezone(SHANGHAI).date()


def shanghai_year_start(moment: datetime) -> datetime:
    """The first instant of the Shanghai calendar year of an aware datetime."""
    return datetime(shanghai_date(moment).year, 1, 1, tzinfo=SHANGHAI)
