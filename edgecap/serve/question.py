"""A question as it is typed into one box: words, and filters among them.

room:kitchen after:yesterday someone at the door
"""

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec

from edgecap.runtime.telling import wire

from . import times

FILTER = re.compile(r'(?<!\S)(room|after|before|on|urgent):("[^"]*"?|\S*)', re.IGNORECASE)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: `text`, the words alone; rooms, none for all; captions that begin in [since, until)."""

    text: str
    rooms: tuple[str, ...] = ()
    since: wire.Timestamp | None = None
    until: wire.Timestamp | None = None
    urgent: bool = False

    def within(self, rooms: Sequence[str], since: datetime | None, until: datetime | None) -> "Question":
        """The same among these rooms and times alone; rooms that it names itself go before."""
        begins = [wire.timestamp(since)] if since else []
        ends = [wire.timestamp(until)] if until else []
        return msgspec.structs.replace(
            self,
            rooms=self.rooms or tuple(rooms),
            since=max([self.since, *begins] if self.since else begins, default=None),
            until=min([self.until, *ends] if self.until else ends, default=None),
        )


def parse(typed: str, now: datetime) -> Question:
    """Filters: room:NAME (again for another), after:TIME and before:TIME (from, until its beginning), on:DAY,
    urgent: for urgent ones alone. One without a value is not finished, and filters nothing.

    Raises UsageError for a time that is none.
    """
    rooms: list[str] = []
    begins: list[datetime] = []
    ends: list[datetime] = []
    urgent = False

    def take(found: re.Match[str]) -> str:
        nonlocal urgent
        name, value = found[1].lower(), found[2].strip('"')
        if name == "urgent":
            urgent = True
            return found[2]
        if not value:
            return ""
        if name == "room":
            rooms.extend(room for room in value.split(",") if room)
            return ""
        span = times.parse(value, now)
        if name in ("after", "on"):
            begins.append(span.begin)
        if name in ("before", "on"):
            ends.append(span.end if name == "on" else span.begin)
        return ""

    text = " ".join(FILTER.sub(take, typed).split())
    return Question(
        text=text,
        rooms=tuple(dict.fromkeys(rooms)),
        since=wire.timestamp(max(begins)) if begins else None,
        until=wire.timestamp(min(ends)) if ends else None,
        urgent=urgent,
    )
