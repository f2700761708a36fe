"""Names: what a room is called where several ears may have one of the same name.

The ear that had the name first keeps it; the others' rooms are ROOM@EAR. Who was first is remembered: else a
room would be called otherwise after each start, and its history be two. An ear that is no longer connected to
gives its names back.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .ear import Address

FILE = "rooms.json"

log = logging.getLogger(__name__)


class Names:
    """folder: where it is remembered; where that can't be, it is known until the end of the process."""

    def __init__(self, folder: Path, ears: Sequence[Address]) -> None:
        self._path = folder / FILE
        self._first: dict[str, str] = {}  # room -> where its ear publishes, which outlasts the ear's name
        try:
            held = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
            connected = {each.publish for each in ears}
            self._first = {room: publish for room, publish in held.items() if publish in connected}
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, msgspec.DecodeError) as unreadable:
            log.warning("%s is begun anew: %s", self._path, unreadable)

    def name(self, ear: Address, room: str) -> str:
        """What people see. Of one ear alone, the room's own name."""
        if room not in self._first:
            self._first[room] = ear.publish
            self._write()
        return room if self._first[room] == ear.publish else f"{room}@{ear.name}"

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        try:
            part.write_bytes(msgspec.json.encode(self._first))
            part.replace(self._path)
        except OSError as refused:
            log.warning("%s can't be written: %s", self._path, refused.strerror)
