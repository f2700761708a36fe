"""Config: what `edgecap run` does; the sections of all the rooms of this house, joined.

A key is named in its section and nowhere else. check.py makes a Config of what was written, file.py reads and
prints it, and the flags of the command line (edgecap/commands/options.py) are made of the same declarations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from ..options import Captions, Declared, Key, declared
from ..sound.source import Source
from ..telling.key_files import Keys

ENDPOINT = "tcp://ADDRESS:PORT or ipc://PATH"

RoomName = Annotated[
    str,
    Key(
        "The room's name, in every topic and message.",
        "NAME",
        "1 to 64 characters that can be seen, without spaces, dots or slashes",
        pattern=r"[^\s./]{1,64}",
    ),
]
Listening = Annotated[Source, Key("Where sound comes from.")]


@dataclass(frozen=True)
class RoomConfig:
    """One room: its name, where its sound comes from, and when something is said of it."""

    room: RoomName
    source: Listening = Source()
    captions: Annotated[
        Captions, Key("When something is said here, where it differs from the captions of all rooms.")
    ] = Captions()


@dataclass(frozen=True)
class Config:
    """What `edgecap run` does."""

    room: RoomName = "room"
    source: Listening = Source()
    bundle: Annotated[
        str, Key("The model: a bundle's folder, its .zip, or the name of one that ships here.", "BUNDLE")
    ] = "room-small"
    provider: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt", "openvino"],
        Key(
            "What computes: ONNX Runtime's provider; auto is the bundle's engines where they run, else cpu.",
            "NAME",
        ),
    ] = "auto"
    publish: Annotated[str, Key("Captions and status go out here (ZeroMQ PUB).", "ENDPOINT", ENDPOINT)] = (
        "tcp://127.0.0.1:7310"
    )
    replay: Annotated[
        str, Key("Missed captions are asked for here (ZeroMQ ROUTER).", "ENDPOINT", ENDPOINT)
    ] = "tcp://127.0.0.1:7311"
    captions: Annotated[Captions, Key("When something is said.")] = Captions()
    keys: Annotated[Keys, Key("For readers beyond this machine.")] = Keys()
    insecure: Annotated[
        bool,
        Key(
            "Allow other machines without keys; whoever reaches it reads what is heard.",
            flag="--insecure/--secure",
        ),
    ] = False
    rooms: Annotated[tuple[RoomConfig, ...], Key("Instead of room and source, where there are several.")] = ()

    def all_rooms(self) -> tuple[RoomConfig, ...]:
        """Every room, at least one; each with its own captions in full."""
        return self.rooms or (RoomConfig(self.room, self.source, self.captions),)


class Flag(NamedTuple):
    """A key that people type: every one outside a list."""

    path: str
    """Dotted: captions.level."""
    spelling: str
    """--level, or --insecure/--secure."""
    declared: Declared


def flags() -> tuple[Flag, ...]:
    """In the order of the configuration."""
    return tuple(_flags(Config, ""))


def _flags(section: type, path: str) -> Iterator[Flag]:
    for key in declared(section):
        inner = f"{path}{key.name}"
        if key.is_list:
            continue
        if key.section:
            yield from _flags(key.section, f"{inner}.")
        else:
            yield Flag(inner, key.key.flag or f"--{key.name}", key)
