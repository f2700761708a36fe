"""The schema: every key of the configuration, and how a wrong one is refused.

A key is declared once, with type, range, default and words: here, or in the struct of its section, which
stands beside the room that it configures. Refusing, printing and the flags of `edgecap run` follow it.
"""

import difflib
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import msgspec
from msgspec import Meta

from ..errors import ConfigError
from ..options import Captions, key
from ..sound.source import Source
from ..telling.endpoint import is_local
from ..telling.keys import Keys

_OR_NULL = ", or null for the bundle's own"
_ENDPOINT = "tcp://ADDRESS:PORT or ipc://PATH"


_ROOM_NAME = key(
    "The room's name, in every topic and message.",
    "1 to 64 characters without spaces, dots or slashes",
    pattern=r"^[^\s./\x00-\x1f]{1,64}$",
)


class RoomConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several rooms: its name, what it hears, and when something is said of it."""

    room: Annotated[str, _ROOM_NAME]
    source: Annotated[Source, key("Where its sound comes from.", "keys: kind, name, rate, channels")] = (
        Source()
    )
    captions: Annotated[
        Captions, key("When something is said.", "keys: confidence, hedge, interval, level")
    ] = Captions()


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `edgecap run` does."""

    room: Annotated[str, _ROOM_NAME] = "room"
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
    insecure: Annotated[
        bool,
        key("Allow other machines without keys; whoever reaches it reads what is heard.", "true or false"),
    ] = False
    rooms: Annotated[
        tuple[RoomConfig, ...],
        key(
            "Several rooms at once, instead of room and source.",
            "a list of rooms, each with room, source, captions",
        ),
    ] = ()

    def all_rooms(self) -> tuple[RoomConfig, ...]:
        """Every room with its source: those of `rooms`, else the one of `room` and `source`.

        One without thresholds of its own takes `captions`.
        """
        own = Captions()
        return tuple(
            each if each.captions != own else msgspec.structs.replace(each, captions=self.captions)
            for each in self.rooms or (RoomConfig(room=self.room, source=self.source),)
        )


def convert(keys: Mapping[str, Any], where: str, noun: str = "key") -> Config:
    """Keys as they were read -> a Config. where, noun: for the words of a refusal, as in "key" of a file.

    Raises ConfigError with the key's path, what was found and what is allowed.
    """
    rooms = keys.get("rooms") or ()
    if not isinstance(rooms, list | tuple):
        raise ConfigError(
            f"{where}: rooms is {shown(rooms)}",
            why="allowed is a list of rooms, each with room, source, captions",
            fix="`edgecap config` shows an example",
        )
    converted = tuple(
        _convert(RoomConfig, room, where, noun, f"rooms[{at}]") for at, room in enumerate(rooms)
    )
    single = {name: value for name, value in keys.items() if name != "rooms"}
    return msgspec.structs.replace(_convert(Config, single, where, noun), rooms=converted)


T = TypeVar("T", bound=msgspec.Struct)


def _convert(struct: type[T], keys: Any, where: str, noun: str, prefix: str = "") -> T:
    try:
        return msgspec.convert(keys, struct)
    except msgspec.ValidationError as refused:
        raise _explain(str(refused), struct, keys, where, noun, prefix) from refused


def _explain(
    message: str, struct: type[msgspec.Struct], keys: Any, where: str, noun: str, prefix: str
) -> ConfigError:
    """msgspec says what and where; add what was found, what is allowed, and the likely typo."""
    path = [part for part in (re.findall(r"`\$\.?([\w.]*)`", message) or [""])[-1].split(".") if part]
    found: Any = keys
    allowed = ""
    for part in path:
        found = found[part]
        allowed = allowed_words(struct, part)
        struct = sections(struct).get(part, struct)
    unknown = re.search(r"unknown field `(.*?)`", message)
    if unknown or "at `key`" in message:
        name = unknown.group(1) if unknown else str(next(key for key in found if not isinstance(key, str)))
        known = struct.__struct_fields__
        near = difflib.get_close_matches(name, known, n=1)
        dotted = ".".join([*filter(None, [prefix]), *path, name])
        return ConfigError(
            f"{where}: unknown key {dotted}",
            why=f"known here are {', '.join(known)}",
            fix=f"write {near[0]}, if that was meant" if near else f"remove {dotted}",
        )
    missing = re.search(r"missing required field `(.*?)`", message)
    if missing or not path:
        what = f"{prefix}.{missing.group(1)} is missing" if missing else f"{prefix} is {shown(keys)}"
        raise_words = (
            "give every room a name: room: kitchen" if missing else "write keys: room, source, captions"
        )
        return ConfigError(f"{where}: {what}", fix=raise_words)
    dotted = ".".join([*filter(None, [prefix]), *path])
    fix = "`edgecap config` explains every key"
    if path[-1] == "room" and isinstance(found, int | float):  # YAML reads 12, and true, as no text
        fix = f'write it in quotes: room: "{str(found).lower()}"'
    if noun == "flag":
        dotted, allowed = _flag(path), allowed.removesuffix(_OR_NULL)
    return ConfigError(
        f"{where}: {dotted} is {shown(found)}",
        why=f"allowed is {allowed}",
        fix=fix,
    )


def refuse_unsafe(config: Config, where: str) -> None:
    """What fits each key by itself, and yet can't be meant. Raises ConfigError."""
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
    for at, each in enumerate(config.all_rooms()):
        said = each.captions
        if said.hedge is not None and said.confidence is not None and said.hedge > said.confidence:
            section = f"rooms[{at}].captions" if config.rooms else "captions"
            raise ConfigError(
                f"{where}: {section}.hedge {said.hedge:g} is above confidence {said.confidence:g}",
                why="what is hedged is less sure than what is said plainly",
                fix=f"lower {section}.hedge or raise {section}.confidence",
            )
    names = [each.room for each in config.all_rooms()]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{where}: rooms has {names.count(name)} rooms of the name {name}",
                why="readers tell rooms apart by their names",
                fix="give each a name of its own",
            )
    if sum(each.source.kind == "stdin" for each in config.all_rooms()) > 1:
        raise ConfigError(
            f"{where}: two of the rooms have source.kind stdin",
            why="there is but one standard input",
            fix="give one of them a microphone or a file",
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


def sections(struct: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    return {
        field.name: type(field.default)
        for field in msgspec.structs.fields(struct)
        if isinstance(field.default, msgspec.Struct)
    }


def meta(struct: type[msgspec.Struct], name: str) -> Meta:
    annotation = next(field.type for field in msgspec.structs.fields(struct) if field.name == name)
    if not hasattr(annotation, "__metadata__"):  # a union with None: the explanation is on the other half
        annotation = get_args(annotation)[0]
    return cast(Meta, annotation.__metadata__[0])


def allowed_words(struct: type[msgspec.Struct], name: str) -> str:
    annotation = next(field.type for field in msgspec.structs.fields(struct) if field.name == name)
    words = str((meta(struct, name).extra or {})["allowed"])
    return words + _OR_NULL if type(None) in get_args(annotation) else words


def _flag(path: list[str]) -> str:
    """The flag of `edgecap run` that sets the key."""
    return "--" + ("source" if path == ["source", "kind"] else "-".join(path[-1:]))


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
