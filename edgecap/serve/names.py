"""Names: what a room is called where several ears may have one of the same name.

The ear that had the name first keeps it; the others' rooms are ROOM@EAR. Who was first is remembered: else a
room would be called otherwise after each start, and its history be two. An ear that is no longer connected to
gives its names back.
"""

import logging
from collections.abc import Collection
from pathlib import Path

import msgspec

FILE = "rooms.json"

log = logging.getLogger(__name__)


class Names:
    """folder: where it is remembered; where that can't be, it is known until the end of the process."""

    def __init__(self, folder: Path, ears: Collection[str]) -> None:
        self._path = folder / FILE
        self._several = len(ears) > 1
        self._first: dict[str, str] = {}  # room -> ear
        try:
            held = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
            self._first = {room: ear for room, ear in held.items() if ear in ears}
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, msgspec.DecodeError) as unreadable:
            log.warning("%s is begun anew: %s", self._path, unreadable)

    def name(self, ear: str, room: str) -> str:
        """What people see. Of one ear alone, the room's own name."""
        if room not in self._first:
            self._first[room] = ear
            if self._several:
                self._write()
        return room if self._first[room] == ear else f"{room}@{ear}"

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        try:
            part.write_bytes(msgspec.json.encode(self._first))
            part.replace(self._path)
        except OSError as refused:
            log.warning("%s can't be written: %s", self._path, refused.strerror)
