"""A span of the history as a file: JSON lines as the wire had them, SRT, WebVTT, comma-separated values.

JSON lines hold every message, and can be imported again. The others are for reading, so they hold one entry a
caption, with its last wording; the times of subtitles count from the beginning of the span.
"""

import csv
import io
import sqlite3
from collections.abc import Iterator
from typing import Literal, get_args

from edgecap import formats
from edgecap.runtime.telling import wire

from . import rows
from .kept import BEGINNING, EPOCH, MS, Kept

Format = Literal["srt", "vtt", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)
PAGE = 1000
COLUMNS = ("start", "end", "seconds", "room", "text", "confidence", "priority", "sounds")


def parts(reader: sqlite3.Connection, style: Format, wanted: rows.Filter) -> Iterator[str]:
    """The file's text, piece by piece. Raises sqlite3.Error."""
    if style == "jsonl":
        return json_lines(reader, wanted)
    if style == "csv":
        return csv_rows(reader, wanted)
    return subtitles(reader, style, wanted)


def json_lines(reader: sqlite3.Connection, wanted: rows.Filter) -> Iterator[str]:
    """Every message, a line each, times in UTC."""
    behind = (0, 0)
    while page := rows.messages(reader, wanted, PAGE, behind):
        yield "".join(wire.encode(message).decode() + "\n" for _, message in page)
        behind = page[-1][0]


def csv_rows(reader: sqlite3.Connection, wanted: rows.Filter) -> Iterator[str]:
    """A row a caption, under a header; times in UTC."""
    yield _row(COLUMNS)
    for caption in captions(reader, wanted):
        lasted = "" if caption.duration is None else f"{caption.duration:.3f}"
        sounds = "; ".join(sound.label for sound in caption.sounds)
        yield _row(
            (
                caption.start,
                caption.end or "",
                lasted,
                caption.room,
                caption.text,
                f"{caption.confidence:.3f}",
                caption.priority,
                sounds,
            )
        )


def subtitles(reader: sqlite3.Connection, style: Literal["srt", "vtt"], wanted: rows.Filter) -> Iterator[str]:
    """Of a single room its sentences; of several, with the room before each."""
    entries: list[formats.Entry] = []
    zero = None if wanted.since == BEGINNING else EPOCH + wanted.since * MS
    found = list(captions(reader, wanted))
    several = len({caption.room for caption in found}) > 1
    for caption in found:
        start = wire.moment(caption.start)
        zero = zero or start
        begins = (start - zero).total_seconds()
        text = f"{caption.room}: {caption.text}" if several else caption.text
        sounds = tuple((sound.label, sound.score) for sound in caption.sounds)
        ends = begins + (caption.duration or 0.0)
        entries.append(formats.Entry(caption.room, begins, ends, text, caption.confidence, sounds))
    yield formats.WRITERS[style](entries)


def captions(reader: sqlite3.Connection, wanted: rows.Filter) -> Iterator[Kept]:
    """Oldest first, however many there are."""
    behind: rows.Place | None = None
    while page := rows.in_order(reader, wanted, PAGE, behind):
        yield from page
        behind = rows.place(reader, page[-1].room, page[-1].run, page[-1].seq)


def _row(cells: tuple[str, ...]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(map(formats.inert, cells))
    return out.getvalue()
