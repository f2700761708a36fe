"""The history: what was published comes back, once each, whatever order it came in and whatever broke."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.runtime.telling import wire
from edgecap.serve.folder import data_folder
from edgecap.serve.history import History
from tests.said import NOON, said, store


def test_a_caption_is_its_newest_wording(tmp_path: Path) -> None:
    messages = [
        said("An alarm sounds.", 1, priority="urgent"),
        said("A smoke alarm beeps.", 2, event="update", priority="urgent"),
        said("A smoke alarm beeps.", 3, event="end", lasted_s=10.8, priority="urgent"),
        said("A dog barks.", 4, caption=2, start=NOON + timedelta(minutes=1)),
    ]
    with store(tmp_path, messages) as history:
        newer, older = history.captions()
        assert (newer.text, newer.end, newer.duration) == ("A dog barks.", None, None)
        assert (older.text, older.duration, older.priority) == ("A smoke alarm beeps.", 10.8, "urgent")
        assert history.newest() == {"kitchen": (1769853600000, 4)}


TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=st.just(UTC)).map(wire.timestamp)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCORES = st.floats(0, 1)
MESSAGES = st.builds(
    wire.CaptionMessage,
    room=st.sampled_from(["kitchen", "café", "a'b%"]),
    run=st.sampled_from([0, 1769853600000, 2**62]),
    seq=st.integers(1, 30),
    id=st.sampled_from(["1769853600000-1", "1769853600000-01", "0-2", "x", "", "1769853600000-²"]),
    event=st.sampled_from(["new", "update", "end"]),
    text=TEXTS,
    confidence=SCORES,
    sounds=st.lists(st.builds(wire.Sound, label=TEXTS, score=SCORES), max_size=3).map(tuple),
    start=TIMES,
    end=st.none() | TIMES,
    model=TEXTS,
    at=st.none() | TIMES,
    priority=st.sampled_from(["urgent", "call", "ambient", "normal"]),
    language=st.sampled_from(["en", "de"]),
)


@settings(max_examples=25)
@given(messages=st.lists(MESSAGES, max_size=30))
def test_what_was_published_comes_back_once_in_its_order(
    messages: list[wire.CaptionMessage], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of two with the same room, run and seq the first counts: the second is a replay."""
    first: dict[tuple[str, int, int], wire.CaptionMessage] = {}
    for message in messages:
        first.setdefault((message.room, message.run, message.seq), message)
    repeated = messages + messages[::-1]
    with store(tmp_path_factory.mktemp("history"), repeated) as history:
        for room, run in {(message.room, message.run) for message in messages}:
            own = sorted((m for m in first.values() if (m.room, m.run) == (room, run)), key=lambda m: m.seq)
            read = history.after(room, run, 0, 1000)
            assert read[: len(own)] == own
            assert history.after(room, run, own[0].seq, 1000) == read[1:]
        newest_of_each = {(m.room, m.run, m.id): m for m in sorted(first.values(), key=lambda m: m.seq)}
        listed = history.captions(limit=1000)
        wanted = {key: (m.seq, m.text, m.end) for key, m in newest_of_each.items()}
        assert {(k.room, k.run, k.id): (k.seq, k.text, k.end) for k in listed} == wanted
        assert [k.start for k in listed] == sorted((k.start for k in listed), reverse=True)
        pages, before = [], None
        while page := history.captions(before=before, limit=3):
            pages += page
            before = f"{page[-1].room}/{page[-1].run}/{page[-1].seq}"
        assert pages == listed


def test_semantic_is_not_kept(tmp_path: Path) -> None:
    """It would be three quarters of the file."""
    heard = msgspec.structs.replace(said(), semantic="AAAA")
    with store(tmp_path, [heard]) as history:
        assert history.after("kitchen", heard.run, 0, 10) == [said()]


def test_a_room_goes_on_in_its_next_run(tmp_path: Path) -> None:
    """A clock may have been wrong: the run that came later is the later one, whatever its number."""
    runs = [said(seq=n, run=run, caption=n) for run in (1769853600000, 5) for n in (1, 2, 3)]
    other = said(room="hall", run=7)
    with store(tmp_path, [*runs, other]) as history:
        assert history.after("kitchen", 1769853600000, 2, 100) == runs[2:]
        assert history.after("kitchen", 1769853600000, 2, 2) == runs[2:4]
        assert history.newest() == {"kitchen": (5, 3), "hall": (7, 1)}
    with History.read(tmp_path) as again:
        assert again.newest() == {"kitchen": (5, 3), "hall": (7, 1)}


def test_captions_of_some_rooms_and_times(tmp_path: Path) -> None:
    hours = [
        said(seq=n + 1, caption=n, room=("kitchen", "hall")[n % 2], start=NOON + timedelta(hours=n))
        for n in range(6)
    ]
    with store(tmp_path, hours) as history:
        found = history.captions(
            rooms=["hall"], since=NOON + timedelta(hours=1), until=NOON + timedelta(hours=5)
        )
        assert [caption.start for caption in found] == [hours[3].start, hours[1].start]
        assert [caption.start for caption in history.in_order()] == [each.start for each in hours]
        assert history.captions(before="hall/1769853600000/99") == []
        assert history.captions(before="nonsense") == []


def test_where_nothing_was_stored_nothing_is_found(tmp_path: Path) -> None:
    with History.read(tmp_path / "none") as history:
        assert not history.exists()
        assert (history.captions(), history.newest(), history.after("kitchen", 1, 1, 9)) == ([], {}, [])
        assert (history.gaps(), list(history.export("csv")), history.search("dog").results) == ([], [], [])
        assert history.away(NOON).lines == []
    assert not (tmp_path / "none").exists()


def test_it_is_for_its_user_alone(tmp_path: Path) -> None:
    """It tells when somebody is at home."""
    with store(tmp_path / "kept", [said()]):
        assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "kept" / "history.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"STATE_DIRECTORY": "/var/lib/edgecap", "XDG_STATE_HOME": "/s", "HOME": "/h"}, "/var/lib/edgecap"),
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/edgecap"),
        ({"HOME": "/h"}, "/h/.local/state/edgecap"),
    ],
)
def test_the_folder_is_the_state_directorys(
    given: dict[str, str], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert data_folder() == Path(where)
    assert data_folder(Path("/named")) == Path("/named")


def test_a_user_without_a_home_has_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_123)  # nobody's, as in a container
    assert data_folder().name == "edgecap-4000123"


def test_the_face_stays_small() -> None:
    """Neither numpy nor ONNX Runtime is in the process that stores and lists."""
    code = (
        "import sys, edgecap.serve.history; print(sorted({'numpy', 'onnxruntime', 'zmq'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
