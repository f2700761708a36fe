"""Files -> a bundle, at once or not at all.

Everything is written beside the target, reaches the disk and opens as a bundle before one rename puts it
in place. Whatever happens meanwhile, the target is the bundle of before or the new one, never half of either.
"""

import ctypes
import errno
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ..runtime.errors import InputMissingError, UsageError
from ..runtime.model.bundle import Bundle
from ..runtime.model.manifest import MANIFEST_FILE

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a .zip can say: the same files give the same bytes."""


def pack(files: Mapping[str, bytes], target: Path) -> None:
    """Write a bundle: a .zip if `target` ends so, else a folder. A bundle that was there is replaced.

    Raises UsageError if something else is there, InputMissingError if the folder above isn't, BundleError
    if what was written is no bundle that the edge would open.
    """
    check_target(target)
    partial = target.with_name(f".{target.name}.partial")
    _remove(partial)  # of an export that was killed
    try:
        if target.suffix == ".zip":
            _write_zip(files, partial)
            Bundle.open(partial)
            partial.replace(target)
        else:
            _write_folder(files, partial)
            Bundle.open(partial)
            _swap(partial, target)
        _flush(target.parent)
    finally:
        _remove(partial)


def check_target(target: Path) -> None:
    """Raise unless a bundle may be written there; to be asked before the work, not after it."""
    if not target.parent.is_dir():
        raise InputMissingError(f"there is no folder {target.parent}", fix="create it, or choose another -o")
    is_bundle = (target / MANIFEST_FILE).exists() or (target.suffix == ".zip" and target.is_file())
    is_empty = target.is_dir() and not any(target.iterdir())
    if target.exists() and not is_bundle and not is_empty:
        raise UsageError(
            f"{target} is there and is not a bundle", why="it would be replaced", fix="choose another -o"
        )


def _write_folder(files: Mapping[str, bytes], folder: Path) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            _flush(path)


def _write_zip(files: Mapping[str, bytes], path: Path) -> None:
    with path.open("wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in files.items():
                entry = zipfile.ZipInfo(name, _ZIP_DATE)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)
        file.flush()
        os.fsync(file.fileno())


def _swap(partial: Path, target: Path) -> None:
    """Put the folder in place of the target, and the old target where the folder was."""
    try:
        partial.rename(target)  # enough where nothing, or an empty folder, is there
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if not _exchange(partial, target):
        # Neither this system nor this file system exchanges: for a moment the bundle bears another name.
        old = target.with_name(f".{target.name}.old")
        _remove(old)
        target.rename(old)
        try:
            partial.rename(target)
        except BaseException:
            old.rename(target)
            raise
        _remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where that can't be done. Linux's renameat2, not in Python's os."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    failed: int = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return failed == 0


def _flush(folder: Path) -> None:
    """Names reach the disk apart from contents."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
