"""Capture: every sample's worth of time is delivered, counted as lost, or known to be muted. On fake time."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.errors import MicrophoneError, UnavailableError
from edgecap.runtime.sound.blocks import Block, Delivery
from edgecap.runtime.sound.capture import Capture
from edgecap.runtime.sound.meter import Reading
from edgecap.runtime.sound.ring import Closed

BLOCK = 5120
BLOCK_S = BLOCK / RATE


class World:
    """A clock, and what goes on in the sound system. Time passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.is_there = True
        self.is_moved = False
        self.is_flat = False  # zeros, an offset, dither
        self.stalled_until = 0.0
        self.head_start_s = 0.0  # a card has recorded for so long when it is opened
        self.drops = False  # what sounded during a stall is lost in the sound system, else it comes after
        self.opened: list[Card] = []
        self.capture = Capture(self.open_card, lambda: self.now, self.wait)
        self.started = self.now
        self.delivered = 0
        self.excused_s = 0.0  # muted, or not yet begun

    def wait(self, seconds: float) -> None:
        self.now += seconds + 1e-6

    def open_card(self) -> "Card":
        self.now += 0.15
        if not self.is_there:
            raise MicrophoneError("There is no microphone")
        assert all(card.is_closed for card in self.opened), "two at once"
        self.is_moved = False
        self.opened.append(Card(self))
        return self.opened[-1]

    def run(self, seconds: float) -> "World":
        end = self.now + seconds
        while self.now < end:
            before, health = self.now, self.capture.health
            self.capture.step()
            if {health, self.capture.health} & {"muted", "starting"}:
                self.excused_s += self.now - before
            while (item := self.capture.ring.get(0)) is not None:
                self.delivered += item.size
                assert item.value.arrived_at <= self.now
        return self

    @property
    def late_s(self) -> float:
        """By how much the ring is behind the time that has passed."""
        return self.now - self.started - self.capture.ring.end / RATE

    @property
    def skipped(self) -> int:
        return self.capture.ring.end - self.delivered


class Card:
    """A sound card that records from its opening on, or from the end of a stall that it is opened in."""

    name = "card"

    def __init__(self, world: World) -> None:
        self.world = world
        self.opened_at = max(world.now, world.stalled_until) - world.head_start_s
        self.index = 0
        self.is_closed = False

    def read(self, timeout_s: float) -> Delivery | None:
        assert not self.is_closed
        world = self.world
        ready = max(self.opened_at + (self.index + BLOCK) / RATE, world.stalled_until)
        if not world.is_there or ready > world.now + timeout_s:
            world.wait(timeout_s)
            return None
        world.now = max(world.now, ready)
        if world.drops and world.now == world.stalled_until:
            self.index = round((world.now - self.opened_at) * RATE) - BLOCK
        block = Block(np.ones(BLOCK, np.float32), self.index, Reading(world.is_flat))
        self.index += BLOCK
        return Delivery(block, BLOCK_S, world.now)

    def was_moved(self) -> bool | None:
        return self.world.is_moved

    def close(self) -> None:
        self.is_closed = True


def apply(world: World, what: str, seconds: float) -> None:
    match what:
        case "stall" | "loss":
            world.drops = what == "loss"
            world.stalled_until = world.now + seconds
        case "unplug":
            world.is_there = False
        case "plug":
            world.is_there = True
        case "move":
            world.is_moved = True
        case "mute" | "unmute":
            world.capture.mute(what == "mute")
    world.run(seconds)


HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["go on", "stall", "loss", "unplug", "plug", "move", "mute", "unmute"]),
        st.sampled_from([0.1, 0.3, 0.6, 0.9, 1.3, 2.0, 7.0]) | st.floats(0.05, 10),
    ),
    max_size=15,
)


