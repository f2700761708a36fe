"""Captions of recordings as JSON lines, table, SRT, WebVTT and CSV.

JSON lines tell every event. The others are for reading and editing, so they hold one entry a caption,
with its last wording, from its first sound to its end.
"""

import csv
import io
import json
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

    from edgecap.runtime.events import Caption

LINE = 42
"""Characters a subtitle line, two lines a subtitle (DCMP Captioning Key, BBC guidelines)."""
SHOWN_S = 2.0
"""Nothing is on screen for less (DCMP), unless the next caption needs the place."""


class Entry(NamedTuple):
    """One caption of one recording, its events folded; times in seconds."""

    file: str
    start: float
    end: float
    text: str
    confidence: float
    sounds: tuple[tuple[str, float], ...]


def fold(file: str, events: "Iterable[Caption]") -> list[Entry]:
    """One entry for each caption, by start: its last wording, the confidence and the sounds of that."""
    from edgecap.runtime.audio import seconds

    entries: dict[str, Entry] = {}
    for event in events:
        entries[event.id] = Entry(
            file,
            seconds(event.start),
            seconds(event.start if event.end is None else event.end),
            event.text,
            event.confidence,
            tuple((sound.label, sound.score) for sound in event.sounds),
        )
    return sorted(entries.values(), key=lambda entry: (entry.start, entry.end))


def json_line(event: "Caption", *, file: str, seq: int, room: str, model: str) -> str:
    """The wire's fields, and the file; start and end in seconds. run is 0: a recording has no daemon."""
    from edgecap.runtime.audio import seconds

    return json.dumps(
        {
            "v": 1,
            "type": "caption",
            "file": file,
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


def srt(entries: Sequence[Entry]) -> str:
    """SubRip subtitles of one recording."""
    return "\n".join(
        f"{number}\n{_stamp(start, ',')} --> {_stamp(end, ',')}\n{_wrapped(entry.text)}\n"
        for number, (entry, start, end) in enumerate(_readable(entries), 1)
    )


def vtt(entries: Sequence[Entry]) -> str:
    """WebVTT subtitles of one recording."""
    cues = (
        f"\n{_stamp(start, '.')} --> {_stamp(end, '.')}\n{_escaped(_wrapped(entry.text))}\n"
        for entry, start, end in _readable(entries)
    )
    return "WEBVTT\n" + "".join(cues)


def csv_text(entries: Sequence[Entry]) -> str:
    """Comma-separated values with a header: file, start and end in seconds, text, confidence, sounds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "start", "end", "text", "confidence", "sounds"])
    for entry in entries:
        sounds = "; ".join(label for label, _ in entry.sounds)
        times = f"{entry.start:.3f}", f"{entry.end:.3f}"
        writer.writerow([entry.file, *times, entry.text, f"{entry.confidence:.3f}", sounds])
    return out.getvalue()


def table(entries: Sequence[Entry]) -> "Table":
    """For a person: when, what, how sure; the recording's name where there are several."""
    from rich.table import Table

    several = len({entry.file for entry in entries}) > 1
    out = Table(box=None, pad_edge=False, header_style="dim")
    if several:
        out.add_column("file", overflow="fold")
    out.add_column("from", justify="right", no_wrap=True)
    out.add_column("to", justify="right", no_wrap=True)
    out.add_column("caption", overflow="fold", min_width=20)
    out.add_column("sure", justify="right", no_wrap=True)
    for entry in entries:
        row = [clock(entry.start), clock(entry.end), entry.text, f"{entry.confidence:.0%}"]
        out.add_row(*([entry.file] if several else []), *row)
    return out


WRITERS: dict[str, Callable[[Sequence[Entry]], str]] = {"srt": srt, "vtt": vtt, "csv": csv_text}


def clock(seconds: float) -> str:
    """0:03.2, or 1:02:03.2 from an hour on."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{tenths // 10:02d}.{tenths % 10}"


def write_whole(path: Path, text: str) -> None:
    """All of the text or nothing: a failure leaves what was there, and a reader never sees a half."""
    from edgecap.runtime.errors import UnavailableError

    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a named pipe
            path.write_text(text, encoding="utf-8")
            return
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as refused:
        raise UnavailableError(f"{path} can't be written", why=refused.strerror or str(refused)) from refused


def _readable(entries: Sequence[Entry]) -> Iterable[tuple[Entry, float, float]]:
    """Each entry with a start and end that leave time to read it and never overlap."""
    for number, entry in enumerate(entries, 1):
        next_start = entries[number].start if number < len(entries) else math.inf
        yield entry, entry.start, max(entry.start, min(next_start, max(entry.end, entry.start + SHOWN_S)))


def _stamp(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    rest, milliseconds = divmod(milliseconds, 1000)
    minutes, second = divmod(rest, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{point}{milliseconds:03d}"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, LINE)) or text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
