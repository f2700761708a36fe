"""`edgecap history` and `edgecap search`: what goes in comes out again, and people read their own clock."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgecap.cli import app
from edgecap.runtime.telling import wire
from tests.said import NOON, said

SPAN = ("--since", "2026-01-01", "--until", "2026-12-31")
MESSAGES = [
    said("An alarm sounds.", 1, priority="urgent"),
    said("A smoke alarm beeps.", 2, event="update", priority="urgent"),
    said("A smoke alarm beeps.", 3, event="end", lasted_s=70, priority="urgent"),
    said("A dog barks while rain is falling.", 4, caption=2, start=NOON + timedelta(minutes=2), event="new"),
    said("Someone knocks on a door.", 1, room="hall", start=NOON + timedelta(minutes=3), priority="call"),
    said(
        "Someone knocks on a door.",
        2,
        room="hall",
        start=NOON + timedelta(minutes=3),
        event="end",
        lasted_s=2,
    ),
]
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


def run(*words: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


def fine(*words: str | Path) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", BERLIN)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "captions.jsonl"
    path.write_bytes(b"".join(wire.encode(message) + b"\n" for message in MESSAGES))
    return path


@pytest.fixture
def data(lines: Path, tmp_path: Path) -> Path:
    fine("history", "import", lines, "--data", tmp_path / "data")
    return tmp_path / "data"


def test_what_is_exported_and_imported_is_the_same(data: Path, lines: Path, tmp_path: Path) -> None:
    exported = fine("history", *SPAN, "--format", "jsonl", "--data", data)
    assert sorted(exported.splitlines()) == sorted(lines.read_text(encoding="utf-8").splitlines())
    again = run("history", "import", "-", "--data", tmp_path / "other", stdin=exported.encode())
    assert again.exit_code == 0
    assert fine("history", *SPAN, "--format", "jsonl", "--data", tmp_path / "other") == exported
    for style in ("srt", "vtt", "csv"):
        one, other = (
            fine("history", *SPAN, "--format", style, "--data", folder)
            for folder in (data, tmp_path / "other")
        )
        assert one == other
    repeated = run("history", "import", lines, "--data", data)
    assert "0 messages stored, 6 there already" in repeated.stderr


def test_people_read_their_own_clock(data: Path) -> None:
    assert fine("history", "2026-01-31", "--data", data).splitlines() == [
        "2026-01-31 13:00:00  kitchen  A smoke alarm beeps.  (70 s)",
        "2026-01-31 13:02:00  kitchen  A dog barks while rain is falling.  (goes on)",
        "2026-01-31 13:03:00  hall  Someone knocks on a door.  (2 s)",
    ]
    [hall] = fine("history", *SPAN, "--room", "hall", "--json", "--data", data).splitlines()
    assert json.loads(hall)["start"] == MESSAGES[4].start  # programs read UTC
    assert json.loads(hall)["duration"] == 2.0


def test_an_hour_that_comes_twice_is_listed_twice(tmp_path: Path) -> None:
    """The night in which summer ends: 2:30 in summer, 2:30 in winter."""
    night = NOON.replace(month=10, day=25, hour=0, minute=30)
    messages = [said(f"Bell {n}.", n + 1, caption=n, start=night + timedelta(hours=n)) for n in range(3)]
    file = tmp_path / "night.jsonl"
    file.write_bytes(b"\n".join(map(wire.encode, messages)))
    fine("history", "import", file, "--data", tmp_path)
    listed = fine("history", "2026-10-25", "--data", tmp_path).splitlines()
    assert [(line[11:16], line[30:37]) for line in listed] == [
        ("02:30", "Bell 0."),
        ("02:30", "Bell 1."),
        ("03:30", "Bell 2."),
    ]
    assert fine("history", "2026-10-25", "--format", "srt", "--data", tmp_path).count("02:30:00,120 -->") == 1


def test_the_digest_of_a_day(data: Path) -> None:
    assert fine("history", "2026-01-31", "--digest", "--data", data).splitlines() == [
        "2026-01-31 00:00:00 to 2026-02-01 00:00:00: 3 captions",
        "urgent  kitchen  A smoke alarm beeps: 13:00 to 13:01",
        "        hall     Someone knocks on a door: 13:03",
        "        kitchen  A dog barks: 13:02",
        "        kitchen  Rain is falling: 13:02",
    ]
    told = json.loads(fine("history", "2026-01-31", "--digest", "--json", "--data", data))
    assert (told["total"], told["lines"][0]["kind"]) == (3, "urgent")


def test_subtitles_count_from_the_beginning_of_the_span(data: Path) -> None:
    since = ("--since", "2026-01-31T12:59:00", "--until", "2026-02-01")
    vtt = fine("history", *since, "--format", "vtt", "--data", data)
    assert re.findall(r"(\S+) --> \S+\n(.*)", vtt) == [
        ("00:01:00.120", "kitchen: A smoke alarm beeps."),
        ("00:03:00.120", "kitchen: A dog barks while rain is"),
        ("00:04:00.120", "hall: Someone knocks on a door."),
    ]
    alone = fine("history", *since, "--room", "hall", "--format", "srt", "--data", data)
    assert alone.splitlines()[:3] == ["1", "00:04:00,120 --> 00:04:02,120", "Someone knocks on a door."]


def test_a_spreadsheet_has_a_row_a_caption(data: Path, tmp_path: Path) -> None:
    fine("history", *SPAN, "--format", "csv", "-o", tmp_path / "out.csv", "--data", data)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(encoding="utf-8"))))
    assert [(row["start"], row["seconds"], row["text"], row["priority"]) for row in rows] == [
        (MESSAGES[0].start, "70.000", "A smoke alarm beeps.", "urgent"),
        (MESSAGES[3].start, "", "A dog barks while rain is falling.", "normal"),
        (MESSAGES[4].start, "2.000", "Someone knocks on a door.", "normal"),
    ]


def test_search_finds_by_words_and_meaning(data: Path) -> None:
    found = fine("search", "is", "anybody", "at", "the", "door?", *SPAN, "--data", data).splitlines()
    assert found[0] == "2026-01-31 13:03:00  hall  Someone knocks on a door.  (2 s)"
    [hit] = fine("search", "room:kitchen rain", *SPAN, "--json", "--limit", "1", "--data", data).splitlines()
    assert (json.loads(hit)["by"], json.loads(hit)["seq"]) == (["words", "meaning"], 4)
    nothing = run("search", "room:cellar rain", "--data", data)
    assert (nothing.exit_code, nothing.stdout, nothing.stderr) == (
        0,
        "",
        "edgecap: nothing like that was heard\n",
    )


def test_what_can_t_be_read_is_told_by_its_line_and_the_rest_stored(tmp_path: Path) -> None:
    good = wire.encode(MESSAGES[0])
    status = b'{"v":1,"type":"status","room":"x"}'
    (tmp_path / "mixed.jsonl").write_bytes(
        b"\n".join([good, b"", b"{nonsense", status, wire.encode(MESSAGES[1])])
    )
    result = run("history", "import", tmp_path / "mixed.jsonl", "--data", tmp_path)
    assert result.exit_code == 65
    assert "line 3: message is not wire version 1" in result.stderr
    assert "2 messages stored" in result.stderr
    assert len(fine("history", *SPAN, "--format", "jsonl", "--data", tmp_path).splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("history", "--data", "none"), 66, "there is no history in"),
        (("search", "dog", "--data", "none"), 66, "start that, or name its folder with --data"),
        (("history", "import"), 2, "no file is named"),
        (("history", "import", "none.jsonl"), 66, "none.jsonl can't be read"),
        (("history", "yesterdya"), 2, "'yesterdya' is no time"),
        (("history", "2h"), 2, "is no day"),
        (("history", "today", "monday"), 2, "name one day"),
        (("history", "today", "--since", "2h"), 2, "name one day"),
        (("history", "--since", "1h", "--until", "2h"), 2, "is before --since"),
        (("history", "--format", "pdf"), 2, "known are srt, vtt, csv, jsonl"),
        (("history", "--format", "srt", "--json"), 2, "choose one"),
        (("history", "--digest", "--room", "hall"), 2, "leave --room out"),
        (("search", "after:yesterdya", "dog"), 2, "'yesterdya' is no time"),
        (("history", "-o", "none/x", "--format", "csv"), 74, "can't be written"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    words: tuple[str, ...], code: int, sentence: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    result = run(*words, *(() if "--data" in words else ("--data", data)))
    assert result.exit_code == code, result.stderr
    assert sentence.lower() in result.stderr.lower()
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_that_can_t_be_written_is_one_sentence(lines: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("history", "import", lines, "--data", tmp_path / "file" / "in it")
    assert result.exit_code == 69
    assert "can't be written: not a directory" in result.stderr
