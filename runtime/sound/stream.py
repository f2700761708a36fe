"""Stream: the bytes of a file or a pipe, read forward only, with what comes next in view."""

import errno
import io
import os
import select
import stat
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ..errors import DataError, EdgecapError, InputMissingError

STANDARD_INPUT = "Standard input"
ITS_PATHS = ("-", "/dev/stdin")
PIPE_SOMETHING = "pipe sound in, for example: arecord -f S16_LE -r 32000 -c 1 | edgecap run --source stdin"
READ_BYTES = 1 << 16
"""What is asked for at a time. A pipe gives what it has, so nothing waits for so much."""


class Pipe(Protocol):
    """What bytes can be read from: a file, a pipe, buffered or not. None: nothing yet, from a pipe that
    does not wait."""

    def read(self, size: int, /) -> bytes | None: ...


class Stream:
    """Reads a file or a pipe from its beginning, and looks ahead of what it has read.

    name: as it stands in sentences, which it may begin. length: bytes, None where nobody knows (a pipe).
    origin: where in a file it begins. path: by which libsndfile may open the same file once more.
    """

    def __init__(self, source: Pipe, name: str, length: int | None = None, origin: int = 0) -> None:
        self.name = name
        self.length = length
        self.path: Path | None = None
        self.position = 0
        self._source = source
        self._origin = origin
        self._view = bytearray()
        self._has_ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if isinstance(self._source, io.IOBase):
            self._source.close()

    @property
    def is_pipe(self) -> bool:
        return self.length is None

    @property
    def left(self) -> float:
        """Bytes that can still come, as far as anybody knows."""
        return float("inf") if self.length is None else max(0, self.length - self.position)

    @property
    def share(self) -> float:
        """How much of it has been read, from 0 to 1; 0 where nobody knows."""
        return min(1.0, self.position / self.length) if self.length else 0.0

    @property
    def ready(self) -> int:
        """Bytes that can be had without waiting."""
        return len(self._view)

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end only; they stay. Waits until they are there.

        Raises DataError where it can't be read.
        """
        while len(self._view) < size and self._take_in():
            pass
        return bytes(self._view[:size])

    def read(self, size: int) -> bytes:
        """As `peek`, and past them."""
        data = self.peek(size)
        self._pass(len(data))
        return data

    def read_some(self, size: int) -> bytes:
        """At least one and at most `size` bytes: those that are there. None at the end only."""
        data = self.peek(1) and bytes(self._view[:size])
        self._pass(len(data))
        return data

    def skip(self, size: int) -> None:
        while size > 0 and (data := self.read_some(size)):
            size -= len(data)

    def skip_all(self) -> None:
        """To the end, without reading it where nothing has to be read."""
        if self.length is None:
            self.skip(sys.maxsize)
        else:
            self.seek(self.length)

    def seek(self, position: int) -> None:
        """Goes to another place of a file; a pipe can't."""
        assert isinstance(self._source, io.IOBase)
        self._source.seek(self._origin + position)
        self.position, self._has_ended = position, False
        self._view.clear()

    def _pass(self, size: int) -> None:
        del self._view[:size]
        self.position += size

    def _take_in(self) -> bool:
        if self._has_ended:
            return False
        try:
            data = self._source.read(READ_BYTES)
            while data is None:
                assert isinstance(self._source, io.RawIOBase)
                select.select([self._source], [], [])
                data = self._source.read(READ_BYTES)
        except OSError as refused:
            raise DataError(f"{self.name} can't be read", why=refused.strerror or str(refused)) from refused
        self._view += data
        self._has_ended = not data
        return bool(data)


def open_stream(name: Path | str) -> Stream:
    """A file, a pipe by its path, or `-`: standard input. Raises InputMissingError or DataError."""
    if str(name) in ITS_PATHS:
        return standard_input()
    try:
        # Unbuffered: a thread waiting inside a buffered reader makes Python abort when it ends.
        file = io.FileIO(name)
    except OSError as refused:
        raise _refusal(name, refused) from refused
    stream = _stream(file, str(name))
    stream.path = Path(name)
    return stream


def is_pipe(name: Path | str) -> bool:
    """Whether what has this name brings sound as it comes. False for what isn't there."""
    try:
        kind = os.fstat(sys.stdin.fileno()) if str(name) in ITS_PATHS else Path(name).stat()
    except (OSError, ValueError, AttributeError):  # no such file; standard input is closed
        return False
    return not (stat.S_ISREG(kind.st_mode) or stat.S_ISDIR(kind.st_mode))


def standard_input() -> Stream:
    """This process's standard input. Raises DataError where no sound can come from there."""
    if sys.stdin is None:
        raise DataError("Standard input is closed", why="there is nothing to read", fix=PIPE_SOMETHING)
    if sys.stdin.isatty():
        raise DataError("Standard input is a terminal", why="it brings keys, not sound", fix=PIPE_SOMETHING)
    return _stream(io.FileIO(sys.stdin.fileno(), closefd=False), STANDARD_INPUT)


def _stream(file: io.FileIO, name: str) -> Stream:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return Stream(file, name)
    return Stream(file, name, max(0, status.st_size - file.tell()), file.tell())


def _refusal(name: Path | str, refused: OSError) -> EdgecapError:
    if refused.errno == errno.ENOENT:
        return InputMissingError(f"{name} does not exist", fix="check the path")
    if refused.errno == errno.EISDIR:
        return DataError(
            f"{name} is a folder", fix="name the recordings in it, one by one or as FOLDER/*.wav"
        )
    return DataError(f"{name} can't be read", why=refused.strerror or str(refused))
