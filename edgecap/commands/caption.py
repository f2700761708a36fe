"""run, demo and caption: sound in, sentences out."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..live import load_model, run_daemon
from . import options

if TYPE_CHECKING:
    from edgecap.runtime.events import Caption
    from edgecap.runtime.session import Session
    from edgecap.terminal import View


def run(
    json: options.Json = False,
    quiet: options.Quiet = False,
    config_file: options.ConfigFile = None,
    bundle: options.Bundle = None,
    provider: options.Provider = None,
    source: options.Source = None,
    name: options.Name = None,
    rate: options.Rate = None,
    channels: options.Channels = None,
    confidence: options.Confidence = None,
    hedge: options.Hedge = None,
    interval: options.Interval = None,
    level: options.Level = None,
    room: options.Room = None,
    publish: options.Publish = None,
    replay: options.Replay = None,
    secret: options.KeySecret = None,
    readers: options.KeyReaders = None,
    insecure: options.Insecure = None,
    assigned: options.Set = None,
) -> None:
    """Caption this room: listen, print the captions as they come, and publish them.

    Ends by Ctrl-C. Nothing is recorded. Not a smoke alarm and no life-safety device.
    """
    from edgecap.runtime.config import file as config

    flags = options.given(
        assigned,
        bundle=bundle,
        provider=provider,
        source__kind=source,
        source__name=name,
        source__rate=rate,
        source__channels=channels,
        captions__confidence=confidence,
        captions__hedge=hedge,
        captions__interval=interval,
        captions__level=level,
        room=room,
        publish=publish,
        replay=replay,
        keys__secret=secret,
        keys__readers=readers,
        insecure=insecure,
    )
    settings = config.load(config_file, flags)
    # A file stands in for a microphone here, so it sounds at its own pace; a pipe paces itself.
    run_daemon(settings, _view(json, quiet), realtime=True)


def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="As fast as this machine can, not at real time.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another number is another scene.")] = 2,
    json: options.Json = False,
    quiet: options.Quiet = False,
    config_file: options.ConfigFile = None,
    bundle: options.Bundle = None,
    provider: options.Provider = None,
    room: options.Room = None,
    publish: options.Publish = None,
    replay: options.Replay = None,
) -> None:
    """The same on a built-in scene of 79 seconds: no microphone needed; ends by itself.

    Knocking, doorbell, footsteps, speech-like babble, rain and a smoke alarm, with quiet between them.
    """
    from edgecap.runtime.config import file as config
    from edgecap.runtime.demo import scene
    from edgecap.runtime.sound.feed import feed_of

    flags = options.given(bundle=bundle, provider=provider, room=room, publish=publish, replay=replay)
    settings = config.load(config_file, flags)
    played = scene.synthesise(seed)
    run_daemon(
        settings,
        _view(json, quiet),
        realtime=not fast,
        feed=lambda: feed_of(scene.blocks(played), realtime=not fast),
        free_ports=True,
    )
    if not (json or quiet):
        held = ", ".join(f"{event.label} at {event.start:.0f} s" for event in played.events)
        print(f"edgecap: the scene held {held}", file=sys.stderr)


def caption(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Recordings: WAV, FLAC, OGG, MP3 …")],
    json: options.Json = False,
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
    config_file: options.ConfigFile = None,
    bundle: options.Bundle = None,
    provider: options.Provider = None,
    confidence: options.Confidence = None,
    hedge: options.Hedge = None,
    interval: options.Interval = None,
    level: options.Level = None,
) -> None:
    """Caption recordings: what can be heard in them, and when."""
    from edgecap.runtime.config import file as config
    from edgecap.runtime.errors import EdgecapError
    from edgecap.runtime.session import Session

    _check_formats(files, json, style, output)
    flags = options.given(
        bundle=bundle,
        provider=provider,
        captions__confidence=confidence,
        captions__hedge=hedge,
        captions__interval=interval,
        captions__level=level,
    )
    settings = config.load(config_file, flags)
    model, model_name = load_model(settings)
    heard: dict[Path, list[Caption]] = {}
    refused: EdgecapError | None = None
    with _Progress(files) as progress:
        for file in files:
            try:
                heard[file] = _caption_file(Session(model, settings.captions), file, progress)
            except EdgecapError as error:
                if len(files) == 1:
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


# --- run and demo -----------------------------------------------------------------------------------


def _view(json: bool, quiet: bool) -> "View":
    from edgecap.runtime.errors import UsageError
    from edgecap.terminal import view

    if json and quiet:
        raise UsageError("--json and --quiet can't go together", fix="choose one")
    return view("json" if json else "quiet" if quiet else "auto")


# --- caption ----------------------------------------------------------------------------------------


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
