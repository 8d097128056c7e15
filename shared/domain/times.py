"""The calendar of the insurance system is Asia/Shanghai; a clock is always passed in."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

# China has had one zone without daylight saving since 1991: a fixed offset needs no tz database.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

Clock = Callable[[], datetime]

TIME_OF_DAY = re.compile(r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$")


def _written_as_date(value: Any) -> Any:
    if not (isinstance(value, date) or (isinstance(value, str) and len(value) == 10)):
        raise ValueError("must be a date such as 2026-11-22")
    return value


def _written_as_time(value: Any) -> Any:
    if not (isinstance(value, time) or (isinstance(value, str) and TIME_OF_DAY.fullmatch(value))):
        raise ValueError("must be a time such as 22:00")
    return value


# As people write them: pydantic alone would also take seconds since 1970, and times with an offset of their own.
Day = Annotated[date, BeforeValidator(_written_as_date)]
TimeOfDay = Annotated[
    time, BeforeValidator(_written_as_time), WithJsonSchema({"type": "string", "pattern": TIME_OF_DAY.pattern})
]


def system_clock() -> datetime:
    return datetime.now(UTC)


def shanghai_date(moment: datetime) -> date:
    """The Shanghai date of an aware datetime."""
    return moment.astimezone(SHANGHAI).date()


def shanghai_time(moment: datetime) -> time:
    """The time of day in Shanghai."""
    return moment.astimezone(SHANGHAI).time()


def shanghai_moment(day: date, at: time = time.min) -> datetime:
    """The instant of a Shanghai date and time of day."""
    return datetime.combine(day, at, tzinfo=SHANGHAI)


def shanghai_year(moment: datetime) -> int:
    """The Shanghai calendar year of an aware datetime."""
    return shanghai_date(moment).year


def year_start(year: int) -> datetime:
    """The first instant of a Shanghai calendar year."""
    return shanghai_moment(date(year, 1, 1))


def shanghai_day(day: date) -> tuple[datetime, datetime]:
    """The first and the last instant of a Shanghai date."""
    return shanghai_moment(day, time.min), shanghai_moment(day, time.max)
