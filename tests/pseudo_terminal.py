"""A command on a terminal of its own, as wide as a test wants."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def terminal(columns: int) -> Iterator[tuple[int, int]]:
    """(our end, the command's end) of a terminal so wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        for end in (ours, theirs):
            with suppress(OSError):  # the test has closed it
                os.close(end)


def shown_on(columns: int, *arguments: str | Path, env: dict[str, str]) -> tuple[int, str]:
    """The exit code of `edgecap`, and all that it wrote to a terminal so wide."""
    env = {name: value for name, value in env.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    with terminal(columns) as (ours, theirs):
        process = subprocess.Popen(
            [sys.executable, "-m", "edgecap", *arguments],
            stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env,
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # EIO: nobody writes to it any more
            while part := os.read(ours, 65_536):
                shown += part
        return process.wait(), shown.decode().replace("\r\n", "\n")


def take_for_control(terminal: int) -> None:
    """In the child: the terminal's end is what tells it to hang up."""
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
