"""Told: an event as browsers get it, and the id by which they come back for what they missed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from edgecap.runtime.telling import wire

from ..order import Position

LARGEST = 1 << 53
"""No run or seq is greater."""

Positions = dict[str, Position]
"""Room -> the newest caption that somebody has of it."""


class Told(NamedTuple):
    """An event for browsers. room: empty where it is none's. position: of a caption."""

    event: str
    room: str
    data: bytes
    position: Position | None
    frame: bytes


def frame(event: str, data: bytes, named: str = "") -> bytes:
    """An event as a browser reads it."""
    line = f"id: {named}\n" if named else ""
    return f"event: {event}\n{line}data: ".encode() + data + b"\n\n"


def told(event: str, data: Any, room: str = "") -> Told:
    encoded = msgspec.json.encode(data)
    return Told(event, room, encoded, None, frame(event, encoded))


def written(positions: Mapping[str, Position], newest: str = "") -> str:
    """ROOM/RUN/SEQ of each room, by commas, the newest last; - where there is no room."""
    ordered = [room for room in positions if room != newest] + ([newest] if newest else [])
    return ",".join(_position(room, *positions[room]) for room in ordered) or "-"


def _position(room: str, run: int, seq: int) -> str:
    return f"{quote(room, safe='@:')}/{run}/{seq}"


def read(text: str) -> Positions:
    """What `written` wrote. Raises ValueError for anything else."""
    positions: Positions = {}
    for each in text.split(","):
        if each.strip() in ("", "-"):
            continue
        room, run, seq = each.strip().rsplit("/", 2)
        position = int(run), int(seq)
        if not all(0 <= number < LARGEST for number in position):
            raise ValueError(f"{each} is no place in a room")
        positions[unquote(room)] = position
    return positions


def now() -> str:
    return wire.timestamp(datetime.now(UTC))
