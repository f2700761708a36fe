"""Captions of recordings in every format: read back by independent readers where there are any."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.formats import Entry, clock, csv_text, fold, json_line, srt, table_head, table_row, vtt
from edgecap.runtime.audio import RATE
from edgecap.runtime.events import Caption, Sound

DOG = (Sound("dog", 0.91),)
EVENTS = [
    Caption("new", "1", "Possibly a dog barks.", 0.4, DOG, RATE, None),
    Caption("update", "1", "A dog barks.", 0.83, DOG, RATE, None),
    Caption("end", "1", "A dog barks.", 0.83, DOG, RATE, 3 * RATE),
    Caption("new", "2", "Rain is falling.", 0.7, (), 4 * RATE, None),
    Caption("end", "2", "Rain is falling.", 0.7, (), 4 * RATE, 70 * RATE),
]


def entry(start: float, end: float, text: str = "A dog barks.") -> Entry:
    return Entry("a.wav", start, end, text, 0.83, (("dog", 0.91),))


entries = st.lists(
    st.builds(
        entry,
        st.floats(0, 4000),
        st.floats(0, 4000),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=120),
    ).map(lambda e: e._replace(end=max(e.start, e.end))),
    max_size=6,
).map(lambda es: sorted(es, key=lambda e: e.start))


def test_a_caption_is_one_entry_with_its_last_wording() -> None:
    assert [*fold("a.wav", EVENTS)] == [
        Entry("a.wav", 1.0, 3.0, "A dog barks.", 0.83, (("dog", 0.91),)),
        Entry("a.wav", 4.0, 70.0, "Rain is falling.", 0.7, ()),
    ]


def test_json_has_the_wires_fields_and_the_file() -> None:
    line = json_line(EVENTS[2], file="a.wav", seq=3, room="kitchen", model="room-small 1.0")
    assert json.loads(line) == {
        "v": 1, "type": "caption", "file": "a.wav", "room": "kitchen", "run": 0, "seq": 3, "id": "1",
        "event": "end", "text": "A dog barks.", "confidence": 0.83,
        "sounds": [{"label": "dog", "score": 0.91}], "start": 1.0, "end": 3.0, "model": "room-small 1.0",
    }  # fmt: skip
    assert "\n" not in line


def test_srt() -> None:
    assert srt([*fold("a.wav", EVENTS)]) == (
        "1\n00:00:01,000 --> 00:00:03,000\nA dog barks.\n\n"
        "2\n00:00:04,000 --> 00:01:10,000\nRain is falling.\n"
    )  # fmt: skip


def test_vtt() -> None:
    assert vtt([entry(3661.5, 3670, "A <b> & c.")]) == (
        "WEBVTT\n\n01:01:01.500 --> 01:01:10.000\nA &lt;b&gt; &amp; c.\n"
    )


def test_a_subtitle_stays_two_seconds_unless_the_next_one_comes() -> None:
    text = srt([entry(1.0, 1.2), entry(2.0, 2.1), entry(10.0, 10.1)])
    assert "00:00:01,000 --> 00:00:02,000" in text
    assert "00:00:02,000 --> 00:00:04,000" in text
    assert "00:00:10,000 --> 00:00:12,000" in text


def test_subtitles_that_begin_at_once_are_shown_one_after_the_other() -> None:
    times = [block.split("\n")[1] for block in srt([entry(1.0, 1.0)] * 3).split("\n\n")]
    assert times == [
        "00:00:01,000 --> 00:00:02,000",
        "00:00:02,000 --> 00:00:03,000",
        "00:00:03,000 --> 00:00:05,000",
    ]


@given(entries)
def test_subtitles_can_be_read_never_overlap_and_fit_their_lines(some: list[Entry]) -> None:
    ends = 0.0
    blocks = [block for block in srt(some).split("\n\n") if block.strip()]
    assert len(blocks) == len(some)
    for block, one in zip(blocks, some, strict=True):
        _, times, *lines = block.strip("\n").split("\n")
        start, end = (_seconds(stamp) for stamp in times.split(" --> "))
        assert ends <= start <= end - 0.999
        assert start >= one.start - 1e-3
        ends = end
        assert all(len(line) <= 42 or " " not in line for line in lines)


@given(entries)
def test_csv_reads_back_and_computes_nothing(some: list[Entry]) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(some), newline="")))
    assert [row["text"].removeprefix("'") for row in rows] == [e.text.removeprefix("'") for e in some]
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t\r" and cell]
    assert [float(row["start"]) for row in rows] == pytest.approx([e.start for e in some], abs=6e-4)


@given(entries, st.integers(1, 200) | st.none())
def test_a_table_of_any_width_holds_every_word_and_figure(some: list[Entry], width: int | None) -> None:
    for one in some:
        text = table_row(one, width)
        words = text.split()
        for word in (*one.text.split(), clock(one.start), clock(one.end), "83%"):
            assert word in words
            words.remove(word)
        assert words == []
        longest = max(map(len, [*one.text.split(), clock(one.end)]))
        for line in text.splitlines():  # what is wider than its place is a single word
            assert width is None or len(line) <= max(width, 28 + longest)


def test_a_narrow_table_stands_below_its_times() -> None:
    one = entry(4, 8.3, "Someone knocks on a door.")
    assert table_row(one, 20) == "0:04.0 0:08.3 83%\nSomeone knocks on a\ndoor.\n"
    assert table_head(20) == ""
    head, row = table_head(60), table_row(one, 60)
    assert [head.index("sure") + 4, head.index("caption")] == [row.index("83%") + 3, row.index("Someone")]
    assert row == "   0:04.0     0:08.3  Someone knocks on a door.          83%\n"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00.0"), (3.16, "0:03.2"), (59.96, "1:00.0"), (3723.2, "1:02:03.2")]
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def _seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)
