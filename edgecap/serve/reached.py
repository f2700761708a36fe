"""Reached: where the page is, as the face writes it down for `edgecap access`."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from . import net

FILE = "reached.json"
PORT = 7380


class Reached(msgspec.Struct):
    """own: on this machine. base: from others; None where they can't come. process: 0 where none was yet."""

    own: str = f"http://127.0.0.1:{PORT}/"
    base: str | None = None
    process: int = 0

    @property
    def is_running(self) -> bool:
        if not self.process:
            return False
        try:
            os.kill(self.process, 0)
        except OSError as gone:
            return gone.errno == errno.EPERM
        return True

    @classmethod
    def read(cls, folder: Path) -> "Reached":
        """What was written last; where a face will be, where none was."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            here = net.addresses()
            return cls(base=f"http://{here[0]}:{PORT}/" if here else None)

    def write(self, folder: Path) -> None:
        """Where that is possible."""
        with suppress(OSError):
            (folder / FILE).write_bytes(msgspec.json.encode(self))
