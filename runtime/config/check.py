"""A Config of what was written in a file or on the command line; what is wrong is refused with its place.

Every refusal has the key's path (`rooms[1].source.kind`), what was found there, and what is allowed.
"""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec

from ..errors import ConfigError
from ..names import visible
from ..options import Captions, Declared, declared
from ..telling.endpoint import is_local
from .schema import ENDPOINT, Config

Section = TypeVar("Section")
EXPLAINED = "`edgecap config` explains every key"


def convert(written: Mapping[str, Any], where: str, flags: Mapping[str, str] | None = None) -> Config:
    """The configuration that was written, as YAML reads it; what is not in it has its default.

    where: the file, or "command line", for the refusals. flags: key's path -> the flag that sets it, where
    the user wrote flags. Raises ConfigError.
    """
    both = [name for name in ("room", "source") if written.get(name) is not None]
    if written.get("rooms") and both:
        raise ConfigError(
            f"{where}: rooms stands beside {' and '.join(both)}",
            why="with rooms, each room brings its own name and source",
            fix=f"remove {' and '.join(both)}, or rooms",
        )
    written = {**written, "rooms": _inherited(written)} if "rooms" in written else written
    config = _Reader(where, flags or {}).section(Config, written, "")
    _refuse_alike(config, where)
    return config


def refuse_unsafe(config: Config, where: str) -> None:
    """What is right key by key and wrong together: addresses that others reach, half a pair of keys."""
    for name in ("publish", "replay"):
        _check_endpoint(config, name, where)
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
    for path, captions in _all_captions(config):
        if captions.hedge is None or captions.confidence is None or captions.hedge <= captions.confidence:
            continue
        raise ConfigError(
            f"{where}: {path}.hedge {captions.hedge:g} is above confidence {captions.confidence:g}",
            why="what is hedged is less sure than what is said plainly",
            fix=f"lower {path}.hedge or raise {path}.confidence",
        )


class _Reader:
    """Sections out of mappings, with the path kept for refusals."""

    def __init__(self, where: str, flags: Mapping[str, str]) -> None:
        self._where, self._flags = where, flags

    def section(self, kind: type[Section], written: Mapping[Any, Any], path: str) -> Section:
        keys = {key.name: key for key in declared(cast(type, kind))}
        for name in written:
            if name not in keys:
                raise self._unknown(str(name), list(keys), path)
        values: dict[str, Any] = {}
        for name, key in keys.items():
            inner = f"{path}.{name}" if path else name
            # A section or list whose every line is commented out reads as null; it stands for the default.
            if name in written and not (key.section and written[name] is None):
                values[name] = self._value(key, written[name], inner)
            elif key.default is dataclasses.MISSING:
                raise ConfigError(
                    f"{self._where}: {inner} is missing",
                    why=f"allowed is {key.allowed}",
                    fix=f"add {name}: {key.key.metavar}",
                )
        return kind(**values)

    def _value(self, key: Declared, found: Any, path: str) -> Any:
        if key.is_list:
            if not isinstance(found, list):
                raise self._refusal(key, found, path)
            return tuple(self._section_of(key, item, f"{path}[{i}]") for i, item in enumerate(found))
        return self._section_of(key, found, path) if key.section else self._leaf(key, found, path)

    def _section_of(self, key: Declared, found: Any, path: str) -> Any:
        if key.section is None or not isinstance(found, dict):
            raise self._refusal(key, found, path)
        return self.section(key.section, found, path)

    def _leaf(self, key: Declared, found: Any, path: str) -> Any:
        if found is None and key.may_be_null:
            return None
        if isinstance(found, dict) and found:
            raise ConfigError(
                f"{self._where}: unknown key {path}.{next(iter(found))}",
                why=f"{path} holds no keys; allowed is {key.allowed}",
                fix=EXPLAINED,
            )
        if key.key.number_is_text and type(found) is int:
            return str(found)
        try:
            value = msgspec.convert(found, key.kind)
        except msgspec.ValidationError as wrong:
            raise self._refusal(key, found, path) from wrong
        least, most, pattern = key.key.least, key.key.most, key.key.pattern
        if least is not None and most is not None and not least <= value <= most:  # NaN is nowhere
            raise self._refusal(key, found, path)
        if pattern and not (re.fullmatch(pattern, value) and visible(value) == value):
            raise self._refusal(key, found, path)
        return value

    def _refusal(self, key: Declared, found: Any, path: str) -> ConfigError:
        flag, allowed = self._flags.get(path), key.allowed
        if key.is_list and path.endswith("]"):
            allowed = allowed.removeprefix("a list, each item with ")
        if key.may_be_null and not flag:
            allowed += ", or null for the bundle's own"
        fix = EXPLAINED
        if key.kind is str and not isinstance(found, str | list | dict | None):
            # YAML reads 12, true and 2026-01-31 as no text.
            fix = f'write it in quotes: {key.name}: "{str(found).lower()}"'
        return ConfigError(
            f"{self._where}: {flag or path} is {shown(found)}", why=f"allowed is {allowed}", fix=fix
        )

    def _unknown(self, name: str, known: list[str], path: str) -> ConfigError:
        dotted = f"{path}.{name}" if path else name
        near = difflib.get_close_matches(name, known, n=1)
        return ConfigError(
            f"{self._where}: unknown key {dotted}",
            why=f"known here are {', '.join(known)}",
            fix=f"write {near[0]}, if that was meant" if near else f"remove {dotted}",
        )


