"""caption: recordings in, sentences out."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..live import load_model
from . import options

if TYPE_CHECKING:
    from edgecap.runtime.config.schema import Config
    from edgecap.runtime.events import Caption
    from edgecap.runtime.session import Model, Session
    from edgecap.runtime.thorough import Thorough


@options.configured("bundle", "provider", "captions")
def caption(
    settings: "Config",
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Recordings: WAV, FLAC, OGG, MP3 …")],
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
) -> None:
    """Caption recordings: what can be heard in them, and when."""
    from edgecap.runtime.errors import ConfigError, EdgecapError
    from edgecap.runtime.session import Session

    _check_formats(files, json, style, output)
    model, model_name = load_model(settings)
    reworder = _reworder(settings, model) if thorough else None
    heard: dict[Path, list[Caption]] = {}
    refused: EdgecapError | None = None
    with _Progress(files) as progress:
        for file in files:
            try:
                heard[file] = _caption_file(Session(model, settings.captions, holds_all=True), file, progress)
                if reworder:
                    heard[file] = _reworded(reworder, heard[file], file)
            except EdgecapError as error:
                if len(files) == 1 or isinstance(error, ConfigError):  # the same of all of them
                    raise
                # The other recordings are still worth captioning; the exit code tells of this one.
                print(f"edgecap: {error}", file=sys.stderr)
                refused = refused or error
    if json:
        _put(_json_lines(heard, settings.room, model_name), output, ".jsonl")
    elif style:
        _put_formatted(heard, style, output)
    else:
        _put_table(heard, output)
    if refused:
        raise typer.Exit(refused.code)


def _reworder(settings: "Config", model: "Model") -> "Thorough":
    """The bundle's three encoders and their fuser. Raises BundleError where it has none."""
    from edgecap.runtime.model.bundle import Bundle
    from edgecap.runtime.thorough import Thorough

    return Thorough.load(Bundle.open(settings.bundle), model)


def _reworded(thorough: "Thorough", events: "list[Caption]", file: Path) -> "list[Caption]":
    """The same captions in the words that a second, longer look finds."""
    from edgecap.runtime.sound.files import file_blocks

    return thorough.reworded(events, (block.samples for block in file_blocks(file)))


def _check_formats(files: Sequence[Path], json: bool, style: str | None, output: Path | None) -> None:
    from edgecap.formats import WRITERS
    from edgecap.runtime.errors import UsageError

    if json and style:
        raise UsageError("--json and --format can't go together", fix="choose one")
    if style and style not in WRITERS:
        raise UsageError(f"--format {style} is unknown", why=f"known are {', '.join(WRITERS)}")
    if style in ("srt", "vtt") and len(files) > 1 and not (output and output.is_dir()):
        raise UsageError(
            f"{len(files)} recordings don't go into one {style} file",
            fix="name an existing folder with -o; each gets its own file there",
        )
    if output and not output.parent.is_dir():
        raise UsageError(f"-o {output}: the folder {output.parent} does not exist", fix="make it first")


def _caption_file(session: "Session", file: Path, progress: "_Progress") -> "list[Caption]":
    """Every event of one recording. Raises DataError or InputMissingError with nothing said."""
    from edgecap.runtime.audio import seconds
    from edgecap.runtime.events import captions
    from edgecap.runtime.sound.files import file_blocks

    events: list[Caption] = []
    for block in file_blocks(file):
        events += captions(session.push(block.samples))
        progress.at(file, seconds(session.position))
    progress.done(file)
    return events + captions(session.finish())


class _Progress:
    """How much of all the recordings is captioned."""

    def __init__(self, files: Sequence[Path]) -> None:
        from edgecap.terminal import Progress

        self._lengths = {file: _length_s(file) for file in files}
        self._done_s = 0.0
        self._bar = Progress(sum(self._lengths.values()))

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def at(self, file: Path, position_s: float) -> None:
        self._bar.at(self._done_s + position_s, file.name)

    def done(self, file: Path) -> None:
        self._done_s += self._lengths[file]


def _length_s(file: Path) -> float:
    """As the header says; 0 for what is no recording, which `file_blocks` will explain."""
    import soundfile

    try:
        return float(soundfile.info(file).duration)
    except (OSError, soundfile.LibsndfileError):
        return 0.0


def _json_lines(heard: "dict[Path, list[Caption]]", room: str, model: str) -> dict[Path, str]:
    from edgecap.formats import json_line

    return {
        file: "".join(
            json_line(event, file=str(file), seq=seq, room=room, model=model) + "\n"
            for seq, event in enumerate(events, 1)
        )
        for file, events in heard.items()
    }


def _put_formatted(heard: "dict[Path, list[Caption]]", style: str, output: Path | None) -> None:
    from edgecap.formats import WRITERS, fold

    write = WRITERS[style]
    folded = {file: fold(str(file), events) for file, events in heard.items()}
    if output and output.is_dir():
        _put({file: write(entries) for file, entries in folded.items()}, output, f".{style}")
    else:
        together = [entry for entries in folded.values() for entry in entries]
        _put({Path("captions"): write(together)}, output, f".{style}")


def _put_table(heard: "dict[Path, list[Caption]]", output: Path | None) -> None:
    from rich.console import Console

    from edgecap.formats import fold, table

    entries = [entry for file, events in heard.items() for entry in fold(str(file), events)]
    if output is None and not entries:
        print("edgecap: nothing was heard that could be named", file=sys.stderr)
        return
    # Nothing is known of the width of a pipe or file: lines stay whole there.
    on_terminal = output is None and sys.stdout.isatty()
    console = Console(highlight=False, width=None if on_terminal else 200, no_color=not on_terminal)
    with console.capture() as captured:
        console.print(table(entries))
    _put({Path("captions"): captured.get()}, output, ".txt")


def _put(texts: dict[Path, str], output: Path | None, suffix: str) -> None:
    """To stdout, to one file, or into a folder: each recording's under its own name."""
    from edgecap.formats import write_whole

    if output is None:
        sys.stdout.write("".join(texts.values()))
    elif output.is_dir():
        for file, text in texts.items():
            write_whole(output / (file.stem + suffix), text)
    else:
        write_whole(output, "".join(texts.values()))
