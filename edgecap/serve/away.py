"""While you were away: what was heard in a time, in a few lines. The same of a day is its digest.

A line is one sound of one room, told once, whatever sentences told of it: how often, and when. Urgent ones
come first, then what is new, then the others, room by room. The same captions give the same lines.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from edgecap.runtime.saying.wording import told
from edgecap.runtime.telling import wire

from . import rows, words
from .kept import Gap, milliseconds, written
from .store import PRIORITIES, URGENT
from .times import midnight

NORMAL, CALL = PRIORITIES.index("normal"), PRIORITIES.index("call")
MOST_LINES = 12
MOST_NEW = 4
"""Lines of what is new: on some days nearly everything is."""
KNOWN_AFTER = timedelta(days=7)
"""So long a history must be before anything in it is new."""
TOGETHER_MS = 10 * 60 * 1000
"""Between two captions of one span: a washing machine pauses."""
MOST_SPANS = 4
MOST_TOLD = 200
"""Captions of a line whose spans are told."""

Kind = Literal["urgent", "new", "count"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A sound in a room. first: when it began; last: when it was over, or began, where it goes on.

    new: "ever" where it was never heard before, "today" where not earlier today. spans: from when to when it
    was heard; none where there would be too many.
    """

    kind: Kind
    room: str
    text: str
    count: int
    first: wire.Timestamp
    last: wire.Timestamp
    priority: wire.Priority
    new: Literal["ever", "today"] | None = None
    spans: tuple[tuple[wire.Timestamp, wire.Timestamp], ...] = ()


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard in [since, until): `total` captions; of so many kinds of sound `left` have no line."""

    since: wire.Timestamp
    until: wire.Timestamp
    lines: list[Line]
    total: int
    left: int
    gaps: list[Gap]


class _Sound(msgspec.Struct):
    """What is added up of a sound in a room. texts: rows of its sentences."""

    room: str
    text: str
    priority: int
    count: int = 0
    first: int = 1 << 62
    last: int = -(1 << 62)
    texts: list[int] = msgspec.field(default_factory=list)
    known: int = 1 << 62
    """When any of these was said first, anywhere."""
    new: Literal["ever", "today"] | None = None


class _Group(msgspec.Struct):
    """Captions of one sentence in one room, in one run; known: when it was said first, anywhere."""

    room: str
    row: int
    text: str
    priority: int
    count: int
    first: int
    last: int
    known: int


def away(reader: sqlite3.Connection, since: datetime, until: datetime) -> Away:
    """What was heard from one moment to another. Raises sqlite3.Error."""
    span = (milliseconds(since), milliseconds(until))
    groups = list(_groups(reader, *span))
    sounds = _sounds(reader, groups)
    _find_new(reader, sounds, since, until)
    chosen = _chosen(sounds)
    return Away(
        since=wire.timestamp(since),
        until=wire.timestamp(until),
        lines=[_line(reader, kind, sound, *span) for kind, sound in chosen],
        total=sum(group.count for group in groups),
        left=len(sounds) - len(chosen),
        gaps=rows.gaps(reader, rows.Filter(since=span[0], until=span[1])),
    )


def _groups(reader: sqlite3.Connection, since: int, until: int) -> Iterator[_Group]:
    found = reader.execute(
        "SELECT stream.room, counted.text, text.text, priority, n, since, until, text.first FROM ("
        "SELECT stream, text, priority, count(*) n, min(start) since, max(start) until FROM caption "
        "WHERE start >= ? AND start < ? GROUP BY stream, text, priority) counted "
        "JOIN stream ON stream.id = counted.stream JOIN text ON text.id = counted.text",
        (since, until),
    )
    for row in found.fetchall():
        yield _Group(*row)


def _sounds(reader: sqlite3.Connection, groups: Sequence[_Group]) -> list[_Sound]:
    """Sentences taken apart: each sound of each room once."""
    alone: dict[str, int | None] = {}

    def priority_of(part: str) -> int | None:
        """Of a caption that told of nothing else; None where there is none."""
        if part not in alone:
            found = reader.execute(
                "SELECT caption.priority FROM text CROSS JOIN caption ON caption.text = text.id "
                "WHERE text.text = ? LIMIT 1",
                (part,),
            ).fetchone()
            alone[part] = found and found[0]
        return alone[part]

    sounds: dict[tuple[str, str], _Sound] = {}
    for group in groups:
        parts = told(group.text)
        if group.priority == URGENT and len(parts) > 1:
            parts = _urgent_of(parts, [priority_of(part) for part in parts])
        for part in parts:
            # Of two together the caption does not say whose its priority is.
            priority = group.priority if len(parts) == 1 else priority_of(part) or NORMAL
            sound = sounds.setdefault((group.room, part), _Sound(group.room, part, priority))
            sound.priority = max(sound.priority, priority)
            sound.count += group.count
            sound.first, sound.last = min(sound.first, group.first), max(sound.last, group.last)
            sound.texts.append(group.row)
            sound.known = min(sound.known, group.known)
    return sorted(sounds.values(), key=lambda sound: (sound.room, sound.text))


def _urgent_of(parts: Sequence[str], alone: Sequence[int | None]) -> tuple[str, ...]:
    """What is urgent in an urgent caption of several sounds: what is so by itself, else what was never heard
    by itself, else all of it, as one."""
    for priority in (URGENT, None):
        urgent = [part for part, own in zip(parts, alone, strict=True) if own == priority]
        if len(urgent) == 1:
            return (urgent[0],)
    return (" while ".join([parts[0].rstrip("."), *(part[:1].lower() + part[1:] for part in parts[1:])]),)


def _find_new(reader: sqlite3.Connection, sounds: list[_Sound], since: datetime, until: datetime) -> None:
    """Mark what was never heard before, or not earlier on the last day."""
    before = milliseconds(since)
    oldest = reader.execute("SELECT min(start) FROM caption").fetchone()[0]
    is_known = oldest is not None and oldest <= milliseconds(since - KNOWN_AFTER)
    day = midnight(until.astimezone().date())
    earlier = {
        part for group in _groups(reader, milliseconds(day), before) for part in told(group.text)
    }  # of today, in any room
    for sound in sounds:
        if len(told(sound.text)) > 1:
            continue
        if is_known and sound.known >= before and not _was_heard(reader, sound.text, before):
            sound.new = "ever"
        elif day < since and sound.text not in earlier:
            sound.new = "today"


def _was_heard(reader: sqlite3.Connection, text: str, before: int) -> bool:
    found = reader.execute(
        "SELECT 1 FROM words JOIN text ON text.id = words.rowid "
        "WHERE words MATCH ? AND text.first < ? LIMIT 1",
        (words.phrase(text), before),
    )
    return found.fetchone() is not None


def _chosen(sounds: list[_Sound]) -> list[tuple[Kind, _Sound]]:
    """At most MOST_LINES: urgent ones by time, new ones by time, then of each room the most frequent in turn,
    those that want somebody before all; shown room by room."""
    urgent = sorted((s for s in sounds if s.priority == URGENT), key=lambda s: (s.first, s.room, s.text))
    others = [s for s in sounds if s.priority != URGENT]
    new = sorted((s for s in others if s.new), key=lambda s: (s.new != "ever", s.first, s.room, s.text))[
        :MOST_NEW
    ]
    chosen: list[tuple[Kind, _Sound]] = [("urgent", s) for s in urgent] + [("new", s) for s in new]
    chosen = chosen[:MOST_LINES]
    rooms: dict[str, list[_Sound]] = defaultdict(list)
    for sound in sorted(others, key=lambda s: (s.priority != CALL, -s.count, s.first, s.text)):
        if sound not in new:
            rooms[sound.room].append(sound)
    turns = [(turn, room, s) for room, own in rooms.items() for turn, s in enumerate(own)]
    turns.sort(key=lambda each: each[:2])
    counted = [s for _, _, s in turns[: MOST_LINES - len(chosen)]]
    counted.sort(key=lambda s: (s.room, s.first, s.text))
    return chosen + [("count", s) for s in counted]


def _line(reader: sqlite3.Connection, kind: Kind, sound: _Sound, since: int, until: int) -> Line:
    heard = _heard(reader, sound, since, until)
    spans: list[tuple[int, int]] = []
    for start, end in heard:
        if spans and start - spans[-1][1] <= TOGETHER_MS:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return Line(
        kind=kind,
        room=sound.room,
        text=sound.text,
        count=sound.count,
        first=written(sound.first),
        last=written(max([sound.last, *(end for _, end in heard)])),
        priority=PRIORITIES[sound.priority],
        new=sound.new,
        spans=tuple((written(a), written(b)) for a, b in spans)
        if len(heard) == sound.count and len(spans) <= MOST_SPANS
        else (),
    )


def _heard(reader: sqlite3.Connection, sound: _Sound, since: int, until: int) -> list[tuple[int, int]]:
    """Start and end of its captions, in the order of time; of the newest alone where there are very many."""
    marks = ", ".join("?" * len(sound.texts))
    newest = sound.last if sound.count > MOST_TOLD else since
    found = reader.execute(
        'SELECT caption.start, caption.start + coalesce(message."end", 0) '
        "FROM caption INDEXED BY by_text "
        "JOIN message ON message.stream = caption.stream AND message.seq = caption.seq "
        "JOIN stream ON stream.id = caption.stream "
        f"WHERE caption.text IN ({marks}) AND caption.start >= ? AND caption.start < ? AND stream.room = ? "
        "ORDER BY caption.start",
        (*sound.texts, newest, until, sound.room),
    )
    return found.fetchall()
