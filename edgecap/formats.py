"""Captions of recordings as JSON lines, table, SRT, WebVTT and CSV.

JSON lines tell every event. The others are for reading and editing, so they hold one entry a caption,
with its last wording, from its first sound to its end. Names and sentences stand in all of them as `visible`
shows them.
"""

import csv
import io
import json
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from edgecap.runtime.names import visible

from .streams import json_text

if TYPE_CHECKING:
    from edgecap.runtime.events import Caption

LINE = 42
"""Characters a subtitle line, two lines a subtitle (DCMP Captioning Key, BBC guidelines)."""
SHOWN_S = 2.0
"""Nothing is on screen for less (DCMP), unless the next caption needs the place."""
LEAST_S = 1.0
"""Nor then for less than this, in which some three words are read."""
TIME = 9
"""Characters of a time in a table, up to ten hours."""
LEAST_TEXT = 20
"""Characters of the captions in a table; with fewer they stand below their times."""


class Entry(NamedTuple):
    """One caption of one recording, its events folded; times in seconds."""

    file: str
    start: float
    end: float
    text: str
    confidence: float
    sounds: tuple[tuple[str, float], ...]


def fold(file: str, events: "Iterable[Caption]") -> Iterator[Entry]:
    """One entry for each caption, as it ends: its last wording, the confidence and the sounds of that."""
    from edgecap.runtime.audio import seconds

    for event in events:
        if event.end is not None:
            sounds = tuple((visible(sound.label), sound.score) for sound in event.sounds)
            start, end = seconds(event.start), seconds(event.end)
            yield Entry(visible(file), start, end, visible(event.text), event.confidence, sounds)


def json_line(event: "Caption", *, file: str, seq: int, room: str, model: str) -> str:
    """The wire's fields, and the file; start and end in seconds. run is 0: a recording has no daemon."""
    from edgecap.runtime.audio import seconds

    line = json.dumps(
        {
            "v": 1,
            "type": "caption",
            "file": visible(file),
            "room": room,
            "run": 0,
            "seq": seq,
            "id": event.id,
            "event": event.kind,
            "text": event.text,
            "confidence": round(event.confidence, 3),
            "sounds": [{"label": sound.label, "score": round(sound.score, 3)} for sound in event.sounds],
            "start": round(seconds(event.start), 3),
            "end": None if event.end is None else round(seconds(event.end), 3),
            "model": model,
        },
        ensure_ascii=False,
        allow_nan=False,
    )
    return json_text(line)


def srt(entries: Sequence[Entry]) -> str:
    """SubRip subtitles of one recording."""
    return "\n".join(
        f"{number}\n{_stamp(start, ',')} --> {_stamp(end, ',')}\n{_subtitle(entry.text)}\n"
        for number, (entry, start, end) in enumerate(_readable(entries), 1)
    )


def vtt(entries: Sequence[Entry]) -> str:
    """WebVTT subtitles of one recording."""
    cues = (
        f"\n{_stamp(start, '.')} --> {_stamp(end, '.')}\n{_escaped(_subtitle(entry.text))}\n"
        for entry, start, end in _readable(entries)
    )
    return "WEBVTT\n" + "".join(cues)


CSV_HEAD = "file,start,end,text,confidence,sounds\n"


def csv_row(entry: Entry) -> str:
    """A line of comma-separated values: file, start and end in seconds, text, confidence, sounds.

    A cell that a spreadsheet would take for a formula begins with the quote that makes it text.
    """
    sounds = "; ".join(label for label, _ in entry.sounds)
    times = f"{entry.start:.3f}", f"{entry.end:.3f}"
    cells = entry.file, *times, entry.text, f"{entry.confidence:.3f}", sounds
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(map(inert, cells))
    return out.getvalue()


def csv_text(entries: Iterable[Entry]) -> str:
    """The rows under a header."""
    return CSV_HEAD + "".join(map(csv_row, entries))


WRITERS: dict[str, Callable[[Sequence[Entry]], str]] = {"srt": srt, "vtt": vtt, "csv": csv_text}


def table_head(width: int | None) -> str:
    """What stands above the rows of a table; nothing where it has no columns."""
    text = _text_width(width)
    return f"{'from':>{TIME}}  {'to':>{TIME}}  {'caption':<{text}}  sure\n" if text else ""


def table_row(entry: Entry, width: int | None) -> str:
    """For a person: when, what, how sure. width: characters a line; None where nothing is known of it.

    The caption is wrapped into the width that is left; where that is too little, it stands below its times. A
    word or figure that is longer than a line is left to the terminal, which wraps it: nothing is cut.
    """
    start, end, sure = clock(entry.start), clock(entry.end), f"{entry.confidence:.0%}"
    text = _text_width(width)
    if not text:
        lines = [*_wrapped(f"{start} {end} {sure}", width), *_wrapped(entry.text, width)]
        return "".join(f"{line}\n" for line in lines)
    first, *others = _wrapped(entry.text, width and text)
    row = f"{start:>{TIME}}  {end:>{TIME}}  {first:<{text}}  {sure:>4}\n"
    return row + "".join(f"{'':{2 * TIME + 2}}  {line}\n" for line in others)


def clock(seconds: float) -> str:
    """0:03.2, or 1:02:03.2 from an hour on."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{tenths // 10:02d}.{tenths % 10}"


def _text_width(width: int | None) -> int:
    """Of the captions' column; 0 where there is no room for one."""
    if width is None:
        return LINE
    left = width - 2 * TIME - len("sure") - 3 * len("  ")
    return left if left >= LEAST_TEXT else 0


def _readable(entries: Sequence[Entry]) -> Iterator[tuple[Entry, float, float]]:
    """Each entry with a start and end that leave time to read it, in order and never overlapping.

    Where several begin nearly at once, each waits for the one before.
    """
    free = 0.0
    for number, entry in enumerate(entries, 1):
        next_start = entries[number].start if number < len(entries) else math.inf
        start = max(entry.start, free)
        free = max(start + LEAST_S, min(next_start, max(entry.end, start + SHOWN_S)))
        yield entry, start, free


def _stamp(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    rest, milliseconds = divmod(milliseconds, 1000)
    minutes, second = divmod(rest, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{point}{milliseconds:03d}"


def _subtitle(text: str) -> str:
    return "\n".join(_wrapped(visible(text), LINE))


def _wrapped(text: str, width: int | None) -> list[str]:
    """The text in lines, at least one."""
    if width is None:
        return [text]
    return textwrap.wrap(text, max(1, width), break_long_words=False, break_on_hyphens=False) or [text]


def inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
