"""A running capture that notes all that it brings, and what it should have brought."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.sound.capture import Capture
from edgecap.runtime.sound.microphone import opener

ROOM = "room"


class Listener:
    """A running capture, and all that it brought."""

    def __init__(self, wanted: str = ROOM) -> None:
        self.capture = Capture(opener(wanted))
        self.parts: list[Samples] = []
        self.position = 0
        self.gaps: list[int] = []
        self.health: list[str] = []
        self.started_at = time.monotonic()

    def __enter__(self) -> "Listener":
        self.capture.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.stop()

    def until(self, true: Callable[[], bool], within_s: float) -> float:
        """Listen until it is true; how long that took. Fails after `within_s`."""
        start = time.monotonic()
        while not true():
            assert time.monotonic() - start < within_s, f"not within {within_s} s: {self.health}"
            self._take()
        return time.monotonic() - start

    def listen(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._take()

    def late_s(self) -> float:
        """By how much the count of samples is behind the time that has passed."""
        return time.monotonic() - self.started_at - self.position / RATE

    def is_healthy(self) -> bool:
        return self.capture.health == "healthy"

    def _take(self) -> None:
        item = self.capture.ring.get(0.05)
        if self.capture.health not in self.health[-1:]:
            self.health.append(self.capture.health)
        if item is not None:
            if item.index > self.position:
                self.gaps.append(item.index - self.position)
            self.parts.append(item.value.samples)
            self.position = item.index + item.size

    @property
    def heard(self) -> Samples:
        return np.concatenate(self.parts)


def assert_hears(heard: Samples, noise: Samples) -> None:
    """The noise, sample for sample, wherever it begins."""
    start, first = int(np.flatnonzero(heard)[0]), int(np.flatnonzero(noise)[0])
    np.testing.assert_array_equal(heard[start : start + len(noise) - first], noise[first:])


def noise_file(folder: Path, seconds: float, seed: int = 5) -> tuple[Path, Samples]:
    noise = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)
    path = folder / f"noise{seed}.wav"
    soundfile.write(path, noise, RATE)
    return path, noise / np.float32(32768)


def start_of(heard: Samples) -> int:
    """Where the first sound is; the end where there is none."""
    loud = np.flatnonzero(heard)
    return int(loud[0]) if len(loud) else len(heard)
