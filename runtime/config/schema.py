"""Config: one YAML file, checked key by key; `edgecap config` prints the effective one with comments.

The structs below are the only place where a key is named: type, range, default and explanation.
Reading, refusing, printing and the flags of `edgecap run` all follow them.
"""

import difflib
import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import msgspec
import yaml
from msgspec import Meta

from ..errors import ConfigError
from ..options import Captions, key
from ..sound.source import Source
from ..telling.endpoint import is_local
from ..telling.keys import Keys

_OR_NULL = ", or null for the bundle's own"
_ENDPOINT = "tcp://ADDRESS:PORT or ipc://PATH"


class RoomConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several rooms."""

    room: str
    source: Source = Source()
    captions: Captions = Captions()


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `edgecap run` does."""

    room: Annotated[
        str,
        key(
            "The room's name, in every topic and message.",
            "1 to 64 characters without spaces, dots or slashes",
            pattern=r"^[^\s./\x00-\x1f]{1,64}$",
        ),
    ] = "room"
    source: Annotated[Source, key("Where sound comes from.", "keys: kind, name, rate, channels")] = Source()
    bundle: Annotated[
        str,
        key("The model: a bundle's folder, its .zip, or the name of one that ships here.", "text"),
    ] = "room-small"
    provider: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt", "openvino"],
        key(
            "What computes: ONNX Runtime's provider; auto is the bundle's engines where they run, else cpu.",
            "auto, cpu, cuda, tensorrt or openvino",
        ),
    ] = "auto"
    publish: Annotated[str, key("Captions and status go out here (ZeroMQ PUB).", _ENDPOINT)] = (
        "tcp://127.0.0.1:7310"
    )
    replay: Annotated[str, key("Missed captions are asked for here (ZeroMQ ROUTER).", _ENDPOINT)] = (
        "tcp://127.0.0.1:7311"
    )
    captions: Annotated[
        Captions, key("When something is said.", "keys: confidence, hedge, interval, level")
    ] = Captions()
    keys: Annotated[Keys, key("For readers beyond this machine.", "keys: secret, readers")] = Keys()
    rooms: Annotated[tuple[RoomConfig, ...], key("Several rooms.", "a list of room, source, captions")] = ()

    def all_rooms(self) -> tuple[RoomConfig, ...]:
        """Each room with its source; the one of `room` and `source` where `rooms` is empty."""
        return self.rooms or (RoomConfig(room=self.room, source=self.source, captions=self.captions),)

    insecure: Annotated[
        bool,
        key("Allow other machines without keys; whoever reaches it reads what is heard.", "true or false"),
    ] = False


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
    config = _convert(keys, str(path) if path else "configuration", "key")
    if overrides:
        merged = cast(dict[str, Any], msgspec.to_builtins(config))
        for dotted, value in overrides.items():
            *parents, last = dotted.split(".")
            section = merged
            for parent in parents:
                section = section[parent]
            section[last] = value
        config = _convert(merged, "command line", "flag")
    _refuse_unsafe(config, str(path) if path else "configuration")
    return config


def render(config: Config) -> str:
    """YAML of every key with its explanation as a comment; `load` of it gives the same configuration."""
    lines = ["# edgecap's configuration; every key is also a flag of `edgecap run`.", ""]
    _render_into(lines, config, "")
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
            f"{path}: found {_shown(keys)} where keys should stand",
            why="allowed is one `key: value` a line",
            fix="compare with the output of `edgecap config`",
        )
    source = keys.get("source")
    if isinstance(source, dict) and type(source.get("name")) is int:
        source["name"] = str(source["name"])  # `name: 2` is microphone 2; YAML reads a number
    # A section whose every key is commented out reads as null; it stands for the defaults.
    return {key: value for key, value in keys.items() if value is not None or key not in _sections(Config)}


def _convert(keys: Mapping[str, Any], where: str, noun: str) -> Config:
    try:
        return msgspec.convert(keys, Config)
    except msgspec.ValidationError as refused:
        raise _explain(str(refused), keys, where, noun) from refused


def _explain(message: str, keys: Mapping[str, Any], where: str, noun: str) -> ConfigError:
    """msgspec says what and where; add what was found, what is allowed, and the likely typo."""
    path = [part for part in (re.findall(r"`\$\.?([\w.]*)`", message) or [""])[-1].split(".") if part]
    struct: type[msgspec.Struct] = Config
    found: Any = keys
    allowed = ""
    for part in path:
        found = found[part]
        allowed = _allowed(struct, part)
        struct = _sections(struct).get(part, struct)
    unknown = re.search(r"unknown field `(.*?)`", message)
    if unknown or "at `key`" in message:
        name = unknown.group(1) if unknown else str(next(key for key in found if not isinstance(key, str)))
        known = struct.__struct_fields__
        near = difflib.get_close_matches(name, known, n=1)
        dotted = ".".join([*path, name])
        return ConfigError(
            f"{where}: unknown key {dotted}",
            why=f"known here are {', '.join(known)}",
            fix=f"write {near[0]}, if that was meant" if near else f"remove {dotted}",
        )
    dotted = ".".join(path)
    if noun == "flag":
        dotted, allowed = _flag(path), allowed.removesuffix(_OR_NULL)
    return ConfigError(
        f"{where}: {dotted} is {_shown(found)}",
        why=f"allowed is {allowed}",
        fix="`edgecap config` explains every key",
    )


