"""Timeline: when a sample was, on fake time, for each kind of source and each kind of trouble."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.timeline import JUMP_S, WINDOW_S, Timeline

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BLOCK_S = 0.16
BLOCK = round(BLOCK_S * RATE)


class Pipe:
    """A live source on fake time, whose every sample is known to have sounded when it did.

    ppm: how much slower its clock runs than time. Seconds are counted from the start.
    """

    def __init__(self, ppm: float = 0.0, block: int = BLOCK) -> None:
        self.timeline = Timeline(NOON, 500.0, is_live=True)
        self.slowness = 1 + ppm * 1e-6
        self.block = block
        self.position = 0
        self.now = 0.0
        self.sounded = 0.0  # until when the sound goes that has been delivered
        self.wall_s = 0.0  # by how much the wall clock was set

    def deliver(self, delay_s: float = 0.0) -> None:
        """The next block, which has sounded by now less the delay."""
        self.sounded += self.block / RATE * self.slowness
        self.now = max(self.now, self.sounded + delay_s)
        self.position += self.block
        self.timeline.arrived(self.position, 500.0 + self.now)

    def run(self, seconds: float, delays: Iterable[float] = ()) -> "Pipe":
        queue = list(delays)
        end = self.sounded + seconds
        while self.sounded < end - 1e-9:
            queue.append(queue.pop(0)) if queue else None
            self.deliver(queue[-1] if queue else 0.0)
            self.tell_time()
        return self

    def stall(self, seconds: float) -> "Pipe":
        """The producer stops: nothing sounds in it meanwhile."""
        self.sounded += seconds
        return self

    def tell_time(self) -> None:
        wall = NOON + timedelta(seconds=self.now + self.wall_s)
        self.timeline.clock(wall, 500.0 + self.now)

    def told(self, position: int | None = None) -> float:
        """Seconds since noon at which that sample is said to have sounded."""
        return (self.timeline.utc(self.position if position is None else position) - NOON).total_seconds()

    @property
    def error(self) -> float:
        return self.told() - self.sounded - self.wall_s


def test_a_file_is_never_corrected() -> None:
    timeline = Timeline(NOON, 0.0, is_live=False)
    for second in range(1, 100):
        timeline.arrived(second * RATE, 3.0 * second)
        timeline.clock(NOON + timedelta(hours=second), 3.0 * second)
    assert timeline.utc(50 * RATE) == NOON + timedelta(seconds=50)


@pytest.mark.parametrize("ppm", [100, -100, 500, -500])
def test_the_clock_of_a_card_is_followed_for_a_day(ppm: int) -> None:
    """Uncorrected, 100 ppm are 8.6 s."""
    pipe = Pipe(ppm, block=5 * BLOCK)
    pipe.run(60)
    worst = largest_step = 0.0
    while pipe.now < 86_400:
        before = pipe.told()
        pipe.deliver()
        largest_step = max(largest_step, abs(pipe.told(pipe.position - pipe.block) - before))
        worst = max(worst, abs(pipe.error))
    assert worst < 0.010
    assert largest_step < 0.001  # smoothly


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_is_followed_at_once(hours: int) -> None:
    pipe = Pipe().run(60)
    before = pipe.told(pipe.position - 1)
    pipe.wall_s = 3600.0 * hours
    pipe.tell_time()
    assert pipe.error == pytest.approx(0, abs=1e-4)
    assert pipe.told(pipe.position - 1) == before  # what had come by then keeps the time of then
    assert pipe.run(60).error == pytest.approx(0, abs=1e-4)


def test_a_stall_shifts_the_times_after_it_once_it_is_clear_that_they_stay_late() -> None:
    pipe = Pipe().run(60)
    before_it = pipe.position
    pipe.stall(30).run(0.7)
    assert pipe.error == pytest.approx(0, abs=0.005)
    assert pipe.told(before_it - 1) == pytest.approx(60, abs=0.005)
    assert pipe.told(before_it + BLOCK) == pytest.approx(90.16, abs=0.005)


@pytest.mark.parametrize("speed", [2, 10, 1000])
def test_a_backlog_that_catches_up_moves_nothing(speed: float) -> None:
    """The network stops for 30 s, and then brings all that it kept, at some pace."""
    pipe = Pipe().run(60)
    told = {}
    begin = pipe.now + 30
    while pipe.sounded < pipe.now or pipe.now < begin:
        waits = begin + (pipe.sounded - 60) / speed - pipe.sounded - BLOCK_S
        pipe.deliver(max(0.0, waits))
        told[pipe.position] = pipe.error
    pipe.run(10)
    assert max(map(abs, told.values())) < 0.005
    assert abs(pipe.error) < 0.005


def test_a_backlog_at_the_start_sounded_before_it_was_read() -> None:
    """A program that has recorded for a second before anyone read: known before its first caption can be."""
    timeline = Timeline(NOON, 500.0, is_live=True)
    for block in range(1, 11):
        timeline.arrived(block * BLOCK, 500.01 + max(0.0, block * BLOCK_S - 1.0))
    assert (timeline.utc(RATE // 2) - NOON).total_seconds() == pytest.approx(-0.49, abs=0.005)


def test_a_pipe_that_begins_later_than_the_room_is_timed_by_its_first_block() -> None:
    pipe = Pipe().stall(5)
    pipe.deliver()
    assert pipe.error == pytest.approx(0, abs=1e-4)
    assert pipe.told(0) == pytest.approx(5, abs=1e-4)


@pytest.mark.parametrize("speed", [1.5, 20, 400])
def test_a_recording_through_a_pipe_has_its_own_times(speed: float) -> None:
    timeline = Timeline(NOON, 500.0, is_live=True)
    for block in range(1, 1000):
        timeline.arrived(block * BLOCK, 500 + block * BLOCK_S / speed)
        expected = NOON + timedelta(seconds=block * BLOCK_S)
        assert timeline.utc(block * BLOCK) == expected
    timeline.clock(NOON + timedelta(days=1), 500 + 160 / speed)
    timeline.arrived(1000 * BLOCK, 10_000.0)
    assert timeline.utc(1000 * BLOCK) == NOON + timedelta(seconds=160)


def test_jitter_and_bursts_move_nothing() -> None:
    """Blocks that wait 0 to 0.5 s, and a producer that writes four seconds at a time."""
    jittery = Pipe().run(30, delays=[0.0, 0.5, 0.3, 0.01, 0.2, 0.1, 0.0])
    assert abs(jittery.error) < 0.02
    bursts = Pipe()
    for _ in range(20):
        for block in range(25):
            bursts.deliver(delay_s=BLOCK_S * (24 - block))
    assert abs(bursts.error) < 0.02


@pytest.mark.parametrize("pace", [0.25, 0.5, 0.9])
def test_a_writer_slower_than_time_is_timed_by_when_it_writes(pace: float) -> None:
    pipe = Pipe(ppm=1e6 * (1 / pace - 1)).run(60)
    assert -WINDOW_S < pipe.error < 0.01


def test_bursts_after_a_stall_are_timed_as_before_it() -> None:
    """A second at a time; the last of each burst came soonest."""
    pipe = Pipe()
    for stall_s in (0, 25):
        pipe.stall(stall_s)
        for _ in range(6):
            for block in range(6):
                pipe.deliver(delay_s=BLOCK_S * (5 - block))
        assert abs(pipe.error) < 0.02


TROUBLE = st.one_of(
    st.tuples(st.just("run"), st.floats(0.2, 20)),
    st.tuples(st.just("stall"), st.floats(0.0, 100)),
    st.tuples(st.just("late"), st.floats(0.0, 20)),
    st.tuples(st.just("set"), st.floats(-5000, 5000)),
)


@given(
    st.lists(TROUBLE, max_size=12),
    st.floats(-500, 500),
    st.lists(st.floats(0, 0.05), min_size=1, max_size=9),
)
def test_whatever_happened_the_times_are_right_again_after_a_while(
    troubles: list[tuple[str, float]], ppm: float, jitter: list[float]
) -> None:
    pipe = Pipe(ppm)
    for kind, amount in troubles:
        if kind == "run":
            pipe.run(amount, jitter)
        elif kind == "stall":
            pipe.stall(amount)
        elif kind == "late":  # a block that waits, and behind it those that came meanwhile
            pipe.deliver(amount)
        else:
            pipe.wall_s += amount
            pipe.tell_time()
    pipe.run(25, jitter)  # the longest backlog is made up, and the window is past it
    assert abs(pipe.error) <= JUMP_S + max(jitter)
    assert abs(pipe.run(60, jitter).error) < 0.02 + max(jitter)
