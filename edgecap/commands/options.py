"""The flags that several commands share. Those of the configuration are made of its declarations.

Neither the declarations nor this imports more than the standard library and typer, so that help is instant.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer

from edgecap.runtime.config.schema import Flag, flags

LISTENING, SAYING, PUBLISHING = "Where sound comes from", "When something is said", "Where captions go"
PANELS = {
    "bundle": "Options",
    "provider": "Options",
    "source": LISTENING,
    "captions": SAYING,
    **dict.fromkeys(("room", "publish", "replay", "keys", "insecure"), PUBLISHING),
}
"""The key or section -> the heading in help under which its flags stand, in that order."""


Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; publish only.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="What is kept, is kept here.",
        show_default="edgecap in the user's state directory",
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="From then on: yesterday, 14:30, 2h, 2026-01-31T14:30."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Up to the beginning of then.")]
Rooms = Annotated[
    list[str] | None, typer.Option("--room", metavar="NAME", help="This room alone; again for another.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Read this configuration, not the user's or the system's.",
        show_default=False,
    ),
]
Channel = Annotated[
    int | None,
    typer.Option(
        "--channel",
        metavar="N",
        min=1,
        max=64,
        help="Hear this channel alone, counted from 1; otherwise a mix of all.",
        show_default=False,
    ),
]
Gain = Annotated[
    float | None,
    typer.Option(
        "--gain",
        metavar="DB",
        min=-40,
        max=60,
        help="Raise what is heard by this; otherwise a recording that is far too quiet by what it lacks.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any key of the configuration: --set captions.interval=2. May be repeated.",
        show_default=False,
    ),
]


def configured(*keys: str, **fixed: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command that gets the configuration in force as `settings`.

    Its flags are its own, --config, --set, and those of these keys; of a section, all of it. fixed: keys
    whose value the command decides, whatever the file says.
    """
    order = list(PANELS)
    taken = [flag for flag in flags() if _top(flag) in keys]
    taken.sort(key=lambda flag: order.index(_top(flag)))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            from edgecap.runtime.config import file

            overrides = _assigned(arguments.pop("assigned")) | fixed
            for flag in taken:
                if (value := arguments.pop(_name(flag))) is not None:
                    overrides[flag.path] = value
            settings = file.load(arguments.pop("config_file"), overrides)
            command(settings=settings, **arguments)

        own = [each for each in inspect.signature(command).parameters.values() if each.name != "settings"]
        general = {"config_file": ConfigFile, **{_name(flag): _option(flag) for flag in taken}}
        parameters = [
            *own,
            *(_parameter(name, annotation) for name, annotation in {**general, "assigned": Set}.items()),
        ]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
        return run

    return decorate


def _top(flag: Flag) -> str:
    return flag.path.partition(".")[0]


def _name(flag: Flag) -> str:
    return flag.path.replace(".", "__")


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _option(flag: Flag) -> Any:
    kind = str if get_origin(flag.declared.kind) is Literal else flag.declared.kind
    return Annotated[
        kind | None,
        typer.Option(
            flag.spelling,
            metavar=flag.declared.key.metavar or None,
            help=flag.declared.key.doc,
            rich_help_panel=PANELS[_top(flag)],
            show_default=False,
        ),
    ]


def _assigned(each: list[str] | None) -> dict[str, object]:
    """KEY=VALUE each, as --set takes them. Raises UsageError, and ConfigError for a value that is no YAML."""
    from edgecap.runtime.config.file import parse
    from edgecap.runtime.errors import UsageError

    values: dict[str, object] = {}
    for assignment in each or ():
        key, equals, value = assignment.partition("=")
        if not (key and equals):
            raise UsageError(
                f"--set {assignment} is no KEY=VALUE", fix="write for example --set captions.interval=2"
            )
        values[key.strip()] = parse(value, f"--set {assignment}")
    return values
