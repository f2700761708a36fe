"""The files of a bundle, from a folder or a .zip alike, and never one from outside."""

import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ..errors import BundleError
from ..paths import check_readable

COPY_AGAIN = "copy the bundle again from where it came"
MOST_BYTES = 4 << 30
"""Of one file: more than any model here, less than what a hostile .zip can claim to unfold to."""
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
)
"""All that zipfile and its codecs raise over bytes that are not what they were: RuntimeError where a bit says
"encrypted", its NotImplementedError where one names an unknown method, ValueError for a name's encoding."""


class FolderFiles:
    """A bundle that is a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, file: str) -> bytes:
        """The whole of a file. Raises BundleError if it is missing, damaged or outside, InputMissingError
        if it may not be opened."""
        try:
            return self.locate(file).read_bytes()
        except OSError as error:
            raise _unreadable(self.path, file, error.strerror or str(error)) from error

    def size(self, file: str) -> int:
        """Bytes of a file."""
        return self.locate(file).stat().st_size

    def locate(self, file: str) -> Path:
        """Where a file really lies. Raises BundleError if that is outside the folder, or nowhere,
        InputMissingError if it may not be opened."""
        check_name(self.path, file)
        check_readable(self.path / file)  # before resolve, which some links lead round in circles
        real = (self.path / file).resolve()
        if not real.is_relative_to(self.path.resolve()):
            raise _outside(self.path, file, f"it is a link to {real}")
        if not real.is_file():
            raise _missing(self.path, file)
        return real


class ZipFiles:
    """A bundle that is a .zip, its files at the top or in one folder; opened anew for each file."""

    def __init__(self, path: Path) -> None:
        """Raises BundleError if it is no .zip, or one that could unpack to somewhere else."""
        self.path = path
        self._top = ""
        with self._open() as archive:
            entries = archive.infolist()
            for entry in entries:
                check_name(path, entry.filename.rstrip("/"))
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise _outside(path, entry.filename, "it is a link")
            names = [entry.filename for entry in entries if not entry.is_dir()]
            if len(set(names)) < len(names):
                raise BundleError(
                    f"{path} holds a file twice", why="which of them is meant is not said", fix=COPY_AGAIN
                )
            tops = {name.split("/")[0] for name in names}
            if len(tops) == 1 and all("/" in name for name in names):
                self._top = f"{tops.pop()}/"

    def read(self, file: str) -> bytes:
        """The whole of a file. Raises BundleError if it is missing, damaged or too large."""
        check_name(self.path, file)
        with self._open() as archive:
            entry = self._entry(archive, file)
            if entry.file_size > MOST_BYTES:
                raise _unreadable(self.path, file, f"it claims {entry.file_size} bytes")
            try:
                return archive.read(entry)
            except DAMAGE as error:
                raise _unreadable(self.path, file, str(error)) from error

    def size(self, file: str) -> int:
        """Bytes of a file, unpacked."""
        with self._open() as archive:
            return self._entry(archive, file).file_size

    def _entry(self, archive: zipfile.ZipFile, file: str) -> zipfile.ZipInfo:
        try:
            return archive.getinfo(self._top + file)
        except KeyError:
            raise _missing(self.path, file) from None

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except DAMAGE as error:
            raise BundleError(
                f"{self.path} can't be read as a .zip", why=str(error), fix=COPY_AGAIN
            ) from error


Files = FolderFiles | ZipFiles


def open_files(path: Path) -> Files:
    """The files of a bundle; path is a folder, or a file that must be a .zip."""
    return FolderFiles(path) if path.is_dir() else ZipFiles(path)


def check_name(bundle: Path, file: str) -> None:
    """Raise BundleError unless `file` names something inside, on every system alike."""
    parts = PurePosixPath(file).parts
    if not parts or file.startswith("/") or ".." in parts or any(c in file for c in "\\:\0"):
        raise _outside(bundle, file, "its files are named by relative paths within it")


def _outside(bundle: Path, file: str, why: str) -> BundleError:
    return BundleError(
        f"{bundle}: {file!r} would leave the bundle",
        why=why,
        fix="don't use this bundle unless you know who made it",
    )


def _missing(bundle: Path, file: str) -> BundleError:
    return BundleError(f"{bundle}: {file} is missing", why="the copy is incomplete", fix=COPY_AGAIN)


def _unreadable(bundle: Path, file: str, why: str) -> BundleError:
    return BundleError(f"{bundle}: {file} can't be read", why=why, fix=COPY_AGAIN)
