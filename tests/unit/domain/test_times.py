"""Dates are Shanghai's. Contract: "Messages"."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from shared.domain.times import SHANGHAI, shanghai_date, shanghai_year, system_clock, year_start


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        pytest.param(datetime(2026, 11, 21, 15, 59, 59, 999_999, tzinfo=UTC), date(2026, 11, 21), id="before midnight"),
        pytest.param(datetime(2026, 11, 21, 16, tzinfo=UTC), date(2026, 11, 22), id="midnight"),
        pytest.param(datetime(2026, 11, 22, tzinfo=UTC), date(2026, 11, 22), id="midnight in UTC"),
        pytest.param(datetime(2026, 11, 22, 15, 59, 59, tzinfo=UTC), date(2026, 11, 22), id="last second"),
        pytest.param(datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC), date(2026, 12, 31), id="last second of the year"),
        pytest.param(datetime(2026, 12, 31, 16, tzinfo=UTC), date(2027, 1, 1), id="new year"),
        pytest.param(datetime(2028, 2, 28, 16, tzinfo=UTC), date(2028, 2, 29), id="leap day"),
        pytest.param(datetime(1988, 7, 1, 15, 30, tzinfo=UTC), date(1988, 7, 1), id="no daylight saving"),
    ],
)
def test_shanghai_date_turns_at_sixteen_hours_utc(moment: datetime, day: date) -> None:
    """Shanghai is eight hours ahead of UTC, all year."""
    assert shanghai_date(moment) == day


@pytest.mark.parametrize("hours", [-12, -5, 0, 8, 14])
def test_shanghai_date_does_not_depend_on_the_zone_of_the_moment(hours: int) -> None:
    """One moment has one date."""
    moment = datetime(2026, 11, 21, 16, tzinfo=UTC).astimezone(timezone(timedelta(hours=hours)))

    assert shanghai_date(moment) == date(2026, 11, 22)
    assert shanghai_date(moment - timedelta(microseconds=1)) == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("moment", "start"),
    [
        pytest.param(datetime(2026, 11, 22, tzinfo=UTC), datetime(2025, 12, 31, 16, tzinfo=UTC), id="November"),
        pytest.param(
            datetime(2026, 12, 31, 15, 59, 59, 999_999, tzinfo=UTC),
            datetime(2025, 12, 31, 16, tzinfo=UTC),
            id="last microsecond",
        ),
        pytest.param(
            datetime(2026, 12, 31, 16, tzinfo=UTC), datetime(2026, 12, 31, 16, tzinfo=UTC), id="first instant"
        ),
        pytest.param(datetime(2027, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, 16, tzinfo=UTC), id="new year in UTC"),
    ],
)
def test_calendar_year_begins_at_midnight_in_shanghai(moment: datetime, start: datetime) -> None:
    """The year that limits count in is Shanghai's."""
    found = year_start(shanghai_year(moment))

    assert found == start
    assert found.utcoffset() == timedelta(hours=8)


def test_clock_tells_aware_times() -> None:
    """No naive datetime enters anywhere."""
    assert system_clock().utcoffset() == timedelta(0)
    assert SHANGHAI.utcoffset(None) == timedelta(hours=8)
