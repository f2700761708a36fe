"""Times as people say them, in zones whose days have 23 to 25 hours, or begin at one o'clock."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgecap.runtime.errors import UsageError
from edgecap.serve import times
from edgecap.serve.times import parse, parse_day, whole_day

ZONES = {
    "Berlin": "CET-1CEST,M3.5.0,M10.5.0/3",
    "New York": "EST5EDT,M3.2.0,M11.1.0",
    "Lord Howe, half an hour": "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "Sao Paulo, at midnight": "<-03>3<-02>,M10.3.0/0,M2.3.0/0",
    "Kathmandu": "<+0545>-5:45",
    "UTC": "UTC0",
}
"""As POSIX writes them: they need no file."""
MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
SAME_ZONE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", ZONES[request.param])
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@SAME_ZONE
@given(MOMENTS)
@example(datetime(2000, 10, 15, 2, 30, tzinfo=UTC))
@example(datetime(2000, 10, 15, 3, 0, tzinfo=UTC))
def test_every_moment_is_in_one_day(zone: str, moment: datetime) -> None:
    day = moment.astimezone().date()
    today, tomorrow = whole_day(day), whole_day(day + timedelta(days=1))
    assert today.begin <= moment < today.end == tomorrow.begin
    assert timedelta(hours=23) <= today.end - today.begin <= timedelta(hours=25)


@SAME_ZONE
@given(now=MOMENTS, hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_clock_time_is_the_latest_that_has_been(zone: str, now: datetime, hour: int, minute: int) -> None:
    found = parse(f"{hour:02d}:{minute:02d}", now).begin
    assert found <= now < found + timedelta(hours=25)
    if now - timedelta(hours=1) > found:  # an hour that the clock skips is told as the next
        assert abs((found.hour * 60 + found.minute) - (hour * 60 + minute)) in (0, 30, 60)


@SAME_ZONE
@given(now=MOMENTS, moment=MOMENTS)
def test_a_written_moment_is_that_moment(zone: str, now: datetime, moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert parse(moment.isoformat(), now).begin == moment
    assert parse(moment.astimezone().isoformat(), now).begin == moment
    day = moment.astimezone().date()
    assert parse(day.isoformat(), now) == parse_day(day.isoformat(), now) == whole_day(day)


@SAME_ZONE
@given(now=MOMENTS, hours=st.integers(0, 10_000))
def test_ago_is_time_that_has_passed(zone: str, now: datetime, hours: int) -> None:
    assert now - parse(f"{hours}h", now).begin == timedelta(hours=hours)


@SAME_ZONE
@given(now=MOMENTS)
@example(now=datetime(2000, 10, 16, tzinfo=UTC))
def test_days_by_name_are_the_latest(zone: str, now: datetime) -> None:
    today = now.astimezone().date()
    assert parse("today", now) == whole_day(today)
    assert parse("Yesterday", now) == whole_day(today - timedelta(days=1))
    found = [parse(name, now).begin.date() for name in times.DAYS]
    assert {(today - day).days for day in found} == set(range(7))
    assert [day.strftime("%A").lower() for day in found] == list(times.DAYS)


@pytest.mark.parametrize(
    "words",
    [
        "yesterdya",
        "",
        "25:00",
        "12:60",
        "2026-02-31",
        "999999w",
        "0000-01-01",
        "1-1-1",
        "٣h",
        "2026-01-31T14:30+99:00",
    ],
)
def test_what_is_no_time_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        parse(words, datetime(2026, 1, 31, tzinfo=UTC))


def test_a_moment_is_no_day() -> None:
    with pytest.raises(UsageError, match="is no day"):
        parse_day("2h", datetime(2026, 1, 31, tzinfo=UTC))
    assert parse_day("2026-01-30", datetime(2026, 1, 31, tzinfo=UTC)).begin.date() == date(2026, 1, 30)
