"""history: what was heard, from what the face has kept; and what was kept elsewhere comes in."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecap.runtime.names import visible

from ..console import note
from . import options

if TYPE_CHECKING:
    from edgecap.serve.away import Away, Line
    from edgecap.serve.history import History
    from edgecap.serve.kept import Gap, Kept
    from edgecap.serve.times import Span

IMPORT = "import"
PAGE = 500


def history(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DAY | import FILE…]",
            help="today, yesterday, monday, 2026-01-31; today where none is named. "
            "Or files of the wire's lines, which are stored; - is standard input.",
        ),
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    room: options.Rooms = None,
    digest: Annotated[
        bool, typer.Option("--digest", help="The day in at most twelve lines, urgent sounds first.")
    ] = False,
    json: options.Json = False,
    style: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="srt|vtt|csv|jsonl",
            help="As a file: subtitles, a spreadsheet, or every message as it was published, "
            "which can be imported.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead.")
    ] = None,
    data: options.Data = None,
) -> None:
    """What was heard, from the history that `edgecap serve` keeps."""
    from edgecap.serve.folder import data_folder

    folder = data_folder(data)
    if words and words[0] == IMPORT:
        _import(folder, words[1:])
        return
    span = _span(words or [], since, until)
    rooms = room or ()
    with open_history(folder) as kept:
        if digest:
            text = _digest(kept, span, rooms, json)
        elif style:
            text = _file(kept, style, span, rooms, json)
        else:
            text = _list(kept, span, rooms, json)
        _put(text, output)


def open_history(folder: Path) -> "History":
    """The history of a folder, to be read. Raises InputMissingError where there is none."""
    from edgecap.runtime.errors import InputMissingError
    from edgecap.serve.history import History

    kept = History.read(folder)
    if not kept.exists():
        raise InputMissingError(
            f"there is no history in {folder}",
            why="`edgecap serve` keeps it, and has not stored anything there",
            fix="start that, or name its folder with --data",
        )
    return kept


def _span(words: list[str], since: str | None, until: str | None) -> "Span":
    """The day that is named, or what --since and --until say; today where neither does."""
    from edgecap.runtime.errors import UsageError
    from edgecap.serve import times

    now = datetime.now(UTC)
    if len(words) > 1 or (words and (since or until)):
        raise UsageError(
            f"{' '.join(words)} is more than a day can be named by",
            fix="name one day, or --since and --until",
        )
    if words:
        return times.parse_day(words[0], now)
    begin = times.parse(since, now).begin if since else None
    end = times.parse(until, now).begin if until else None
    if begin is None:
        begin = times.whole_day((min(end, now) if end else now).astimezone().date()).begin
    if end is not None and end < begin:
        raise UsageError(f"--until {until} is before --since", fix="exchange them")
    return times.Span(begin, end or now)


def _list(kept: "History", span: "Span", rooms: Iterable[str], json: bool) -> Iterator[str]:
    """A line a caption, oldest first, and where captions were lost, a line that says so."""
    import msgspec

    gaps = [] if json else kept.gaps(span.begin, span.end)
    for caption in kept.in_order(rooms=tuple(rooms), since=span.begin, until=span.end):
        while gaps and gaps[0].since <= caption.start:
            yield _gap_line(gaps.pop(0))
        yield msgspec.json.encode(caption).decode() + "\n" if json else caption_line(caption)
    for gap in gaps:
        yield _gap_line(gap)


def _gap_line(gap: "Gap") -> str:
    return f"{_when(gap.since)}  until {_when(gap.until)} {_times(gap.lost, 'message')} lost: {gap.why}\n"


def caption_line(caption: "Kept") -> str:
    """For a person: when, where, what, how long; in this machine's zone."""
    lasted = "goes on" if caption.duration is None else f"{caption.duration:.0f} s"
    return visible(f"{_when(caption.start)}  {caption.room}  {caption.text}  ({lasted})") + "\n"


def _file(kept: "History", style: str, span: "Span", rooms: Iterable[str], json: bool) -> Iterator[str]:
    from edgecap.runtime.errors import UsageError
    from edgecap.serve.as_file import FORMATS

    if json:
        raise UsageError("--json and --format can't go together", fix="choose one")
    known = next((each for each in FORMATS if each == style), None)
    if known is None:
        raise UsageError(f"--format {style} is unknown", why=f"known are {', '.join(FORMATS)}")
    return kept.export(known, rooms=tuple(rooms), since=span.begin, until=span.end)


def _digest(kept: "History", span: "Span", rooms: Iterable[str], json: bool) -> Iterator[str]:
    import msgspec

    from edgecap.runtime.errors import UsageError

    if rooms:
        raise UsageError("--digest tells of all rooms", fix="leave --room out")
    away = kept.away(span.begin, span.end)
    if json:
        yield msgspec.json.encode(away).decode() + "\n"
        return
    yield f"{_when(away.since)} to {_when(away.until)}: {_times(away.total, 'caption')}\n"
    yield from _digest_lines(away)


def _digest_lines(away: "Away") -> Iterator[str]:
    rooms = max((len(line.room) for line in away.lines), default=0)
    for line in away.lines:
        words = f"{line.kind if line.kind != 'count' else '':<6}  {line.room:<{rooms}}  {_told(line, away)}"
        yield visible(words) + "\n"
    if away.left:
        yield f"{'':<6}  and {_times(away.left, 'other sound')}\n"
    for gap in away.gaps:
        yield f"{'':<6}  {_gap_line(gap)}"


def _told(line: "Line", away: "Away") -> str:
    """ "A washing machine is running: 14:02 to 14:51"."""
    from edgecap.runtime.telling import wire

    last = wire.moment(away.until) - timedelta(milliseconds=1)
    several_days = _when(away.since)[:10] != _when(wire.timestamp(last))[:10]

    def time(stamp: str) -> str:
        return _when(stamp)[0 if several_days else 11 : 16]

    def between(first: str, last: str) -> str:
        return time(first) if time(first) == time(last) else f"{time(first)} to {time(last)}"

    new = {"ever": "for the first time, ", "today": "first time today, ", None: ""}[line.new]
    spans = ", ".join(between(first, last) for first, last in line.spans)
    when = spans or f"{line.count} times, {between(line.first, line.last)}"
    return f"{line.text.rstrip('.')}: {new}{when}"


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _when(stamp: str) -> str:
    """A time of the wire in this machine's zone, to the second: 2026-01-31 14:02:31."""
    from edgecap.runtime.telling import wire

    return wire.moment(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _put(text: Iterable[str], output: Path | None) -> None:
    from edgecap.results import write_whole

    if output:
        write_whole(output, "".join(text))
    else:
        for part in text:
            sys.stdout.write(part)


def _import(folder: Path, files: list[str]) -> None:
    from edgecap.runtime.errors import InputMissingError, UsageError
    from edgecap.serve.imported import take_in

    if not files:
        raise UsageError(
            "import: no file is named", fix="name files of the wire's lines, or - for standard input"
        )
    refused = False
    for file in files:
        with contextlib.ExitStack() as stack:
            try:
                lines = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
            except OSError as missing:
                raise InputMissingError(f"{file} can't be read", why=missing.strerror or "") from missing
            taken = take_in(folder, lines)
        note(
            f"{file}: {_times(taken.stored, 'message')} stored, {taken.known} there already, "
            f"{taken.others} of other kinds"
        )
        if taken.first_refused:
            number, why = taken.first_refused
            note(f"{file}, line {number}: {why}")
            note(f"{file}: {_times(taken.refused, 'line')} can't be read")
            refused = True
    if refused:
        raise typer.Exit(65)
