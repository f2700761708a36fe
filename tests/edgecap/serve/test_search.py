"""Search with the shipped model's text side: by words, by meaning, by both, and by neither."""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import UsageError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.saying.wording import hedged, sentence
from edgecap.runtime.telling import wire
from edgecap.serve.history import History
from edgecap.serve.question import Question, parse
from edgecap.serve.search import SMOOTHING, fuse
from edgecap.serve.times import parse as parse_time
from tests.said import NOON, said, store

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 31, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Every sound that the shipped model knows: alone, hedged, and with two others."""
    phrases = {each.label: each.phrase for each in Bundle.open("room-small").labels}
    phrases["alarm"] = "an alarm sounds"
    labels = list(phrases)
    messages = []
    for number, (label, phrase) in enumerate(phrases.items()):
        other, third = (labels[(number * step + step) % len(labels)] for step in (29, 47))
        for text, named in (
            (sentence(phrase.split()), [label]),
            (hedged(sentence(phrase.split())), [label]),
            (sentence(f"{phrase} while {phrases[other]}".split()), [label, other]),
            (sentence(f"{phrases[third]} , then {phrase}".split()), [third, label]),
        ):
            seq = len(messages) + 1
            sounds = [wire.Sound(each, 0.9) for each in named]
            room = ("kitchen", "hall")[seq % 2]
            messages.append(
                said(text, seq, room=room, caption=seq, start=NOON + timedelta(seconds=seq), sounds=sounds)
            )
    with store(tmp_path_factory.mktemp("home"), messages) as history:
        assert history.search("warm").by_meaning
        yield history


def questions() -> list[tuple[str, set[str]]]:
    with (ROOT / "benchmarks" / "questions.csv").open(encoding="utf-8") as file:
        return [(row["question"], set(row["labels"].split())) for row in csv.DictReader(file)]


def rank(history: History, question: str, right: set[str]) -> float:
    """1 / the place of the first right answer."""
    hits = history.search(question).results
    places = (n for n, hit in enumerate(hits, 1) if right & {sound.label for sound in hit.caption.sounds})
    return 1 / next(places, 1 << 62)


def test_a_hundred_questions_are_answered(home: History) -> None:
    """`python benchmarks/search.py` asks them of a simulated home of a million captions."""
    asked = questions()
    assert len(asked) == 100
    assert sum(rank(home, *question) for question in asked) / 100 >= 0.8


def texts(history: History, question: str) -> list[str]:
    return [hit.caption.text for hit in history.search(question).results]


@pytest.mark.parametrize(
    "words", ["barking", "Bark!", "the dog barked", "dog OR", 'a "dog', "dog* NEAR(", "DÒG"]
)
def test_words_are_found_in_every_form(words: str, home: History) -> None:
    assert "dog" in texts(home, words)[0].lower()


def test_what_shares_no_word_is_found_by_its_meaning(home: History) -> None:
    [first, *_] = home.search("kitty").results
    assert (first.by, {sound.label for sound in first.caption.sounds}) == (("meaning",), {"cat_meow"})


def test_filters_hold_whatever_is_asked(home: History) -> None:
    since = wire.timestamp(NOON + timedelta(seconds=100))
    until = wire.timestamp(NOON + timedelta(seconds=400))
    for words in ("", "someone at the door", "music"):
        found = home.search(f"room:hall after:{since[:-8]} {words}", until=wire.moment(until))
        assert found.results
        assert {hit.caption.room for hit in found.results} == {"hall"}
        assert all(
            found.query.since <= hit.caption.start < until for hit in found.results if found.query.since
        )
    assert [hit.by for hit in home.search("room:hall").results][:2] == [(), ()]
    assert home.search("room:cellar door").results == []
    assert home.search("urgent: door").results == []


@pytest.mark.parametrize("nonsense", ["", "   ", "?!", "٣ 犬", "x" * 10_000, "\0", "a " * 5000])
def test_whatever_is_typed_is_answered(nonsense: str, home: History) -> None:
    home.search(nonsense)


def test_a_dog_that_barks_all_day_leaves_room(tmp_path: Path) -> None:
    many = [said("A dog barks.", n, caption=n, start=NOON + timedelta(seconds=n)) for n in range(1, 60)]
    other = said("A dog howls.", 60, caption=60)
    with store(tmp_path, [*many, other]) as history:
        found = texts(history, "dog")
        assert found.index("A dog howls.") < 5
        barks = [
            hit.caption.start for hit in history.search("barking").results if "barks" in hit.caption.text
        ]
        assert barks == sorted(barks, reverse=True)  # the newest first


def test_where_meaning_can_t_be_told_words_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgecap.serve.meaning.BUNDLE", "no-such-bundle")
    with store(tmp_path, [said("A dog barks.")]) as history:
        found = history.search("dog")
        assert (found.by_meaning, len(found.results)) == (False, 1)
        assert not history.search("dog").by_meaning  # and not tried again at once
    assert capfd.readouterr().err.count("no-such-bundle") == 1


def test_its_process_may_die_and_comes_again(home: History) -> None:
    [child] = [p for p in psutil.Process().children() if "edgecap.serve.sentence_space" in p.cmdline()]
    child.kill()
    child.wait()
    assert home.search("someone at the door").by_meaning


def test_a_sentence_is_read_once(tmp_path: Path) -> None:
    """Its vector is in the file: another face reads no sentence again."""
    with store(tmp_path, [said("A dog barks."), said("Rain is falling.", 2, caption=2)]) as history:
        history.search("dog")
        assert history.flush()
        with History.read(tmp_path) as other, other._reader() as reader:
            assert reader is not None
            vectors = [bytes(row[0]) for row in reader.execute("SELECT embedding FROM text")]
    assert [len(vector) for vector in vectors] == [384, 384]


ORDERS = st.lists(st.integers(0, 20), max_size=15, unique=True)


@given(ORDERS, ORDERS)
def test_fused_by_reciprocal_rank(words: list[int], meaning: list[int]) -> None:
    """Each sentence once; a better place in either order never hurts; the same in both stays as it is."""
    fused = fuse({"words": words, "meaning": meaning})
    assert sorted(each.row for each in fused) == sorted({*words, *meaning})
    for each in fused:
        wanted = sum(
            1 / (SMOOTHING + order.index(each.row) + 1) for order in (words, meaning) if each.row in order
        )
        assert each.score == pytest.approx(wanted)
    assert [each.row for each in fuse({"words": words, "meaning": words})] == words


ZONE = parse_time("today", NOW).begin.tzinfo


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("someone at the door", Question(text="someone at the door")),
        ("room:kitchen dog", Question(text="dog", rooms=("kitchen",))),
        ("dog room:kitchen,hall  room:hall", Question(text="dog", rooms=("kitchen", "hall"))),
        ('ROOM:"a b" dog', Question(text="dog", rooms=("a b",))),
        ("urgent: smoke", Question(text="smoke", urgent=True)),
        ("urgent:smoke", Question(text="smoke", urgent=True)),
        ("room: after: dog", Question(text="dog")),
        ("why:not 10:30 mushroom:kitchen", Question(text="why:not 10:30 mushroom:kitchen")),
        (
            "after:2026-01-30T10:00Z before:2026-01-31T09:00Z x",
            Question(text="x", since="2026-01-30T10:00:00.000Z", until="2026-01-31T09:00:00.000Z"),
        ),
        (
            "after:2h before:1h after:3h",
            Question(text="", since="2026-01-31T13:00:00.000Z", until="2026-01-31T14:00:00.000Z"),
        ),
    ],
)
def test_a_question_is_words_and_filters(typed: str, wanted: Question) -> None:
    assert parse(typed, NOW) == wanted


@given(st.text(max_size=60))
def test_any_text_is_a_question_or_names_a_time_that_is_none(typed: str) -> None:
    try:
        found = parse(typed, NOW)
    except UsageError:
        assert re.search("(after|before|on):", typed, re.IGNORECASE)
    else:
        assert parse(found.text, NOW).text == found.text or ":" in found.text


def test_a_whole_day() -> None:
    day = parse_time("2026-01-30", NOW)
    found = parse("on:2026-01-30 dog", NOW)
    assert (found.since, found.until) == (wire.timestamp(day.begin), wire.timestamp(day.end))
    with pytest.raises(UsageError, match="'yesterdya' is no time"):
        parse("after:yesterdya dog", NOW)
