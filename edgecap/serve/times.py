"""Times as people say them, in this machine's zone: yesterday, monday, 2026-01-31, 14:30, 2h."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from edgecap.runtime.errors import UsageError

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
AGO = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
MINUTE = timedelta(minutes=1)


class Span(NamedTuple):
    """What a time names: a day, or the minute of a moment. begin <= t < end, each with a time zone."""

    begin: datetime
    end: datetime


def midnight(day: date) -> datetime:
    """When a day begins here; some begin at one o'clock, where summer begins at midnight."""
    begin = datetime(day.year, day.month, day.day).astimezone()
    return begin if begin.date() == day else datetime(day.year, day.month, day.day, fold=1).astimezone()


def whole_day(day: date) -> Span:
    """From one midnight to the next: 23 to 25 hours."""
    return Span(midnight(day), midnight(day + timedelta(days=1)))


def parse(text: str, now: datetime) -> Span:
    """The time that the words name: the latest such one that is not behind `now`.

    today, yesterday, a weekday (or its first three letters), 2026-01-31, 14:30, 2026-01-31T14:30 (also with
    seconds, and with Z or +01:00), and so long ago: 90m, 2h, 3d, 1w. Raises UsageError for anything else.
    """
    said = text.strip().lower()
    today = now.astimezone().date()
    if said in ("today", "yesterday"):
        return whole_day(today - timedelta(days=said == "yesterday"))
    weekday = next((n for n, day in enumerate(DAYS) if said in (day, day[:3])), None)
    if weekday is not None:
        return whole_day(today - timedelta(days=(today.weekday() - weekday) % 7))
    try:
        if found := re.fullmatch(r"(\d{1,5})([mhdw])", said, re.ASCII):
            return _minute(now - int(found[1]) * AGO[found[2]])
        if re.fullmatch(r"\d{1,2}:\d\d", said, re.ASCII):
            return _minute(_clock(said, now))
        if re.fullmatch(r"\d{4}-\d\d-\d\d", said, re.ASCII):
            return whole_day(date.fromisoformat(said))
        if re.match(r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d", said, re.ASCII):
            return _minute(datetime.fromisoformat(said.upper()))
    except (ValueError, OverflowError, OSError):
        pass  # the calendar has no such time: the 31st of February, the year 0
    raise UsageError(
        f"{text!r} is no time",
        why="it is read as today, yesterday, monday, 14:30, 2h, 3d, 2026-01-31 or 2026-01-31T14:30",
        fix="write one of those",
    )


def parse_day(text: str, now: datetime) -> Span:
    """The day that the words name. Raises UsageError for what is no day."""
    found = parse(text, now)
    if found != whole_day(found.begin.date()):
        raise UsageError(f"{text!r} is no day", fix="name a day, such as yesterday, or give it as --since")
    return found


def _minute(when: datetime) -> Span:
    begin = when.astimezone(UTC)
    return Span(begin.astimezone(), (begin + MINUTE).astimezone())


def _clock(said: str, now: datetime) -> datetime:
    hour, minute = map(int, said.split(":"))
    local = now.astimezone().replace(tzinfo=None)
    when = local.replace(hour=hour, minute=minute, second=0, microsecond=0).astimezone()
    if when > now:
        when = (
            local.replace(hour=hour, minute=minute, second=0, microsecond=0) - timedelta(days=1)
        ).astimezone()
    return when
