"""Whatever happens to the disk, putting never waits or raises, and what is acknowledged is there."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecap.runtime.errors import UnavailableError
from edgecap.serve.history import History
from edgecap.serve.writer import MOST_WAITING
from tests.said import opened, said, store

FILE = "history.db"


def wait_until(claim: Callable[[], bool], what: str) -> None:
    """Of a thread that tries again twice a second."""
    pause = threading.Event()
    for _ in range(600):
        if claim():
            return
        pause.wait(0.05)
    pytest.fail(f"never: {what}")


def test_a_folder_that_can_t_be_made_is_said_and_captions_go_on(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("here is no folder")
    with opened(blocked / "history") as history:
        history.put(said())
        wait_until(lambda: history.trouble() is not None, "said")
        trouble = history.trouble()
        assert trouble is not None
        assert (trouble.why, trouble.lost) == ("not a directory", 0)
        assert history.captions() == []
        blocked.unlink()  # and when it can, it stores what waited
        assert history.flush(20)
        assert history.trouble() is None
        assert history.newest() == {"kitchen": (1769853600000, 1)}


def test_what_the_queue_can_t_hold_is_a_gap(tmp_path: Path) -> None:
    """The newest are lost, are counted, and the gap is written as soon as it can be."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with opened(blocked / "history") as history:
        wait_until(lambda: history.trouble() is not None, "said")
        for seq in range(1, MOST_WAITING + 8):
            history.put(said(seq=seq, caption=seq))
        trouble = history.trouble()
        assert trouble is not None
        assert trouble.lost == 7
        blocked.unlink()
        assert history.flush(30)
        assert history.newest() == {"kitchen": (1769853600000, MOST_WAITING)}
        wait_until(lambda: bool(history.gaps()), "the gap is written")
        [gap] = history.gaps()
        assert (gap.lost, gap.why) == (7, "not a directory")


def test_another_program_that_writes_is_waited_for(tmp_path: Path) -> None:
    with store(tmp_path, [said()]) as history:
        other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        history.put(said(seq=2, caption=2))
        wait_until(lambda: history.trouble() is not None, "said")
        assert "another program" in str(history.trouble())
        assert len(history.captions()) == 1  # reading goes on
        other.execute("ROLLBACK")
        other.close()
        assert history.flush(20)
        assert len(history.captions()) == 2
        assert history.trouble() is None


def spoil_head(file: Path) -> None:
    file.write_bytes(b"this is no database" + file.read_bytes()[19:])


def spoil_middle(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    file.write_bytes(content)


def spoil_end(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:10_000])


@pytest.mark.parametrize("spoil", [spoil_head, spoil_middle, spoil_end])
def test_a_damaged_file_is_put_aside_and_another_begun(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    store(tmp_path, [said(f"Sentence {n}.", seq=n, caption=n) for n in range(1, 200)]).close()
    spoil(tmp_path / FILE)
    damaged = (tmp_path / FILE).read_bytes()
    with opened(tmp_path) as history:
        assert isinstance(history.newest(), dict)
        history.put(said("A dog barks.", seq=500, caption=500))
        assert history.flush(20)
        wait_until(lambda: _lists(history), "it can be read")
        [aside] = tmp_path.glob("history.damaged-*.db")
        assert aside.read_bytes()[:4096] == damaged[:4096]
        [gap] = history.gaps()
        assert (gap.lost, str(aside) in gap.why) == (0, True)
        assert history.trouble() is None


def _lists(history: History) -> bool:
    """A reader that meets the damage has it looked at."""
    try:
        return [caption.text for caption in history.captions()] == ["A dog barks."]
    except UnavailableError:
        return False


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    store(tmp_path, [said()]).close()
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    before = (tmp_path / FILE).read_bytes()
    with opened(tmp_path) as history:
        history.put(said(seq=2, caption=2))
        wait_until(lambda: history.trouble() is not None, "said")
        assert "newer edgecap" in str(history.trouble())
        with pytest.raises(UnavailableError, match="newer edgecap"):
            history.captions()
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("text", ["\ud800", "x" * 100_000, "\0", ""])
def test_no_text_stops_the_others(text: str, tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.put(said(text, seq=1))
        history.put(said(run=1 << 70, seq=2))
        history.put(said("A dog barks.", seq=3, caption=3))
        assert history.flush(20)
        assert history.captions()[0].text == "A dog barks."


FULL = """
import json, resource, sys
from pathlib import Path
from tests.edgecap.serve.test_writer import wait_until
from tests.said import opened, said

history = opened(Path(sys.argv[1]))
history.put(said())
assert history.flush(20)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))  # no file may grow beyond
sent = 1
while history.trouble() is None:
    sent += 1
    history.put(said(f"Sentence {sent}.", seq=sent, caption=sent))
    history.flush(0.01)
why = history.trouble().why
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
well = history.flush(30) and history.trouble() is None
history.close()
print(json.dumps([why, well, sent, history.newest()["kitchen"][1], len(history.captions(limit=99999))]))
"""


def test_a_disk_without_room_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert answer.returncode == 0, answer.stderr
    why, well, sent, newest, listed = json.loads(answer.stdout)
    assert why in ("the disk is full", "the disk does not answer as it should")
    assert well
    assert sent == newest == listed


WRITING = """
import sys
from pathlib import Path
from tests.said import opened, said

history = opened(Path(sys.argv[1]))
history.flush()
acknowledged = seq = history.newest().get("kitchen", (0, 0))[1]
while True:
    for _ in range(20):
        seq += 1
        event = ("new", "end")[seq % 2]
        history.put(said(f"Sentence {seq % 97}.", seq=seq, caption=seq // 2, event=event, lasted_s=None))
    if seq > acknowledged + 500:
        history.flush()  # else more comes than can be stored
    newest = history.newest().get("kitchen", (0, 0))[1]
    if newest > acknowledged:
        acknowledged = newest
        print(acknowledged, flush=True)
"""


def kill_while_it_writes(folder: Path, times: int) -> None:
    """Each time: what was acknowledged is there, without a hole, and the file is whole."""
    chance = random.Random(0)
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITING, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 8)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in process.stdout.read().splitlines()[:-1]]
        process.wait()
        process.stdout.close()
        connection = sqlite3.connect(folder / FILE)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
        count, newest = connection.execute("SELECT count(*), max(seq) FROM message").fetchone()
        connection.close()
        assert count == newest
        assert newest >= max(acknowledged, default=0)


def test_killed_while_it_writes_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    kill_while_it_writes(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_two_hundred_times_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    kill_while_it_writes(tmp_path, 200)
