"""Reader: a pipe is watched as a microphone is, on fake time; a file is only read."""

import logging
import queue
from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.audio import RATE
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.meter import Reading
from edgecap.runtime.sound.reader import Reader

BLOCK_S = 0.16
BLOCK = round(BLOCK_S * RATE)
PATIENCE_S = 60.0


class Pipe:
    """A reader on a time of its own, and what a program writes to it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._written: queue.Queue[Block | None] = queue.Queue()
        self._is_waiting = Event()
        self.reader = Reader(self._blocks(), is_live=True, clock=lambda: self.now)
        self.index = self.read = 0
        self.history = [self.reader.health]
        self.reader.start()
        self._is_waiting.wait(PATIENCE_S)

    def _blocks(self) -> Iterator[Block]:
        while True:
            self._is_waiting.set()
            block = self._written.get()
            if block is None:
                return
            yield block

    def write(self, seconds: float, flat: bool = False) -> "Pipe":
        """At once."""
        for _ in range(round(seconds / BLOCK_S)):
            self._is_waiting.clear()
            self._written.put(Block(np.ones(BLOCK, np.float32), self.index, Reading(flat)))
            self.index += BLOCK
            while (item := self.reader.ring.get(0.01)) is None:
                pass
            self.read += item.size
            assert self._is_waiting.wait(PATIENCE_S)
            self._look()
        return self

    def hear(self, seconds: float, flat: bool = False) -> "Pipe":
        """As it sounds."""
        for _ in range(round(seconds / BLOCK_S)):
            self.wait(BLOCK_S)
            self.write(BLOCK_S, flat)
        return self

    def wait(self, seconds: float) -> "Pipe":
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + 0.05)
            self._look()
        return self

    def _look(self) -> None:
        if self.reader.health != self.history[-1]:
            self.history.append(self.reader.health)

    def close(self) -> None:
        self._written.put(None)
        self.reader.stop(PATIENCE_S)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_a_pipe_that_stalls_is_said_and_taken_back(pipe: Pipe, caplog: pytest.LogCaptureFixture) -> None:
    assert pipe.hear(5).wait(0.4).reader.health == "healthy"
    assert pipe.wait(0.2).reader.health == "stalled"
    assert pipe.wait(0.5).reader.health == "lost"
    assert pipe.wait(60).reader.health == "lost"
    assert pipe.hear(1).history == ["starting", "healthy", "stalled", "lost", "recovering", "healthy"]
    assert [record.message for record in caplog.records] == [
        "Nothing comes through the pipe. Not listening until it does.",
        "Sound comes through the pipe again.",
    ]
    assert pipe.read == pipe.index
    assert pipe.reader.lost == 0


def test_a_pipe_into_which_nothing_was_ever_written_is_said_to_bring_nothing(pipe: Pipe) -> None:
    assert pipe.wait(2.9).reader.health == "starting"
    assert pipe.wait(0.2).reader.health == "lost"
    assert pipe.hear(1).reader.health == "healthy"


@pytest.mark.parametrize("burst_s", [0.32, 0.96, 1.92, 2.88])
def test_a_program_that_writes_seconds_at_a_time_is_healthy(pipe: Pipe, burst_s: float) -> None:
    for _ in range(20):
        pipe.write(burst_s).wait(burst_s)
    assert pipe.history == ["starting", "healthy"]
    pipe.wait(4.1)  # and yet its end is missed in time
    assert pipe.reader.health == "lost"


@pytest.mark.parametrize("speed", [0.4, 1.0, 2.0, 100.0])
def test_a_program_that_writes_at_another_pace_is_healthy(pipe: Pipe, speed: float) -> None:
    for _ in range(100):
        pipe.wait(BLOCK_S / speed).write(BLOCK_S)
    assert pipe.history == ["starting", "healthy"]


def test_nothing_but_zeros_is_said_after_twenty_seconds_and_taken_back(
    pipe: Pipe, caplog: pytest.LogCaptureFixture
) -> None:
    assert pipe.hear(5).hear(19, flat=True).reader.health == "healthy"
    assert pipe.hear(2, flat=True).reader.health == "zeros"
    assert pipe.hear(60, flat=True).hear(1).history == ["starting", "healthy", "zeros", "healthy"]
    assert "Nothing but zeros comes through the pipe" in caplog.text


@given(
    st.lists(st.tuples(st.sampled_from(["hear", "flat", "write", "wait"]), st.floats(0.2, 30)), max_size=12)
)
def test_whatever_a_pipe_does_its_silence_is_missed_within_five_seconds(
    steps: list[tuple[str, float]],
) -> None:
    logging.disable()
    pipe = Pipe()
    try:
        for step, seconds in steps:
            if step == "wait":
                pipe.wait(seconds)
            elif step == "write":
                pipe.write(seconds)
            else:
                pipe.hear(seconds, step == "flat")
        pipe.wait(4.2)
        assert pipe.reader.health == "lost"
        pipe.hear(1)
        assert pipe.reader.health == "healthy"
    finally:
        logging.disable(logging.NOTSET)
        pipe.close()


def test_a_file_is_healthy_however_long_it_takes() -> None:
    now = 0.0
    reader = Reader([], is_live=False, clock=lambda: now)
    reader.start()
    now = 100.0
    assert reader.health == "healthy"
    reader.stop()
