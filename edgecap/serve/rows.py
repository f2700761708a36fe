"""Rows: what history.db holds, read as values. Each function is one question to a connection that reads.

All raise sqlite3.Error.
"""

import sqlite3
from typing import Any

import msgspec

from edgecap.runtime.telling import wire

from .kept import BEGINNING, END, Gap, Kept, written
from .store import EVENTS, PRIORITIES, URGENT

COLUMNS = """stream.room, stream.run, message.seq, message.caption, message.event, text.text,
    message.evidence, message.start, message."end", message.at, message.priority, message.model,
    message.language"""
JOINED = "message JOIN stream ON stream.id = message.stream JOIN text ON text.id = message.text"
CAPTIONS = """caption JOIN message ON message.stream = caption.stream AND message.seq = caption.seq
    JOIN stream ON stream.id = caption.stream JOIN text ON text.id = message.text"""
Row = tuple[Any, ...]
PLACE = "caption.start, caption.stream, caption.caption"
"""Where a caption stands among all. It is in each index: whoever looks for places reads nothing else."""
Place = tuple[int, int, int | str]


class Names:
    """Labels, models and languages by number, as they are asked for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[int, str] = {}

    def __getitem__(self, number: int) -> str:
        if number not in self._known:
            [self._known[number]] = self._connection.execute(
                "SELECT name FROM name WHERE id = ?", (number,)
            ).fetchone()
        return self._known[number]


def message_of(row: Row, names: Names) -> wire.CaptionMessage:
    """A row of COLUMNS as it was published."""
    return wire.CaptionMessage(**_fields(row, names))


def kept_of(row: Row, names: Names) -> Kept:
    """A row of COLUMNS as a caption: its message is the newest of it."""
    lasted: int | None = row[8]
    return Kept(**_fields(row, names), duration=None if lasted is None else lasted / 1000)


def _fields(row: Row, names: Names) -> dict[str, Any]:
    room, run, seq, caption, event, text, evidence, start, end, at, priority, model, language = row
    confidence, *pairs = msgspec.json.decode(evidence)
    return {
        "room": room,
        "run": run,
        "seq": seq,
        "id": f"{run}-{caption}" if isinstance(caption, int) else caption,
        "event": EVENTS[event],
        "text": text,
        "confidence": confidence,
        "sounds": tuple(
            wire.Sound(names[label], score) for label, score in zip(pairs[::2], pairs[1::2], strict=True)
        ),
        "start": written(start),
        "end": None if end is None else written(start + end),
        "model": names[model],
        "at": None if at is None else written(start + at),
        "priority": PRIORITIES[priority],
        "language": names[language],
    }


def newest(reader: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Room -> (run, seq) of its newest message."""
    found = reader.execute("SELECT room, run, last FROM stream ORDER BY id")
    return {room: (run, last) for room, run, last in found}


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Captions of these rooms, all where there are none, that begin in [since, until), in milliseconds."""

    rooms: tuple[str, ...] = ()
    since: int = BEGINNING
    until: int = END
    urgent: bool = False

    def condition(self, table: str = "caption") -> tuple[str, list[int | str]]:
        """SQL that the indexes of `caption` can answer by themselves, and its parameters."""
        where = f"{table}.start >= ? AND {table}.start < ?"
        parameters: list[int | str] = [self.since, self.until]
        if self.rooms:
            marks = ", ".join("?" * len(self.rooms))
            where += f" AND {table}.stream IN (SELECT id FROM stream WHERE room IN ({marks}))"
            parameters += self.rooms
        if self.urgent:
            where += f" AND {table}.priority = {URGENT}"
        return where, parameters


def listed(reader: sqlite3.Connection, wanted: Filter, limit: int, before: Place | None = None) -> list[Kept]:
    """Captions, newest first; those behind a place."""
    return _page(reader, wanted, limit, "DESC", "<", before)


def in_order(
    reader: sqlite3.Connection, wanted: Filter, limit: int, behind: Place | None = None
) -> list[Kept]:
    """Captions, oldest first; those behind a place."""
    return _page(reader, wanted, limit, "ASC", ">", behind)


def _page(
    reader: sqlite3.Connection, wanted: Filter, limit: int, direction: str, beyond: str, last: Place | None
) -> list[Kept]:
    where, parameters = wanted.condition()
    if last is not None:
        where += f" AND caption.start {beyond}= ? AND ({PLACE}) {beyond} (?, ?, ?)"
        parameters += [last[0], *last]
    order = "ORDER BY " + ", ".join(f"{column} {direction}" for column in PLACE.split(", "))
    found = reader.execute(
        f"SELECT {COLUMNS} FROM "
        f"(SELECT stream, caption FROM caption INDEXED BY by_time WHERE {where} {order} LIMIT ?) place "
        f"CROSS JOIN {CAPTIONS} "
        f"WHERE caption.stream = place.stream AND caption.caption = place.caption {order}",
        (*parameters, limit),
    )
    names = Names(reader)
    return [kept_of(row, names) for row in found.fetchall()]


def caption_at(reader: sqlite3.Connection, stream: int, caption: int | str) -> Kept | None:
    """One caption."""
    row = reader.execute(
        f"SELECT {COLUMNS} FROM {CAPTIONS} WHERE caption.stream = ? AND caption.caption = ?",
        (stream, caption),
    ).fetchone()
    return None if row is None else kept_of(row, Names(reader))


def place(reader: sqlite3.Connection, room: str, run: int, seq: int) -> Place | None:
    """Where the caption of a message stands."""
    found: Place | None = reader.execute(
        f"SELECT {PLACE} FROM caption JOIN message USING (stream, caption) "
        "JOIN stream ON stream.id = message.stream "
        "WHERE stream.room = ? AND stream.run = ? AND message.seq = ?",
        (room, run, seq),
    ).fetchone()
    return found


def after(reader: sqlite3.Connection, room: str, run: int, seq: int, limit: int) -> list[wire.CaptionMessage]:
    """A room's messages behind (run, seq), in their order: the rest of the run, then later ones."""
    found = reader.execute("SELECT id FROM stream WHERE room = ? AND run = ?", (room, run)).fetchone()
    later, mark = ("stream.id > ?", found[0]) if found else ("stream.run > ?", run)
    rows = reader.execute(
        f"SELECT {COLUMNS} FROM {JOINED} "
        f"WHERE stream.room = ? AND ((stream.run = ? AND message.seq > ?) OR {later}) "
        "ORDER BY stream.id, message.seq LIMIT ?",
        (room, run, seq, mark, limit),
    )
    names = Names(reader)
    return [message_of(row, names) for row in rows.fetchall()]


def messages(
    reader: sqlite3.Connection, wanted: Filter, limit: int, behind: tuple[int, int]
) -> list[tuple[tuple[int, int], wire.CaptionMessage]]:
    """Messages as they were published, room by room in their order, with the place of each: stream, seq."""
    where, parameters = wanted.condition("message")
    found = reader.execute(
        f"SELECT message.stream, {COLUMNS} FROM {JOINED} "
        f"WHERE (message.stream, message.seq) > (?, ?) AND {where} "
        "ORDER BY message.stream, message.seq LIMIT ?",
        (*behind, *parameters, limit),
    )
    names = Names(reader)
    return [((stream, row[2]), message_of(row, names)) for stream, *row in found.fetchall()]


def gaps(reader: sqlite3.Connection, within: Filter) -> list[Gap]:
    """Gaps that reach into a time, oldest first."""
    found = reader.execute(
        "SELECT since, until, why, lost FROM gap WHERE until >= ? AND since < ? ORDER BY since",
        (within.since, within.until),
    )
    return [Gap(written(begun), written(ended), why, lost) for begun, ended, why, lost in found]
