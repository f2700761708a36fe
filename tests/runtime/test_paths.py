"""Paths: what can't be followed is one sentence, and no home is no reason to stop."""

import errno
import os
from pathlib import Path

import pytest

from edgecap.runtime.errors import InputMissingError, OutputError
from edgecap.runtime.paths import check_readable, expanded, failed, status, user_folder


def test_nothing_and_something_are_told_apart_from_what_cannot_be_known(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert status(tmp_path / "file") is not None
    assert status(tmp_path / "none") is None
    assert status(tmp_path / "file" / "below") is None
    for path, says in [
        (tmp_path / ("a" * 300), "File name too long"),
        (tmp_path / "loop", "Too many levels of symbolic links"),
        (Path("a\0b"), "a\\x00b can't be opened: embedded null byte"),
    ]:
        with pytest.raises(InputMissingError, match="can't be opened") as refused:
            check_readable(path)
        assert says in str(refused.value)
    check_readable(tmp_path / "none")  # its absence is for the reader to tell


def test_without_a_home_a_path_stays_and_there_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert expanded("~/b") == Path("/home/anna/b")
    assert user_folder("XDG_NONE", ".config") == Path("/home/anna/.config")
    monkeypatch.setenv("XDG_SOME", "/elsewhere")
    assert user_folder("XDG_SOME", ".config") == Path("/elsewhere")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # a user that no file of users knows
    assert expanded("~/b") == Path("~/b")
    assert expanded("~nobody-of-that-name/b") == Path("~nobody-of-that-name/b")
    assert user_folder("XDG_NONE", ".config") is None


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        (errno.EACCES, InputMissingError, 66),
        (errno.ENOENT, InputMissingError, 66),
        (errno.ENAMETOOLONG, InputMissingError, 66),
        (errno.ENOSPC, OutputError, 74),
        (errno.EROFS, OutputError, 74),
    ],
)
def test_what_the_system_refuses_about_a_path_is_a_sentence(code: int, kind: type, exit_code: int) -> None:
    told = failed(OSError(code, os.strerror(code), b"/tmp/\xe9\n"))
    assert isinstance(told, kind)
    assert told.code == exit_code
    assert "/tmp/\\xe9\\n can't be" in str(told)
    assert os.strerror(code) in str(told)


def test_what_names_no_path_is_no_sentence_of_ours() -> None:
    assert failed(OSError(errno.EBADF, "Bad file descriptor")) is None
