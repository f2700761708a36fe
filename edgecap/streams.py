"""Standard output and error as every command has them, whatever stands behind them.

What goes wrong with standard output is raised once, as one error that says so, and what is written after that
goes nowhere: whoever shows things stops, and the rest goes on. Standard error is for whoever reads it: it
never fails.
"""

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, BinaryIO, cast

from edgecap.runtime.errors import OutputError


class ReaderGone(OutputError):
    """The reader of standard output has enough, as `head` after ten lines. Nothing to complain of."""

    code = 0


class _Whole(io.FileIO):
    """Writes all that it is given; where another program has set the descriptor not to block, it waits."""

    def write(self, data: Any, /) -> int:
        rest = memoryview(data)
        while rest:
            if (written := super().write(rest)) is None:
                select.select([], [self], [])
            rest = rest[written or 0 :]
        return len(data)


class _Output(_Whole):
    _is_broken = False

    def write(self, data: Any, /) -> int:
        if self._is_broken:
            return len(data)
        try:
            return super().write(data)
        except BrokenPipeError:
            self._is_broken = True
            raise ReaderGone("Standard output can't be written", why="its reader has gone") from None
        except OSError as refused:
            self._is_broken = True
            raise OutputError(
                "Standard output can't be written",
                why="it is closed" if refused.errno == errno.EBADF else refused.strerror or str(refused),
                fix="make room there, or send it elsewhere",
            ) from refused


class _Error(_Whole):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def open_standard() -> None:
    """Put them into the place of Python's own. Where an encoding lacks a character, another stands for it."""
    _occupy()
    sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout, "replace")
    sys.stderr = _text(_Error(2, "w", closefd=False), sys.stderr, "backslashreplace")


def as_file() -> None:
    """What is printed from here on is a file's content: UTF-8, whatever the encoding of this place."""
    if isinstance(sys.stdout, io.TextIOWrapper) and codecs.lookup(sys.stdout.encoding).name != "utf-8":
        sys.stdout.reconfigure(encoding="utf-8")


def json_text(line: str | bytes) -> str:
    """The same JSON, with escapes for what a terminal would obey or not show."""
    import json

    text = line.decode() if isinstance(line, bytes) else line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def print_json(line: str | bytes) -> None:
    """One line of JSON, at once."""
    as_file()
    print(json_text(line), flush=True)


def _occupy() -> None:
    """A descriptor that came closed is given to whatever opens next, which would then be written into.

    The first two get one that can't be used for what they are, so that use says so; the third a silent one.
    """
    for descriptor, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # the lowest that is free: this one


def _text(raw: io.RawIOBase, before: Any, errors: str) -> io.TextIOWrapper:
    """With the encoding and buffering of Python's own; there is none where the descriptor came closed."""
    is_eager = bool(getattr(before, "write_through", False))  # python -u
    return io.TextIOWrapper(
        cast(BinaryIO, raw) if is_eager else io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", "utf-8"),
        errors=errors,
        line_buffering=bool(getattr(before, "line_buffering", False)),
        write_through=is_eager,
    )
