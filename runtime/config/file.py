"""The configuration file: read and found, flags laid over it, and printed with comments."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from ..errors import ConfigError
from .schema import Config, allowed_words, convert, meta, refuse_unsafe, sections, shown

EXAMPLE = """\
# Several rooms at once, instead of room and source:
# rooms:
#   - {room: kitchen, source: {kind: microphone, name: "USB"}}
#   - {room: nursery, source: {kind: microphone, name: "Webcam"}, captions: {confidence: 0.6}}
"""


def places() -> tuple[Path, Path]:
    """Where a configuration is looked for when none is named: the user's, then the system's."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "edgecap" / "config.yaml", Path("/etc/edgecap/config.yaml")


def find() -> Path | None:
    """The user's configuration file, else the system's, else None."""
    return next((path for path in places() if path.is_file()), None)


def load(path: Path | None = None, overrides: Mapping[str, object] | None = None) -> Config:
    """The effective configuration: file (named, else found, else none), then flags over it.

    overrides: dotted key -> value, as flags give them, e.g. {"captions.confidence": 0.6}.
    Raises ConfigError with the key's path, what was found and what is allowed.
    """
    path = path or find()
    keys = _read(path) if path else {}
    config = convert(keys, str(path) if path else "configuration")
    if "rooms" in keys and (both := [name for name in ("room", "source") if name in keys]):
        raise ConfigError(
            f"{path}: rooms stands beside {' and '.join(both)}",
            why="with rooms, each room brings its own name and source",
            fix=f"remove {' and '.join(both)}, or rooms",
        )
    if overrides:
        merged = cast(dict[str, Any], msgspec.to_builtins(config))
        for dotted, value in overrides.items():
            *parents, last = dotted.split(".")
            section = merged
            for parent in parents:
                if not isinstance(section.get(parent), dict):
                    raise ConfigError(
                        f"command line: unknown key {dotted}", fix="`edgecap config` shows every key"
                    )
                section = section[parent]
            section[last] = value
        if config.rooms and (named := [k for k in overrides if k.split(".")[0] in ("room", "source")]):
            raise ConfigError(
                f"command line: {named[0]} says nothing where there are several rooms",
                why=f"{path} has {len(config.rooms)} rooms with names and sources of their own",
                fix="change them there",
            )
        config = convert(merged, "command line", "flag")
    refuse_unsafe(config, str(path) if path else "configuration")
    return config


def render(config: Config) -> str:
    """YAML of every key with its explanation as a comment; `load` of it gives the same configuration."""
    lines = ["# edgecap's configuration; every key is also a flag of `edgecap run`.", ""]
    _render_into(lines, config, "")
    if not config.rooms:
        lines += ["", *EXAMPLE.splitlines()]
    return "\n".join(lines) + "\n"


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


def parse(value: str) -> object:
    """A value as it stands in the file: 0.6, true, {kind: file, name: a.wav}; text where it is no YAML."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


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
    try:
        keys = yaml.load(text, Loader=_OneKeyOnce)  # _OneKeyOnce is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as broken:
        mark = getattr(broken, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ConfigError(
            f"{where}: not valid YAML",
            why=str(getattr(broken, "problem", None) or broken),
            fix="compare with the output of `edgecap config`",
        ) from broken
    if keys is None:  # nothing but comments
        return {}
    if not isinstance(keys, dict):
        raise ConfigError(
            f"{path}: found {shown(keys)} where keys should stand",
            why="allowed is one `key: value` a line",
            fix="compare with the output of `edgecap config`",
        )
    source = keys.get("source")
    if isinstance(source, dict) and type(source.get("name")) is int:
        source["name"] = str(source["name"])  # `name: 2` is microphone 2; YAML reads a number
    # A section whose every key is commented out reads as null; it stands for the defaults.
    empty = {*sections(Config), "rooms"}
    return {key: value for key, value in keys.items() if value is not None or key not in empty}


def _render_into(lines: list[str], section: msgspec.Struct, indent: str) -> None:
    for field in msgspec.structs.fields(type(section)):
        value = getattr(section, field.name)
        comment = meta(type(section), field.name).description
        if isinstance(section, Config) and section.rooms and field.name in ("room", "source"):
            continue  # `rooms` stands in their place
        if field.name == "rooms":
            if value:
                lines.append(f"{indent}# {comment}")
                lines.append(f"rooms: {_scalar(msgspec.to_builtins(value))}")
            continue
        if isinstance(value, msgspec.Struct):
            lines.append(f"{indent}# {comment}")
            lines.append(f"{indent}{field.name}:")
            _render_into(lines, value, indent + "  ")
            continue
        allowed = allowed_words(type(section), field.name)
        lines.append(f"{indent}# {comment}" + ("" if allowed == "text" else f" Allowed: {allowed}."))
        lines.append(f"{indent}{field.name}: {_scalar(value)}")


def _scalar(value: object) -> str:
    """The value as one line of YAML."""
    return (
        yaml.safe_dump(value, allow_unicode=True, width=10_000, default_flow_style=True)
        .removesuffix("...\n")
        .strip()
    )
