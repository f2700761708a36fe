"""What was heard, by HTTP: listed, found, told in short, and taken away as a file."""

import json
from collections.abc import Iterator

import pytest

from tests.edgecap.serve.house import RunningFace, house, until

SAID = ["A dog barks.", "A doorbell rings.", "Rain is falling.", "A smoke alarm beeps.", "A dog barks."]


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFace]:
    """A face that heard five captions in the kitchen, and one at the door."""
    with house(tmp_path_factory.mktemp("data"), "kitchen", "door") as (face, [kitchen, door]):
        for text in SAID:
            kitchen.say(text)
        door.say("Someone knocks on a door.")
        until(lambda: len(face.face.history.captions()) == 6)
        yield face


def test_captions_are_listed_newest_first_page_by_page(heard: RunningFace) -> None:
    whole = heard.ask("GET", "/api/captions?room=kitchen").json
    assert [each["text"] for each in whole["captions"]] == SAID[::-1]
    assert (whole["more"], whole["gaps"]) == (False, [])
    first = heard.ask("GET", "/api/captions?room=kitchen&limit=2").json
    assert first["more"]
    last = first["captions"][-1]
    before = f"{last['room']}/{last['run']}/{last['seq']}"
    rest = heard.ask("GET", f"/api/captions?room=kitchen&before={before}").json
    assert first["captions"] + rest["captions"] == whole["captions"]


def test_rooms_and_times_choose(heard: RunningFace) -> None:
    def texts(query: str) -> list[str]:
        return [each["text"] for each in heard.ask("GET", f"/api/captions?{query}").json["captions"]]

    assert texts("room=door") == ["Someone knocks on a door."]
    assert sorted(texts("room=door,kitchen")) == sorted([*SAID, "Someone knocks on a door."])
    assert texts("room=kitchen&room=cellar") == SAID[::-1]
    assert texts("until=2026-01-01T00:00:00Z") == []
    assert len(texts("since=2026-01-01")) == 6


def test_it_is_found_by_words_and_filters(heard: RunningFace) -> None:
    found = heard.ask("GET", "/api/search?q=room:kitchen%20dog").json
    assert [each["caption"]["text"] for each in found["results"]][:2] == ["A dog barks."] * 2
    assert (found["query"]["text"], list(found["query"]["rooms"])) == ("dog", ["kitchen"])
    assert "words" in found["results"][0]["by"]
    wrong = heard.ask("GET", "/api/search?q=after:yesterdya%20dog")
    assert wrong.status == 400
    assert wrong.json["fix"]


def test_what_was_missed_is_told_in_short(heard: RunningFace) -> None:
    told = heard.ask("GET", "/api/away?since=2026-01-01T00:00:00Z").json
    assert told["total"] == 6
    assert {each["room"] for each in told["lines"]} == {"kitchen", "door"}
    assert heard.ask("GET", "/api/away").json["error"] == "since when is not told"


@pytest.mark.parametrize(
    ("style", "begins"), [("srt", "1\n"), ("vtt", "WEBVTT"), ("csv", "room,"), ("jsonl", "{")]
)
def test_it_is_taken_away_as_a_file(heard: RunningFace, style: str, begins: str) -> None:
    answer = heard.ask("GET", f"/api/export?format={style}&room=kitchen")
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="edgecap.{style}"'
    assert "A smoke alarm beeps." in text
    assert "Someone knocks" not in text
    if style == "jsonl":
        assert [json.loads(line)["room"] for line in text.splitlines()] == ["kitchen"] * 5


@pytest.mark.parametrize(
    "query",
    [
        "captions?limit=0", "captions?limit=x", "captions?limit=99999999999999999999", "captions?since=today",
        "captions?until=0000-00-00", "captions?before=kitchen/1/99999999999999999999", "captions?before=x",
        "search?limit=-1", "away?since=9999-99-99", "export?format=exe",
    ],
)  # fmt: skip
def test_what_can_t_be_is_refused_with_a_way_out(heard: RunningFace, query: str) -> None:
    answer = heard.ask("GET", f"/api/{query}")
    assert answer.status == 400
    assert answer.json["error"]
    assert answer.json["why"] or answer.json["fix"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"id":1}', b"\xff", b"[" * 60_000, b'{"room":"a"}']
)
def test_what_is_no_message_is_refused(heard: RunningFace, body: bytes) -> None:
    for path in ("/api/dismiss", "/api/mute", "/api/links/revoke", "/api/pair"):
        answer = heard.ask("POST", path, body)
        assert answer.status == 400
        assert answer.json["error"] == "what is sent is not as it should be"


def test_pages_and_their_files_are_compressed_and_asked_again(heard: RunningFace) -> None:
    page = heard.ask("GET", "/")
    assert page.status == 200
    again = heard.ask("GET", "/", if_none_match=str(page.headers["etag"]))
    assert (again.status, again.body) == (304, b"")
    assert page.headers["cache-control"] == "no-cache"
    pressed = heard.ask("GET", "/static/trust.html", accept_encoding="gzip")
    assert pressed.headers["content-encoding"] == "gzip"
    assert heard.ask("GET", "/tv").headers["location"] == "tv/"
