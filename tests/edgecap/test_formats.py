"""Captions of recordings in every format: read back by independent readers where there are any."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.formats import Entry, clock, csv_text, fold, json_line, srt, table, vtt, write_whole
from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import UnavailableError
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
    assert fold("a.wav", EVENTS) == [
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
    assert srt(fold("a.wav", EVENTS)) == (
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


@given(entries)
def test_subtitles_never_overlap_and_fit_their_lines(some: list[Entry]) -> None:
    ends = 0.0
    for block in srt(some).split("\n\n"):
        if not block.strip():
            continue
        _, times, *lines = block.strip("\n").split("\n")
        start, end = (_seconds(stamp) for stamp in times.split(" --> "))
        assert ends - 1e-3 <= start <= end
        ends = end
        assert all(len(line) <= 42 for line in lines) or len(lines) == 1


@given(entries)
def test_csv_reads_back(some: list[Entry]) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(some), newline="")))
    assert [row["text"] for row in rows] == [e.text for e in some]
    assert [float(row["start"]) for row in rows] == pytest.approx([e.start for e in some], abs=5e-4)


def test_the_table_names_the_file_only_where_there_are_several() -> None:
    assert [column.header for column in table([entry(0, 1)]).columns] == ["from", "to", "caption", "sure"]
    several = table([entry(0, 1), entry(0, 1)._replace(file="b.wav")])
    assert several.columns[0].header == "file"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00.0"), (3.16, "0:03.2"), (59.96, "1:00.0"), (3723.2, "1:02:03.2")]
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.srt"
    write_whole(path, "first")
    write_whole(path, "second")
    assert path.read_text() == "second"
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert path.read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["out.srt"]
    with pytest.raises(UnavailableError, match="can't be written"):
        write_whole(tmp_path / "nowhere" / "out.srt", "x")


def _seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)
