"""`edgecap run` on a pipe: what is wrong with what comes, or that nothing comes, is said and taken back."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.telling import wire
from tests import handmade
from tests.piped import PipedRoom


def noise(seed: int, seconds: int, level: float) -> Samples:
    return (level * np.random.default_rng(seed).standard_normal(seconds * RATE)).astype(np.float32)


@contextmanager
def room_of(*flags: str) -> Iterator[PipedRoom]:
    room = PipedRoom(subprocess.DEVNULL, *flags)
    try:
        yield room
    finally:
        room.close()


def test_a_pipe_that_stalls_and_comes_back() -> None:
    with room_of() as room:
        room.play(handmade.silence(1), handmade.dog(2))
        status = room.next_status(lambda status: status.state == "no-microphone")
        assert status.capture == "lost"
        ended = room.next_status(lambda status: status.live is None)
        assert ended.last == 2  # the dog began and, since nothing more was heard of it, is over
        room.play(handmade.silence(1), handmade.bell(2))
        assert "bell rings." in room.next_new()
        back = room.next_status(lambda status: status.capture == "healthy")
        assert back.state in ("listening", "quiet")


def test_dead_and_opposed_channels_are_told_and_taken_back() -> None:
    with room_of("--channels", "3") as room:
        sound, other = noise(1, 12, 0.05), noise(2, 12, 0.05)
        room.play(np.stack([sound, np.zeros_like(sound), -sound], axis=1).ravel())
        status = room.next_status(lambda status: bool(status.input and status.input.dead))
        assert status.input == wire.Input("pipe", dead=(2,), opposed=(3,))
        room.play(np.stack([sound, other, sound], axis=1).ravel())
        room.next_status(lambda status: status.input == wire.Input("pipe"))


def test_clipping_and_too_quiet_are_told_and_taken_back() -> None:
    with room_of() as room:
        room.play(np.clip(noise(1, 4, 2.0), -1, 1))
        room.next_status(lambda status: status.input is not None and status.input.verdict == "clipping")
        room.play(noise(1, 12, 0.05))
        room.next_status(lambda status: status.input == wire.Input("pipe"))
    with room_of() as room:
        bells = [part for _ in range(4) for part in (handmade.silence(1), 0.03 * handmade.bell(0.5))]
        room.play(noise(3, 12, 2e-5) + np.pad(np.concatenate(bells), (6 * RATE, 0))[: 12 * RATE])
        assert room.next_new().endswith("bell rings.")
        status = room.next_status(lambda status: status.input is not None and status.input.verdict != "good")
        assert status.input is not None
        assert status.input.verdict == "too quiet"
        room.play(handmade.silence(1), handmade.bell(1))
        room.next_status(lambda status: status.input == wire.Input("pipe"))
