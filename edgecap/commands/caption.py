"""caption: recordings in, sentences out."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from edgecap.runtime.names import visible

from ..console import note
from ..live import load_model
from ..streams import as_file
from . import options

if TYPE_CHECKING:
    from edgecap.results import Results
    from edgecap.runtime.config.schema import Config
    from edgecap.runtime.errors import EdgecapError
    from edgecap.runtime.events import Caption
    from edgecap.runtime.session import Model, Session
    from edgecap.runtime.sound.source import Mixing
    from edgecap.runtime.thorough import Thorough

    Events = Callable[[Path, "_Progress"], Iterator[Caption]]
    """Captions one recording."""


class Style(NamedTuple):
    """How captions are written."""

    suffix: str
    head: str
    """What stands above all."""
    written: "Callable[[str, Iterable[Caption]], Iterator[str]]"
    """The recording's name and its events as they come -> text, piece by piece."""


@options.configured("bundle", "provider", "captions")
def caption(
    settings: "Config",
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="Recordings: WAV, FLAC, OGG, MP3 …; a pipe's path, or - for standard input."
        ),
    ],
    json: options.Json = False,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough",
            help="Hear each sound again with three encoders and find better words; wants a bundle that can.",
        ),
    ] = False,
    style: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="srt|vtt|csv", help="Subtitles or a spreadsheet instead of a table."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write there instead; in a folder, one file for each recording.",
        ),
    ] = None,
    channel: options.Channel = None,
    gain: options.Gain = None,
) -> None:
    """Caption recordings: what can be heard in them, and when.

    Lines come as they are found; with -o, each file is written when its recording is done. One that can't be
    read keeps none of the others from being captioned.
    """
    from edgecap.results import STANDARD_OUTPUT, Printed, Written, is_folder, plan
    from edgecap.runtime.session import Session
    from edgecap.runtime.sound.source import Mixing

    mixing = Mixing(channel, gain)
    if str(output) in STANDARD_OUTPUT:
        output = None
    several = len(files) > 1 and not (output and is_folder(output))  # in one place
    _check_formats(files, json, style, several)
    if thorough:
        _check_twice(files)
    targets = plan(files, output, f".{style or ('jsonl' if json else 'txt')}") if output else None
    model, model_name = load_model(settings)
    reworder = _reworder(settings, model) if thorough else None
    chosen = _style(json, style, settings.room, model_name, several, None if output else _columns())
    results = Written(targets, chosen.head) if targets else Printed(chosen.head)
    if style or json:
        as_file()

    def events(file: Path, progress: "_Progress") -> "Iterator[Caption]":
        session = Session(model, settings.captions, holds_all=True)
        found = _events(file, session, mixing, progress)
        return _reworded(reworder, file, mixing, found) if reworder else found

    code = _caption_all(files, events, chosen, results)
    if code:
        raise typer.Exit(code)


def _reworder(settings: "Config", model: "Model") -> "Thorough":
    """The bundle's three encoders and their fuser. Raises BundleError where it has none."""
    from edgecap.runtime.model.bundle import Bundle
    from edgecap.runtime.thorough import Thorough

    return Thorough.load(Bundle.open(settings.bundle), model)


def _reworded(
    thorough: "Thorough", file: Path, mixing: "Mixing", events: "Iterator[Caption]"
) -> "Iterator[Caption]":
    """The same captions in the words that a second, longer look finds: the recording is heard once more."""
    from edgecap.runtime.sound.opener import recording_blocks

    yield from thorough.reworded([*events], (block.samples for block in recording_blocks(file, mixing)))


def _check_twice(files: Sequence[Path]) -> None:
    from edgecap.runtime.errors import UsageError
    from edgecap.runtime.sound.stream import is_pipe

    for file in filter(is_pipe, files):
        raise UsageError(
            f"--thorough can't caption {file}",
            why="it hears a recording twice, and a pipe comes once",
            fix="save its sound as a file, and name that",
        )


def _check_formats(files: Sequence[Path], json: bool, style: str | None, several: bool) -> None:
    from edgecap.formats import WRITERS
    from edgecap.runtime.errors import UsageError

    if json and style:
        raise UsageError("--json and --format can't go together", fix="choose one")
    if style and style not in WRITERS:
        raise UsageError(f"--format {style} is unknown", why=f"known are {', '.join(WRITERS)}")
    if style in ("srt", "vtt") and several:
        raise UsageError(
            f"{len(files)} recordings don't go into one {style} file",
            fix="name an existing folder with -o; each gets its own file there",
        )