def _refuse_unsafe(config: Config, where: str) -> None:
    for socket in ("publish", "replay"):
        endpoint = getattr(config, socket)
        problem = _endpoint_problem(endpoint)
        if problem:
            raise ConfigError(
                f"{where}: {socket} is {endpoint!r}",
                why=f"{problem}; allowed is {_ENDPOINT}",
                fix="take for example tcp://127.0.0.1:7310",
            )
        if not (config.insecure or config.keys.secret or is_local(endpoint)):
            raise ConfigError(
                f"{where}: {socket} is {endpoint}, which other machines can reach",
                why="whoever reaches it can read what is heard in this room",
                fix="use tcp://127.0.0.1:PORT or ipc://PATH, give keys, or say insecure: true (--insecure)",
            )
    if bool(config.keys.secret) != bool(config.keys.readers):
        missing = "readers" if config.keys.secret else "secret"
        raise ConfigError(
            f"{where}: keys.{missing} is empty",
            why="the room needs its own secret key and the folder of its readers' keys",
            fix=f"give keys.{missing} too (docs/wire.md says how to make them)",
        )
    if config.publish == config.replay and not config.publish.endswith(":*"):
        raise ConfigError(
            f"{where}: publish and replay are both {config.publish}",
            why="each needs an address of its own",
            fix="give replay another port",
        )
    captions = config.captions
    if (
        captions.hedge is not None
        and captions.confidence is not None
        and captions.hedge > captions.confidence
    ):
        raise ConfigError(
            f"{where}: captions.hedge {captions.hedge:g} is above confidence {captions.confidence:g}",
            why="what is hedged is less sure than what is said plainly",
            fix="lower captions.hedge or raise captions.confidence",
        )


def _endpoint_problem(endpoint: str) -> str:
    """Why ZeroMQ could not bind there; empty if it could."""
    scheme, _, address = endpoint.partition("://")
    if scheme == "ipc":
        if not address:
            return "the path is missing"
        return "the path is longer than 107 bytes" if len(os.fsencode(address)) > 107 else ""
    if scheme != "tcp":
        return "the scheme is neither tcp:// nor ipc://"
    host, _, port = address.rpartition(":")
    if not host:
        return "the port is missing"
    if port != "*" and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        return "the port is no number from 1 to 65535 (or * for any free one)"
    return ""


def _sections(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    return {
        field.name: type(field.default)
        for field in msgspec.structs.fields(struct)
        if isinstance(field.default, msgspec.Struct)
    }


def _meta(struct: type[msgspec.Struct], name: str) -> Meta:
    annotation = next(field.type for field in msgspec.structs.fields(struct) if field.name == name)
    if not hasattr(annotation, "__metadata__"):  # a union with None: the explanation is on the other half
        annotation = get_args(annotation)[0]
    return cast(Meta, annotation.__metadata__[0])


def _allowed(struct: type[msgspec.Struct], name: str) -> str:
    annotation = next(field.type for field in msgspec.structs.fields(struct) if field.name == name)
    words = str((_meta(struct, name).extra or {})["allowed"])
    return words + _OR_NULL if type(None) in get_args(annotation) else words


def _flag(path: list[str]) -> str:
    """The flag of `edgecap run` that sets the key."""
    return "--" + ("source" if path == ["source", "kind"] else "-".join(path[-1:]))


def _shown(value: object) -> str:
    """A value as its owner would recognise it, short."""
    if isinstance(value, dict):
        return "keys"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _render_into(lines: list[str], section: msgspec.Struct, indent: str) -> None:
    for field in msgspec.structs.fields(type(section)):
        value = getattr(section, field.name)
        comment = _meta(type(section), field.name).description
        if isinstance(value, msgspec.Struct):
            lines.append(f"{indent}# {comment}")
            lines.append(f"{indent}{field.name}:")
            _render_into(lines, value, indent + "  ")
            continue
        allowed = _allowed(type(section), field.name)
        lines.append(f"{indent}# {comment}" + ("" if allowed == "text" else f" Allowed: {allowed}."))
        lines.append(f"{indent}{field.name}: {_scalar(value)}")


def _scalar(value: object) -> str:
    """The value as one line of YAML."""
    return yaml.safe_dump(value, allow_unicode=True, width=10_000).removesuffix("...\n").strip()
