"""Frame count: what a sound card lost is found from when it says that it recorded, on fake time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.sound.frame_count import GAP_S, FrameCount

RATE = 48_000
BLOCK = 7680
BLOCK_S = BLOCK / RATE


class Card:
    """A card that records for ever; `ppm` is how slow its clock is. Its own clock began at 3 s."""

    def __init__(self, ppm: float = 0.0, knows: bool = True) -> None:
        self.count = FrameCount(RATE)
        self.rate = RATE / (1 + ppm * 1e-6)
        self.knows = knows
        self.now = 0.0  # until when the sound has been delivered, or lost
        self.missing = 0

    def deliver(self, waver_s: float = 0.0, delay_s: float = 0.0, overflowed: bool = False) -> int:
        begin, self.now = self.now, self.now + BLOCK / self.rate
        recorded_at = 3.0 + begin - waver_s if self.knows else 0.0
        missing = self.count.missing_before(BLOCK, recorded_at, 100 + self.now + delay_s, overflowed)
        self.missing += missing
        return missing

    def lose(self, seconds: float) -> None:
        self.now += seconds


WAVER = st.floats(0, 0.04)  # a buffer that was read late says so: up to 50 ms too early were seen


@given(
    st.lists(st.tuples(WAVER, st.floats(0, 2)), max_size=200),
    st.floats(-500, 500),
)
def test_nothing_is_missing_where_nothing_was_lost(blocks: list[tuple[float, float]], ppm: float) -> None:
    card = Card(ppm)
    for waver, delay in blocks:
        card.deliver(waver, delay)
    assert card.missing == 0


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0.15, 30), WAVER), max_size=10),
    st.floats(-500, 500),
)
def test_what_was_lost_is_missing_just_before_what_came_then(
    losses: list[tuple[int, float, float]], ppm: float
) -> None:
    card = Card(ppm)
    for blocks, lost_s, waver in losses:
        for _ in range(blocks):
            assert card.deliver() == 0
        card.lose(lost_s)
        assert abs(card.deliver(waver) / RATE - lost_s) < 0.06


def test_an_overflow_is_believed_below_what_wavers() -> None:
    card = Card()
    for _ in range(20):
        card.deliver()
    card.lose(0.03)
    assert card.deliver(overflowed=True) == pytest.approx(1440, abs=20)
    assert card.deliver(overflowed=True) < 20  # nothing was lost this time


def test_a_backlog_is_no_loss_even_after_two_seconds() -> None:
    card = Card()
    for _ in range(20):
        card.deliver()
    for waiting in range(12, -1, -1):
        assert card.deliver(delay_s=waiting * BLOCK_S, waver_s=0.01 * (waiting % 4)) == 0


def test_where_the_sound_system_does_not_know_when_an_overflow_counts_by_the_clock() -> None:
    card = Card(knows=False)
    for _ in range(20):
        card.deliver()
    card.lose(0.8)
    assert card.deliver() == 0
    assert card.deliver(overflowed=True) == pytest.approx(0.8 * RATE, abs=40)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_a_sound_system_that_tells_nonsense_can_not_run_ahead_of_time(recorded_at: list[float]) -> None:
    count, frames, now = FrameCount(RATE), 0, 0.0
    for told in recorded_at:
        now += BLOCK_S
        frames += count.missing_before(BLOCK, told, now, False) + BLOCK
        assert frames / RATE <= now * 1.001 + GAP_S
    assert frames / RATE <= now * 1.001 + GAP_S