def _style(json: bool, style: str | None, room: str, model: str, several: bool, width: int | None) -> Style:
    """several: whether more than one recording goes to one place. width: characters a line of a table."""
    from edgecap.formats import CSV_HEAD, WRITERS, csv_row, fold, json_line, table_head, table_row

    def lines(file: str, events: "Iterable[Caption]") -> Iterator[str]:
        for seq, event in enumerate(events, 1):
            yield json_line(event, file=file, seq=seq, room=room, model=model) + "\n"

    def rows(file: str, events: "Iterable[Caption]") -> Iterator[str]:
        yield from map(csv_row, fold(file, events))
        yield ""  # the header stands even where nothing was heard

    def subtitles(file: str, events: "Iterable[Caption]") -> Iterator[str]:
        yield WRITERS[str(style)]([*fold(file, events)])

    def table(file: str, events: "Iterable[Caption]") -> Iterator[str]:
        name = f"{visible(file)}\n" if several else ""
        for entry in fold(file, events):
            yield name + table_row(entry, width)
            name = ""

    if json:
        return Style(".jsonl", "", lines)
    if style == "csv":
        return Style(".csv", CSV_HEAD, rows)
    if style:
        return Style(f".{style}", "", subtitles)
    return Style(".txt", table_head(width), table)


def _caption_all(
    files: Sequence[Path],
    events: "Events",
    style: Style,
    results: "Results",
) -> int:
    """Each recording by itself; the exit code of the first that could not be captioned, or 0.

    Raises what is the same for all of them: a place that can't be written, a configuration that is none.
    """
    code = done = 0
    with _Progress(files) as progress:
        try:
            for file in files:
                fault = _caption_one(file, events, style, results, progress)
                done += fault is None
                code = code or (fault.code if fault else 0)
        except KeyboardInterrupt:
            progress.stop()
            if len(files) > 1:
                note(f"interrupted; {done} of {len(files)} recordings are captioned")
            raise
    return code


def _caption_one(
    file: Path,
    events: "Events",
    style: Style,
    results: "Results",
    progress: "_Progress",
) -> "EdgecapError | None":
    """What is wrong with this recording, or with the place for its captions; that is said here too."""
    from edgecap.runtime.errors import (
        DataError,
        EdgecapError,
        InputMissingError,
        OutputError,
        UnavailableError,
    )
    from edgecap.runtime.paths import failed

    heard = False

    def told() -> "Iterator[Caption]":
        nonlocal heard
        for event in events(file, progress):
            heard = True
            yield event

    fault: EdgecapError | None = None
    try:
        results.begin()
    except OutputError as error:
        fault = error
    else:
        try:
            for text in style.written(str(file), told()):
                progress.stop()  # it may be on the same terminal
                results.put(text)
            results.done()
        except (DataError, InputMissingError, UnavailableError) as error:
            fault = error
        except OSError as error:
            if (fault := failed(error)) is None:
                raise
    progress.stop()
    if fault:
        note(str(fault))
    elif not heard:
        note(f"{file}: nothing was heard that it knows")
    return fault


def _events(file: Path, session: "Session", mixing: "Mixing", progress: "_Progress") -> "Iterator[Caption]":
    from edgecap.runtime.events import captions
    from edgecap.runtime.sound.opener import sound_blocks
    from edgecap.runtime.sound.stream import open_stream

    with open_stream(file) as stream:
        for block in sound_blocks(stream, mixing=mixing):
            yield from captions(session.push(block.samples))
            progress.at(file, stream.position)
    progress.done(file)
    yield from captions(session.finish())


def _columns() -> int | None:
    """Of this terminal; None where there is none."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


class _Progress:
    """How much of all the recordings' bytes is captioned; of a pipe, nobody knows how many there are."""

    def __init__(self, files: Sequence[Path]) -> None:
        from edgecap.terminal import Progress

        self._sizes = {file: _size(file) for file in files}
        self._done = 0
        self._bar = Progress(sum(self._sizes[file] for file in files))

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def at(self, file: Path, position: int) -> None:
        self._bar.at(self._done + min(position, self._sizes[file]), file.name)

    def done(self, file: Path) -> None:
        self._done += self._sizes[file]

    def stop(self) -> None:
        self._bar.stop()


def _size(file: Path) -> int:
    """In bytes; 0 for a pipe, and for what isn't there, which opening it will explain."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
