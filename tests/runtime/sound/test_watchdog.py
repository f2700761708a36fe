"""Watchdog: what is said of a microphone and when, on fake time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.sound.watchdog import RETRY_FIRST_S, RETRY_MOST_S, STEADY_S, Watchdog

BLOCK_S = 0.1


class Room:
    """A watchdog and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.dog = Watchdog(self.now)
        self.history = [self.dog.health]
        self.holes = 0

    def hear(self, seconds: float, zeros: bool = False) -> "Room":
        for _ in range(round(seconds / BLOCK_S)):
            self.now += BLOCK_S
            self.holes += self.dog.block(self.now, BLOCK_S, zeros)
            self._note()
        return self

    def wait(self, seconds: float) -> "Room":
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.dog.tick(self.now)
            self._note()
        return self

    def open(self) -> "Room":
        self.dog.opened(self.now)
        self._note()
        return self

    def lose(self) -> "Room":
        self.dog.lost(self.now)
        self._note()
        return self

    def _note(self) -> None:
        if self.dog.health != self.history[-1]:
            self.history.append(self.dog.health)


def test_a_good_microphone_is_healthy_from_its_first_block() -> None:
    assert Room().open().hear(0.1).dog.health == "healthy"


def test_it_opens_at_once_at_the_start() -> None:
    room = Room()
    assert room.dog.should_reopen(room.now)


def test_a_stream_that_falls_silent_is_lost_within_a_second() -> None:
    room = Room().open().hear(5)
    assert room.wait(0.4).dog.health == "healthy"
    assert room.wait(0.2).dog.health == "stalled"
    assert room.wait(0.5).dog.health == "lost"
    assert not room.dog.is_open


def test_a_short_hole_heals_and_is_told() -> None:
    room = Room().open().hear(5).wait(0.7)
    assert room.history == ["starting", "healthy", "stalled"]
    assert room.hear(0.1).dog.health == "healthy"
    assert room.holes == 1
    room.hear(1)
    assert room.holes == 1


def test_a_stream_that_never_begins_is_lost() -> None:
    room = Room().open().wait(2.9)
    assert room.dog.health == "starting"
    assert room.wait(0.2).dog.health == "lost"


def test_back_again_is_recovering_until_it_is_steady() -> None:
    room = Room().open().hear(5).lose().wait(3).open()
    assert room.dog.health == "recovering"
    room.hear(STEADY_S)
    assert room.dog.health == "recovering"
    room.hear(0.2)
    assert room.history == ["starting", "healthy", "lost", "recovering", "healthy"]


def test_retries_come_quickly_at_first_then_slower_never_slower_than_the_promise() -> None:
    room = Room()
    waits = []
    for _ in range(8):
        room.lose()
        waits.append(room.dog.patience(room.now))
        assert not room.dog.should_reopen(room.now)
        room.now += waits[-1]
        assert room.dog.should_reopen(room.now + 1e-6)
    assert waits[:4] == pytest.approx([RETRY_FIRST_S * 2**n for n in range(4)])
    assert waits[-1] == pytest.approx(RETRY_MOST_S)
    # 5 s from its return to captions: the wait, 0.15 s to open, 1.5 s to the first caption.
    assert max(waits) + 0.15 + 1.5 < 5


def test_a_long_good_run_makes_the_next_retry_quick_again() -> None:
    room = Room()
    for _ in range(8):
        room.lose()
    room.open().hear(60).wait(2)  # through stalled, which must not hide the good run
    assert room.dog.health == "lost"
    assert room.dog.patience(room.now) <= RETRY_FIRST_S


def test_a_flapping_microphone_is_not_retried_ever_faster() -> None:
    room = Room()
    for _ in range(8):
        room.lose().open().hear(2)
    room.lose()
    assert room.dog.patience(room.now) == pytest.approx(RETRY_MOST_S)


def test_nothing_but_zeros_is_said_within_thirty_seconds() -> None:
    room = Room().open().hear(5).hear(19, zeros=True)
    assert room.dog.health == "healthy"
    assert room.hear(2, zeros=True).dog.health == "zeros"


def test_zeros_are_mended_by_reopening_once_and_then_rarely() -> None:
    room = Room().open().hear(21, zeros=True)
    assert room.dog.should_reopen(room.now)
    assert not room.dog.should_reopen(room.now + 1)
    room.open().hear(30, zeros=True)
    assert room.history == ["starting", "healthy", "zeros"]
    assert not room.dog.should_reopen(room.now)
    assert room.hear(31, zeros=True).dog.should_reopen(room.now)


def test_a_click_among_zeros_does_not_make_it_flap() -> None:
    room = Room().open().hear(25, zeros=True)
    for _ in range(10):
        room.hear(0.1).hear(5, zeros=True)
    assert room.history == ["starting", "healthy", "zeros"]
    assert room.hear(0.5).dog.health == "healthy"


def test_a_quiet_room_is_not_zeros() -> None:
    room = Room().open()
    for _ in range(30):
        room.hear(5, zeros=True).hear(0.1)
    assert room.history == ["starting", "healthy"]


@given(
    st.lists(
        st.sampled_from(["hear", "zeros", "wait", "open", "lose"]).flatmap(
            lambda word: st.tuples(st.just(word), st.sampled_from([0.1, 0.4, 0.7, 1.5, 30.0]))
        ),
        max_size=25,
    )
)
def test_it_never_stays_deaf_in_silence(steps: list[tuple[str, float]]) -> None:
    """Whatever happened: 6 s without a block, and it says so and asks for reopening."""
    room = Room()
    for step, seconds in steps:
        if step == "open":
            room.open()
        elif step == "lose":
            room.lose()
        elif room.dog.is_open:
            room.hear(seconds, step == "zeros") if step != "wait" else room.wait(seconds)
        else:
            room.wait(seconds)
        assert 0 <= room.dog.patience(room.now) <= 3.1
    room.wait(6)  # the patience with a new stream, the longest back-off, and a tick for each
    assert room.dog.health in ("lost", "starting")
    assert not room.dog.is_open
    assert room.dog.should_reopen(room.now)
