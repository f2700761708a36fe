"""The flags that several commands share: every configuration key is one.

The words are those of runtime/config/schema.py, written again because importing it would slow every
`--help`; a test holds the two equal.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

LISTENING, SAYING, PUBLISHING = "Where sound comes from", "When something is said", "Where captions go"


def _flag(name: str, metavar: str, words: str, panel: str = "Options") -> Any:
    return typer.Option(name, metavar=metavar, help=words, rich_help_panel=panel, show_default=False)


ConfigFile = Annotated[
    Path | None, _flag("--config", "FILE", "Read this configuration, not the user's or the system's.")
]
Bundle = Annotated[
    str | None,
    _flag(
        "--bundle", "BUNDLE", "The model: a bundle's folder, its .zip, or the name of one that ships here."
    ),
]
Provider = Annotated[
    str | None,
    _flag(
        "--provider",
        "NAME",
        "What computes: ONNX Runtime's provider; auto is the bundle's engines where they run, else cpu.",
    ),
]

Source = Annotated[
    str | None,
    _flag(
        "--source",
        "KIND",
        "Kind of source; stdin takes raw 16-bit little-endian samples, or a WAV.",
        LISTENING,
    ),
]
Name = Annotated[
    str | None,
    _flag(
        "--name",
        "NAME",
        "A microphone's index, part of its name, or default (`edgecap devices`); a file's path.",
        LISTENING,
    ),
]
Rate = Annotated[int | None, _flag("--rate", "HZ", "Samples a second on stdin.", LISTENING)]
Channels = Annotated[int | None, _flag("--channels", "N", "Channels on stdin, interleaved.", LISTENING)]

Confidence = Annotated[
    float | None,
    _flag("--confidence", "0–1", "Nothing is said plainly below this probability of being right.", SAYING),
]
Hedge = Annotated[
    float | None,
    _flag("--hedge", "0–1", 'From here up to confidence it says "Possibly …"; below, nothing.', SAYING),
]
Interval = Annotated[
    float | None,
    _flag("--interval", "SECONDS", "Seconds between two revisions of one caption, at the least.", SAYING),
]
Level = Annotated[
    float | None,
    _flag("--level", "DB", "Sound quieter than this (dB of full scale) counts as silence.", SAYING),
]

Room = Annotated[
    str | None, _flag("--room", "NAME", "The room's name, in every topic and message.", PUBLISHING)
]
Publish = Annotated[
    str | None, _flag("--publish", "ENDPOINT", "Captions and status go out here (ZeroMQ PUB).", PUBLISHING)
]
Replay = Annotated[
    str | None,
    _flag("--replay", "ENDPOINT", "Missed captions are asked for here (ZeroMQ ROUTER).", PUBLISHING),
]
KeySecret = Annotated[
    str | None,
    _flag(
        "--secret", "FILE", "File of this room's own secret key, *.key_secret; empty for none.", PUBLISHING
    ),
]
KeyReaders = Annotated[
    str | None,
    _flag("--readers", "FOLDER", "Folder with the public *.key of each reader that may connect.", PUBLISHING),
]
Insecure = Annotated[
    bool | None,
    typer.Option(
        "--insecure/--secure",
        help="Allow other machines without keys; whoever reaches it reads what is heard.",
        rich_help_panel=PUBLISHING,
        show_default=False,
    ),
]

Set = Annotated[
    list[str] | None,
    _flag("--set", "KEY=VALUE", "Any key of the configuration: --set captions.interval=2. May be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; publish only.")]


def given(assigned: list[str] | None = None, **flags: object) -> dict[str, object]:
    """The configuration keys of flags that were given: `captions__level=-50` is captions.level.

    assigned: KEY=VALUE each, as --set takes them; a flag of its own goes before. Raises UsageError.
    """
    from edgecap.runtime.errors import UsageError

    values: dict[str, object] = {}
    for each in assigned or ():
        from edgecap.runtime.config.file import parse

        key, equals, value = each.partition("=")
        if not (key and equals):
            raise UsageError(
                f"--set {each} is no KEY=VALUE", fix="write for example --set captions.interval=2"
            )
        values[key.strip()] = parse(value)
    return values | {name.replace("__", "."): value for name, value in flags.items() if value is not None}