def shown(value: object) -> str:
    """A value as its owner would recognise it, short."""
    if isinstance(value, dict):
        return "keys"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _inherited(written: Mapping[str, Any]) -> Any:
    """The rooms as written, with the captions of all rooms where a room says nothing else."""
    rooms, shared = written["rooms"], written.get("captions") or {}
    if not isinstance(rooms, list) or not isinstance(shared, dict):
        return rooms  # refused where it stands
    return [
        {**room, "captions": {**shared, **(room.get("captions") or {})}}
        if isinstance(room, dict) and isinstance(room.get("captions") or {}, dict)
        else room
        for room in rooms
    ]


def _refuse_alike(config: Config, where: str) -> None:
    """Two rooms that would be one."""
    for i, room in enumerate(config.rooms):
        for j, other in enumerate(config.rooms[:i]):
            if other.room == room.room:
                raise ConfigError(
                    f"{where}: rooms[{j}].room and rooms[{i}].room are both {room.room}",
                    why="captions are told apart by their room's name",
                    fix="give each room a name of its own",
                )
            if other.source.kind == room.source.kind == "stdin":
                raise ConfigError(
                    f"{where}: rooms[{j}].source.kind and rooms[{i}].source.kind are both stdin",
                    why="there is one standard input",
                    fix="give one of them another source",
                )


def _all_captions(config: Config) -> Iterator[tuple[str, Captions]]:
    yield "captions", config.captions
    for i, room in enumerate(config.rooms):
        yield f"rooms[{i}].captions", room.captions


def _check_endpoint(config: Config, name: str, where: str) -> None:
    endpoint = str(getattr(config, name))
    problem = _endpoint_problem(endpoint)
    if problem:
        raise ConfigError(
            f"{where}: {name} is {endpoint!r}",
            why=f"{problem}; allowed is {ENDPOINT}",
            fix="take for example tcp://127.0.0.1:7310",
        )
    if not (config.insecure or config.keys.secret or is_local(endpoint)):
        raise ConfigError(
            f"{where}: {name} is {endpoint}, which other machines can reach",
            why="whoever reaches it can read what is heard in this room",
            fix="use tcp://127.0.0.1:PORT or ipc://PATH, give keys, or say insecure: true (--insecure)",
        )


def _endpoint_problem(endpoint: str) -> str:
    """Why ZeroMQ could not bind there; empty if it could."""
    scheme, _, address = endpoint.partition("://")
    if visible(endpoint) != endpoint:
        return "it holds what can't be seen"
    if scheme == "ipc":
        if not address:
            return "the path is missing"
        return "the path is longer than 107 bytes" if len(address.encode()) > 107 else ""
    if scheme != "tcp":
        return "the scheme is neither tcp:// nor ipc://"
    host, _, port = address.rpartition(":")
    if not host:
        return "the port is missing"
    if port != "*" and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        return "the port is no number from 1 to 65535 (or * for any free one)"
    return ""
