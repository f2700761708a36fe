"""While you were away: a day of a home in at most twelve lines, the same whatever order it came in."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.runtime.telling import wire
from edgecap.serve.away import MOST_LINES, MOST_NEW
from edgecap.serve.history import History
from edgecap.serve.times import midnight
from tests.said import said, store

DAY = midnight(datetime(2026, 1, 31).date())


def at(clock: str, days_ago: int = 0) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return (DAY - timedelta(days=days_ago) + timedelta(hours=hour, minutes=minute)).astimezone(UTC)


class Home:
    """Captions in the order in which they were said."""

    def __init__(self) -> None:
        self.messages: list[wire.CaptionMessage] = []

    def hears(
        self,
        clock: str,
        text: str,
        room: str = "kitchen",
        *,
        minutes: float = 0.1,
        priority: wire.Priority = "normal",
        days_ago: int = 0,
    ) -> None:
        seq = len(self.messages) + 1
        self.messages.append(
            said(
                text,
                seq,
                caption=seq,
                room=room,
                event="end",
                start=at(clock, days_ago),
                lasted_s=60 * minutes,
                priority=priority,
            )
        )


@pytest.fixture
def home() -> Home:
    """A fortnight of which most is known: a dog, a tap, a doorbell, a washing machine."""
    home = Home()
    for days_ago in (14, 3, 1):
        for text in ("A dog barks.", "Water is running from a tap.", "A washing machine is running."):
            home.hears("09:00", text, days_ago=days_ago)
        home.hears("10:00", "A doorbell rings.", "hall", days_ago=days_ago, priority="call")
    home.hears("08:00", "A dog barks.")
    return home


def lines(history: History, since: str, until: str = "20:00") -> list[tuple[object, ...]]:
    away = history.away(at(since), at(until))
    return [(line.kind, line.room, line.text, line.count, line.new) for line in away.lines]


def test_urgent_first_then_what_is_new_then_the_rest_room_by_room(home: Home, tmp_path: Path) -> None:
    home.hears("11:00", "A dog barks.")
    home.hears("11:05", "Possibly a dog barks while water is running from a tap.")
    home.hears("12:00", "An owl hoots.", "hall")
    home.hears("13:00", "A smoke alarm beeps.", priority="urgent", minutes=2)
    home.hears("13:01", "A smoke alarm beeps while a dog barks.", priority="urgent")
    home.hears("14:00", "A doorbell rings.", "hall", priority="call")
    with store(tmp_path, home.messages) as history:
        away = history.away(at("10:00"), at("20:00"))
        assert lines(history, "10:00") == [
            ("urgent", "kitchen", "A smoke alarm beeps.", 2, "ever"),
            ("new", "hall", "An owl hoots.", 1, "ever"),
            ("new", "kitchen", "Water is running from a tap.", 1, "today"),
            ("new", "hall", "A doorbell rings.", 1, "today"),
            ("count", "kitchen", "A dog barks.", 2, None),
        ]
        assert (away.total, away.left) == (6, 0)
        # From the day's beginning on nothing of it is new today.
        assert {line[4] for line in lines(history, "00:00")} == {"ever", None}


def test_what_pauses_is_told_as_one_span(home: Home, tmp_path: Path) -> None:
    for clock, minutes in (("14:02", 5), ("14:10", 20), ("14:38", 13), ("17:00", 1)):
        home.hears(clock, "A washing machine is running.", minutes=minutes, priority="ambient")
    with store(tmp_path, home.messages) as history:
        [line] = history.away(at("12:00"), at("20:00")).lines
        spans = [tuple(wire.moment(each) for each in span) for span in line.spans]
        assert spans == [(at("14:02"), at("14:51")), (at("17:00"), at("17:01"))]
        assert (wire.moment(line.first), wire.moment(line.last)) == (at("14:02"), at("17:01"))
        assert (line.count, line.priority) == (4, "ambient")


def test_in_a_young_history_nothing_is_new(tmp_path: Path) -> None:
    """All would be."""
    home = Home()
    home.hears("08:00", "A dog barks.", days_ago=2)
    home.hears("12:00", "An owl hoots.")
    with store(tmp_path, home.messages) as history:
        assert lines(history, "00:00") == [("count", "kitchen", "An owl hoots.", 1, None)]


def test_many_sounds_leave_room_for_each_kind_and_each_room(home: Home, tmp_path: Path) -> None:
    for number in range(30):
        home.hears(f"12:{number:02d}", f"Thing {'abcdefghijklmnopqrstuvwxyzäöüß'[number]} rattles.", "cellar")
    for number in range(5):
        home.hears(f"13:{number:02d}", "Water is running from a tap.")
        home.hears(f"14:{number:02d}", "A dog barks.", "hall")
    with store(tmp_path, home.messages) as history:
        away = history.away(at("00:00"), at("20:00"))
        assert len(away.lines) == MOST_LINES
        assert [line.kind for line in away.lines].count("new") == MOST_NEW
        assert {line.room for line in away.lines} == {"cellar", "hall", "kitchen"}
        assert len(away.lines) + away.left == 33


SENTENCES = st.sampled_from(
    [
        "A dog barks.",
        "Possibly a dog barks.",
        "A dog barks, then glass breaks.",
        "Glass breaks.",
        "Rain is falling.",
        "An owl hoots while rain is falling.",
        "犬",
        "",
    ]
)


@settings(max_examples=20)
@given(
    heard=st.lists(
        st.tuples(
            SENTENCES,
            st.integers(0, 23),
            st.sampled_from(["kitchen", "hall"]),
            st.sampled_from(["urgent", "normal", "call"]),
        ),
        max_size=30,
    ),
    order=st.randoms(use_true_random=False),
)
def test_the_same_captions_give_the_same_lines(
    heard: list[tuple[str, int, str, wire.Priority]],
    order: random.Random,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = Home()
    for text, hour, room, priority in heard:
        home.hears(f"{hour}:00", text, room, priority=priority)
    shuffled = list(home.messages)
    order.shuffle(shuffled)
    with store(tmp_path_factory.mktemp("one"), home.messages) as one:
        told = one.away(at("00:00"), at("23:59"))
    with store(tmp_path_factory.mktemp("other"), shuffled) as other:
        assert other.away(at("00:00"), at("23:59")) == told
    assert told.total == len(heard)
    assert len(told.lines) <= MOST_LINES
    kinds = [line.kind for line in told.lines]
    assert kinds == sorted(kinds, key=["urgent", "new", "count"].index)
    urgent = {text for text, _, _, priority in heard if priority == "urgent"}
    assert bool(urgent) == ("urgent" in kinds)
