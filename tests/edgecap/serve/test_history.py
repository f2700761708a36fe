"""The history: what was published comes back, once each, whatever order it came in and whatever broke."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.runtime.telling import wire
from edgecap.serve.history import History

NOON = datetime(2026, 1, 31, 12, 0, 0, 120_000, UTC)


def said(
    text: str = "A dog barks.",
    seq: int = 1,
    *,
    room: str = "kitchen",
    run: int = 1769853600000,
    caption: int = 1,
    event: wire.Event = "new",
    start: datetime = NOON,
    lasted_s: float | None = None,
    priority: wire.Priority = "normal",
    sounds: Sequence[wire.Sound] = (wire.Sound("dog_bark", 0.91),),
) -> wire.CaptionMessage:
    """A message as an ear publishes it; `lasted_s` where it ends."""
    return wire.CaptionMessage(
        room=room,
        run=run,
        seq=seq,
        id=f"{run}-{caption}",
        event=event,
        text=text,
        confidence=0.83,
        sounds=tuple(sounds),
        start=wire.timestamp(start),
        end=None if lasted_s is None else wire.timestamp(start + timedelta(seconds=lasted_s)),
        model="room-small 1.6",
        at=wire.timestamp(start + timedelta(seconds=1.5)),
        priority=priority,
    )


def store(folder: Path, messages: Sequence[wire.CaptionMessage]) -> History:
    history = History.open(folder)
    for message in messages:
        history.put(message)
    assert history.flush()
    assert history.trouble() is None
    return history


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