@given(HAPPENINGS)
def test_delivered_and_lost_and_skipped_is_the_time_that_passed(happenings: list[tuple[str, float]]) -> None:
    world = World()
    for what, seconds in happenings:
        apply(world, what, seconds)
    world.is_there, world.drops = True, False
    world.capture.mute(False)
    world.run(15)  # a backlog is made up, a retry comes, a stream begins
    # A block in the making, and the opening's place within a block, once an opening at most.
    assert -0.01 < world.late_s < 2 * BLOCK_S
    # What was skipped was lost or muted, but for a block at each edge between the two.
    excused = world.excused_s * RATE
    edges = 2 * BLOCK * (1 + len(happenings) + len(world.opened))
    assert 0 <= world.skipped - world.capture.lost <= excused + edges
    assert all(card.is_closed for card in world.opened[:-1])
    assert world.capture.health in ("healthy", "zeros")


@given(HAPPENINGS)
def test_without_mute_all_that_is_skipped_after_the_first_block_is_counted_as_lost(
    happenings: list[tuple[str, float]],
) -> None:
    world = World().run(1)
    not_lost = world.skipped - world.capture.lost
    for what, seconds in happenings:
        if "mute" not in what:
            apply(world, what, seconds)
    world.is_there = True
    world.run(15)
    assert world.skipped - world.capture.lost == not_lost
    assert world.delivered + world.capture.lost + not_lost == world.capture.ring.end


def test_a_loss_within_the_stream_is_counted_to_the_sample() -> None:
    world = World().run(2)
    world.drops, world.stalled_until = True, world.now + 0.75
    card = world.opened[0]
    expected = round((world.stalled_until - card.opened_at) * RATE) - BLOCK - card.index
    world.run(2)
    assert world.capture.lost == expected
    assert len(world.opened) == 1


def test_a_backlog_loses_nothing() -> None:
    world = World().run(2)
    world.stalled_until = world.now + 0.75
    world.run(2)
    assert world.capture.lost == 0


def test_what_waited_behind_a_backlog_when_the_stream_was_moved_away_is_lost() -> None:
    world = World().run(2)
    world.stalled_until, world.is_moved = world.now + 0.9, True
    world.run(3)
    assert len(world.opened) == 2
    assert world.capture.lost > 0.5 * RATE
    assert -0.01 < world.late_s < 2 * BLOCK_S


def test_a_backlog_at_the_opening_is_forgotten_at_the_next() -> None:
    """Nobody can know at the first block that more waits behind it."""
    world = World()
    world.head_start_s = 0.45
    for _ in range(10):
        world.is_moved = True
        world.run(3)
    assert len(world.opened) >= 9
    assert -0.5 < world.late_s < 2 * BLOCK_S


def test_mute_closes_it_and_loses_nothing() -> None:
    world = World().run(2)
    world.capture.mute(True)
    world.run(30)
    assert world.opened[0].is_closed
    assert world.capture.health == "muted"
    world.capture.mute(False)
    world.run(5)
    assert world.capture.health == "healthy"
    assert world.capture.lost == 0
    assert -0.01 < world.late_s < 2 * BLOCK_S


def test_nothing_but_zeros_is_said_after_twenty_seconds_and_taken_back() -> None:
    world = World().run(5)
    world.is_flat = True
    assert world.run(19).capture.health == "healthy"
    assert world.run(2).capture.health == "zeros"
    world.is_flat = False
    assert world.run(1).capture.health == "healthy"


def listen(capture: Capture) -> Iterable[int]:
    while (item := capture.ring.get(10)) is not None:
        yield item.size


def test_what_can_never_be_had_ends_the_ring_with_the_reason() -> None:
    def refuse() -> Card:
        raise UnavailableError("Microphones need PyAudio")

    capture = Capture(refuse)
    capture.start()
    with pytest.raises(UnavailableError, match="need PyAudio"):
        list(listen(capture))
    capture.stop()


def test_stopping_closes_the_source_and_ends_the_ring() -> None:
    class Silent(Card):
        def read(self, timeout_s: float) -> Delivery | None:
            capture.mute(False)  # something to do but wait
            return None

    card = Silent(World())
    capture = Capture(lambda: card)
    capture.start()
    capture.stop(30)
    assert card.is_closed or capture.ring.end == 0
    with pytest.raises(Closed):
        list(listen(capture))
