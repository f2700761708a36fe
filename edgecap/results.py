"""Where the captions of recordings go: printed as they come, or into files, each whole when it is done."""

import errno
import os
import secrets
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edgecap.runtime.errors import InputMissingError, OutputError, UsageError
from edgecap.runtime.paths import status, unwritten

STANDARD_OUTPUT = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}


class Results(Protocol):
    """Takes what is said of one recording after the other. Each method raises OutputError."""

    def begin(self) -> None:
        """The next recording. Raises where its captions could not be kept, though those of others may be."""
        ...

    def put(self, text: str) -> None:
        """More of the recording at hand."""
        ...

    def done(self) -> None:
        """That was all of it, and is kept; of a recording that ends without, only what is printed is."""
        ...


class Printed:
    """To standard output, at once. head: what stands above all."""

    def __init__(self, head: str = "") -> None:
        self._head = head

    def begin(self) -> None:
        pass

    def put(self, text: str) -> None:
        sys.stdout.write(self._head + text)
        sys.stdout.flush()
        self._head = ""

    def done(self) -> None:
        pass


class Written:
    """Into the file of each recording, in their order; in a file that is several's they follow each other."""

    def __init__(self, targets: Sequence[Path], head: str = "") -> None:
        self._targets = iter(targets)
        self._begun: set[Path] = set()
        self._kept: dict[tuple[int, int], Path] = {}  # what was begun, by what it is on the disk
        self._head = head
        self._texts: list[str] = []
        self._target = Path()

    def begin(self) -> None:
        self._texts.clear()
        self._target = next(self._targets)
        found = _status(self._target)
        if found and stat.S_ISDIR(found.st_mode):
            raise OutputError(
                f"{self._target} can't be written", why="it is a folder", fix="take another place"
            )
        kept = found and self._kept.get((found.st_dev, found.st_ino))
        if kept and kept != self._target:  # where rec.srt and REC.srt are one, or by a link made meanwhile
            raise OutputError(
                f"{self._target} can't be written",
                why=f"it is {kept}, which holds the captions of another recording",
                fix="caption them into different folders, or rename one",
            )

    def put(self, text: str) -> None:
        self._texts.append(text)

    def done(self) -> None:
        text = "".join(self._texts)
        if self._target in self._begun:
            append_whole(self._target, text)
            return
        write_whole(self._target, self._head + text)
        self._begun.add(self._target)
        if found := _status(self._target):
            self._kept[found.st_dev, found.st_ino] = self._target


def plan(recordings: Sequence[Path], output: Path, suffix: str) -> list[Path]:
    """The file for each recording: `output`, or, where that is a folder, one of its name in it.

    Raises UsageError where one would take another's place or a recording's, or where there is no such folder,
    OutputError where none can be written there.
    """
    if is_folder(output):
        _check_folder(output)
        targets = [output / (recording.stem + suffix) for recording in recordings]
        _refuse_alike(recordings, targets)
    else:
        found = _status(output)
        if not found or stat.S_ISREG(found.st_mode):  # a device or pipe is written as it is
            _check_folder(_real(output).parent)
        targets = [output] * len(recordings)
    _refuse_recordings(recordings, targets)
    return targets


def is_folder(path: Path) -> bool:
    """Whether it is one, or a link to one. Raises OutputError where that can't be told."""
    found = _status(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def write_whole(path: Path, text: str) -> None:
    """All of the text or nothing: a failure leaves what was there, and a reader never sees a half.

    What a link leads to is replaced, not the link; owner and mode of what was there stay. Raises OutputError.
    """
    data = text.encode()
    found = _status(path)
    try:
        if found and not stat.S_ISREG(found.st_mode):  # a device, a named pipe
            with path.open("wb") as stream:
                stream.write(data)
            return
        target = _real(path)
        # A short name of its own: the target's may be as long as may be.
        part = target.with_name(f".edgecap-{secrets.token_hex(6)}")
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the new name without its content
                if found:
                    with suppress(OSError):  # another's file, in a folder that is ours
                        os.fchown(file.fileno(), found.st_uid, found.st_gid)
                    os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as refused:
        raise unwritten(path, refused) from refused


def append_whole(path: Path, text: str) -> None:
    """All of the text behind what is there, or nothing. Raises OutputError."""
    try:
        with path.open("ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END) if file.seekable() else None
            try:
                rest = memoryview(text.encode())
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                if end is not None:
                    file.truncate(end)
                raise
    except OSError as refused:
        raise unwritten(path, refused) from refused


def _status(path: Path) -> os.stat_result | None:
    try:
        return status(path)
    except InputMissingError as closed:
        raise OutputError(f"{path} can't be written", why=closed.why, fix=closed.fix) from closed


def _real(path: Path) -> Path:
    """Where links lead in the end."""
    try:
        return Path(os.path.realpath(path))
    except OSError as refused:  # the folder that we stand in has gone
        raise unwritten(path, refused) from refused


def _check_folder(folder: Path) -> None:
    if not is_folder(folder):
        raise UsageError(f"-o: the folder {folder} does not exist", fix="make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise unwritten(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _refuse_alike(recordings: Sequence[Path], targets: Sequence[Path]) -> None:
    """Two that would be one file: of one name, or by links."""
    taken: dict[object, Path] = {}
    for recording, target in zip(recordings, targets, strict=True):
        found = None
        with suppress(OSError):  # said when its turn comes
            found = target.stat()
        for key in {_real(target), *([(found.st_dev, found.st_ino)] if found else [])}:
            if key in taken:
                raise UsageError(
                    f"{taken[key]} and {recording} would both be written to {target}",
                    fix="caption them into different folders, or rename one",
                )
            taken[key] = recording


def _refuse_recordings(recordings: Sequence[Path], targets: Sequence[Path]) -> None:
    """A target that is one of the recordings: it would be gone."""
    theirs: dict[tuple[int, int], Path] = {}
    for recording in recordings:
        with suppress(OSError, ValueError):  # what can't be opened is said when its turn comes
            found = recording.stat()
            if stat.S_ISREG(found.st_mode):
                theirs[found.st_dev, found.st_ino] = recording
    for target in targets:
        with suppress(OSError):
            there = target.stat()
            if taken := theirs.get((there.st_dev, there.st_ino)):
                raise UsageError(
                    f"{target} is the recording {taken} itself",
                    why="its captions would take its place",
                    fix="write them elsewhere with -o",
                )
