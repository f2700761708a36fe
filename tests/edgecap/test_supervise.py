"""What keeps processes running: real processes, which die in all the ways that processes do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from edgecap import supervise
from edgecap.supervise import Kept

PATIENCE_S = 20.0
Keep = Callable[..., Kept]


class Told:
    """What was said, and the exit codes of what could not be started."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.codes: list[int] = []
        self.something = Event()

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)
        self.something.set()

    def fail(self, code: int) -> None:
        self.codes.append(code)
        self.something.set()

    def wait(self) -> None:
        assert self.something.wait(PATIENCE_S)
        self.something.clear()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def keep(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keep]:
    """Keeps pieces of Python running; the waits between are short."""
    monkeypatch.setattr(supervise, "FIRST_WAIT_S", 0.01)
    started: list[Kept] = []

    def start(*pieces: str, again: str | None = None) -> Kept:
        def command(piece: str) -> Sequence[str]:
            return [sys.executable, "-c", piece]

        kept = Kept(
            "the ear", [command(each) for each in pieces], told.say, told.fail, again and command(again)
        )
        started.append(kept)
        kept.start()
        return kept

    yield start
    for each in started:
        each.end()
        each.join()


def until(true: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def numbered(folder: Path, then: str) -> str:
    """Leaves a file of its process's number, then goes on."""
    return (
        f"import os, signal, time\nopen(os.path.join({str(folder)!r}, str(os.getpid())), 'w').close()\n{then}"
    )


def test_what_dies_is_told_and_started_again(tmp_path: Path, keep: Keep, told: Told) -> None:
    keep(numbered(tmp_path, "time.sleep(60)"))
    for times in (1, 2):
        until(lambda: len(list(tmp_path.iterdir())) == times)  # noqa: B023
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.kill(int(newest.name), signal.SIGKILL)
        told.wait()
        assert told.sentences[-1] == "the ear ended by SIGKILL; it is started again in 1 s."
    until(lambda: len(list(tmp_path.iterdir())) == 3)


def test_what_died_is_started_as_is_said(tmp_path: Path, keep: Keep, told: Told) -> None:
    keep(
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", again=numbered(tmp_path, "time.sleep(60)")
    )
    until(lambda: list(tmp_path.iterdir()))


def test_what_cannot_be_started_at_all_is_not_tried_again(keep: Keep, told: Told) -> None:
    keep("raise SystemExit(78)")
    told.wait()
    assert (told.codes, told.sentences) == ([78], [])


def test_what_cannot_go_on_behind_another_ends_nothing_else(keep: Keep, told: Told) -> None:
    keep("", "raise SystemExit(69)")
    told.wait()
    assert (told.codes, told.sentences) == ([], ["the ear can't go on: exit code 69."])


def test_what_ends_well_makes_room_for_the_next(tmp_path: Path, keep: Keep, told: Told) -> None:
    keep("", numbered(tmp_path, ""))
    told.wait()
    assert len(list(tmp_path.iterdir())) == 1
    assert (told.codes, told.sentences) == ([], ["the ear has ended."])


def test_the_end_is_asked_for_and_waited_for(tmp_path: Path, keep: Keep, told: Told) -> None:
    leave = "signal.signal(signal.SIGTERM, lambda *_: (open('ended', 'w').close(), os._exit(0)))\n"
    kept = keep(numbered(tmp_path, f"os.chdir({str(tmp_path)!r})\n{leave}open('ready', 'w')\ntime.sleep(60)"))
    until(lambda: (tmp_path / "ready").exists())
    kept.end()
    kept.join()
    assert (tmp_path / "ended").exists()
    assert told.sentences == []


def test_nothing_is_left_when_its_keeper_is_killed(tmp_path: Path) -> None:
    child = numbered(tmp_path, "time.sleep(60)")
    keeper = (
        "import sys, time\nfrom edgecap.supervise import Kept\n"
        f"Kept('the ear', [[sys.executable, '-c', {child!r}]], print, print).start()\ntime.sleep(60)"
    )
    keeping = subprocess.Popen([sys.executable, "-c", keeper])
    until(lambda: list(tmp_path.iterdir()))
    [number] = [int(each.name) for each in tmp_path.iterdir()]
    keeping.kill()
    keeping.wait()
    until(lambda: not Path(f"/proc/{number}").exists() or " Z " in Path(f"/proc/{number}/stat").read_text())
