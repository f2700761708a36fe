"""Paths as people give them: ~ where there is a home, and one sentence where a path can't be followed."""

import errno
import os
from pathlib import Path

from .errors import EdgecapError, InputMissingError, OutputError

_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
_WRITING = *_FULL, errno.EROFS, errno.EIO
_FIXES = {
    errno.EACCES: "let this user into its folders, or take another",
    errno.ENAMETOOLONG: "check the name",
    errno.ELOOP: "check where its links lead",
}


def expanded(path: str | Path) -> Path:
    """With the home folder in the place of ~; as it is where there is no such home."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  # Path's own raises where there is no home


def user_folder(variable: str, otherwise: str) -> Path | None:
    """The folder that the variable names, else this one in the home; None for a user without a home."""
    if named := os.environ.get(variable):
        return Path(named)
    home = expanded("~")
    return home / otherwise if home.is_absolute() else None


def status(path: Path) -> os.stat_result | None:
    """What lies there, links followed; None where nothing does. Raises InputMissingError where that can't be
    told."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as refused:  # ValueError: a zero byte in it
        raise unopened(path, refused) from refused


def check_readable(path: Path) -> None:
    """Raise InputMissingError where something lies that this user may not read."""
    if status(path) is not None and not os.access(path, os.R_OK):
        raise unopened(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def failed(error: OSError) -> EdgecapError | None:
    """What the system refused about a path that it names, as a sentence; None where it names none."""
    if error.filename is None or isinstance(error.filename, int):
        return None
    if error.errno in _WRITING:
        return unwritten(error.filename, error)
    return unopened(error.filename, error)


def unwritten(path: "str | bytes | Path", refused: OSError) -> OutputError:
    """The sentence about a path that the system refuses to write."""
    return OutputError(
        f"{os.fsdecode(path)} can't be written",
        why=refused.strerror or str(refused),
        fix="make room, or take another place" if refused.errno in _FULL else "take another place",
    )


def unopened(path: "str | bytes | Path", refused: OSError | ValueError) -> InputMissingError:
    """The sentence about a path that the system refuses to open."""
    code, reason = (refused.errno, refused.strerror) if isinstance(refused, OSError) else (None, None)
    name = os.fsdecode(path)
    return InputMissingError(
        f"{name} can't be opened", why=reason or str(refused), fix=_FIXES.get(code or 0, "check the path")
    )
