"""One YAML file: found, read, laid under the command line's keys; and printed with comments."""

import copy
import dataclasses
import logging
import stat
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError, InputMissingError
from ..names import visible
from ..options import Declared, declared
from ..paths import status, user_folder
from .check import convert, refuse_unsafe, shown
from .schema import Config, RoomConfig, flags

EXAMPLE = """\
# rooms:
#   - room: kitchen
#     source: {kind: microphone, name: USB}
#   - room: nursery
#     source: {kind: microphone, name: "2"}
#     captions: {level: -50.0}
"""
"""What `rooms` looks like, where there are none."""
log = logging.getLogger(__name__)

COMPARE = "compare with the output of `edgecap config`"


def places() -> list[Path]:
    """Where a configuration is looked for when none is named: in the user's home, if any; the system's."""
    folders = user_folder("XDG_CONFIG_HOME", ".config"), Path("/etc")
    return [folder / "edgecap" / "config.yaml" for folder in folders if folder]


def find() -> Path | None:
    """The user's configuration file, else the system's, else None. A folder that may not be entered, as the
    home of somebody else, is passed over with a word."""
    for path in places():
        try:
            found = status(path)
        except InputMissingError as closed:
            log.warning("%s: %s. Going on without it.", closed.what, closed.why)
            continue
        if found and stat.S_ISREG(found.st_mode):
            return path
    return None


def load(path: Path | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """The effective configuration: file (named, else found, else none), then the command line over it.

    overrides: dotted key -> value, as flags give them, e.g. {"captions.confidence": 0.6}. What they say of
    captions holds in every room.
    Raises ConfigError with the key's path, what was found and what is allowed.
    """
    path = path or find()
    where = str(path) if path else "configuration"
    written = _read(path) if path else {}
    config = convert(written, where)
    if overrides:
        spelling = {flag.path: flag.spelling.partition("/")[0] for flag in flags()}
        if config.rooms and "rooms" not in overrides:
            _refuse_single(overrides, spelling, f"{path} has {len(config.rooms)} rooms")
        config = convert(_overridden(written, overrides), "command line", spelling)
    refuse_unsafe(config, where)
    return config


def render(config: Config) -> str:
    """YAML of every key with its explanation as a comment; `load` of it gives the same configuration."""
    lines = [
        "# edgecap's configuration; `edgecap run` takes every key as --set KEY=VALUE, most as a flag.",
        "",
    ]
    for key in declared(Config):
        if key.name == "rooms":
            lines.append(f"# {key.key.doc} Allowed: {key.allowed}.")
            _render_rooms(lines, config)
        elif config.rooms and key.name in ("room", "source"):
            continue  # rooms stands instead
        else:
            _render_key(lines, key, getattr(config, key.name), "")
    return "\n".join(lines) + "\n"


def _render_key(lines: list[str], key: Declared, held: Any, indent: str) -> None:
    if key.section:
        lines.append(f"{indent}# {key.key.doc}")
        lines.append(f"{indent}{key.name}:")
        for inner in declared(key.section):
            _render_key(lines, inner, getattr(held, inner.name), indent + "  ")
        return
    allowed = "" if key.allowed == "text" else f" Allowed: {key.allowed}."
    if key.may_be_null:
        allowed = allowed.removesuffix(".") + ", or null for the bundle's own."
    lines.append(f"{indent}# {key.key.doc}{allowed}")
    lines.append(f"{indent}{key.name}: {_scalar(held)}")


def _render_rooms(lines: list[str], config: Config) -> None:
    if not config.rooms:
        lines += EXAMPLE.splitlines()
        return
    lines.append("rooms:")
    for room in config.rooms:
        lines += _render_room(room, config)


def _render_room(room: RoomConfig, config: Config) -> list[str]:
    """Without the comments, which stand above once; of captions, what differs from those of all rooms."""
    lines = [f"  - room: {_scalar(room.room)}"]
    source, captions, shared = (
        dataclasses.asdict(each) for each in (room.source, room.captions, config.captions)
    )
    differing = {key: held for key, held in captions.items() if held != shared[key]}
    for name, section in (("source", source), ("captions", differing)):
        if section:
            lines.append(f"    {name}:")
            lines += [f"      {key}: {_scalar(held)}" for key, held in section.items()]
    return lines


def _scalar(held: object) -> str:
    """The value as one line of YAML; with escapes for what could not be seen in it."""
    is_plain = not isinstance(held, str) or visible(held) == held
    text = yaml.safe_dump(held, allow_unicode=is_plain, default_style=None if is_plain else '"', width=10_000)
    return text.removesuffix("...\n").removesuffix("\n")


def _refuse_single(overrides: Mapping[str, object], spelling: Mapping[str, str], several: str) -> None:
    for dotted in overrides:
        if dotted.split(".")[0] in ("room", "source"):
            raise ConfigError(
                f"command line: {spelling.get(dotted, dotted)} says nothing where there are several rooms",
                why=f"{several} with names and sources of their own",
                fix="change them there",
            )


def _overridden(written: Mapping[str, Any], overrides: Mapping[str, object]) -> dict[str, Any]:
    """The file's keys with the command line's over them."""
    merged = copy.deepcopy(dict(written))
    for room in merged.get("rooms") or ():
        for dotted in overrides:  # what was typed just now is not to be silently less than what a room says
            (room.get("captions") or {}).pop(dotted.removeprefix("captions."), None)
    for dotted, held in overrides.items():
        *parents, last = dotted.split(".")
        section = merged
        for parent in parents:
            if not isinstance(section.get(parent), dict):
                section[parent] = {}
            section = section[parent]
        section[last] = held
    return merged


class _OneKeyOnce(yaml.SafeLoader):
    """SafeLoader lets the last of two equal keys win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {name} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as unreadable:
        reason = unreadable.strerror if isinstance(unreadable, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"{path} can't be read",
            why=f"{reason}",
            fix="name an existing file with --config; `edgecap config` prints one to begin with",
        ) from unreadable
    keys = parse(text, str(path))
    if keys is None:  # nothing but comments
        return {}
    if not isinstance(keys, dict):
        raise ConfigError(
            f"{path}: found {shown(keys)} where keys should stand",
            why="allowed is one `key: value` a line",
            fix=COMPARE,
        )
    return keys


def parse(text: str, where: str) -> Any:
    """What YAML reads: a file's keys, or one value. where: for the words of a refusal, a ConfigError."""
    try:
        return yaml.load(text, Loader=_OneKeyOnce)  # _OneKeyOnce is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as broken:
        mark = getattr(broken, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}" if mark else where
        raise ConfigError(
            f"{place}: not valid YAML", why=str(getattr(broken, "problem", None) or broken), fix=COMPARE
        ) from broken
