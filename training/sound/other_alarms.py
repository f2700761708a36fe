"""Alarms that keep no standard rhythm: they beep, warble or sweep as their maker liked.

They are no labels of their own and nobody learns from them: "An alarm keeps sounding" is tried on them. Each
maker takes a random generator and gives so many seconds, mono 32 kHz float32, peak about 0.5. Rhythms and
pitches vary by a tenth. Sources: DIN 33404-3 (sweep of 1200 to 500 Hz a second), BS 5839-1 (two tones of 800
and 970 Hz, sweeps between them), NEN 2575 (slow whoop); and the plain beeps of battery alarms.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...runtime.audio import RATE, Samples

Curve = NDArray[np.float64]
"""(n,) a value for each sample."""

PEAK = 0.5
EDGE_S = 0.005


def beeping(rng: Generator, duration_s: float, on_s: float, off_s: float) -> Samples:
    """One pitch on and off, 2.3 to 3.6 kHz, or two in ten at 500 to 1000 Hz."""
    hz = rng.uniform(2300, 3600) if rng.random() < 0.8 else rng.uniform(500, 1000)
    on, off = on_s * rng.uniform(0.9, 1.1), off_s * rng.uniform(0.9, 1.1)
    time = _time(duration_s)
    at = time % (on + off)
    envelope = np.clip(np.minimum(at, on - at) / EDGE_S, 0.0, 1.0)
    return _peaked(envelope * _shaped(rng, 2 * np.pi * hz * time))


def two_tone(rng: Generator, duration_s: float) -> Samples:
    """High and low in turn, a quarter to half a second each."""
    low = rng.uniform(600, 2400)
    high, each = low * rng.uniform(1.15, 1.5), rng.uniform(0.2, 0.55)
    turn = (_time(duration_s) / each).astype(int) % 2
    return _peaked(_swept(rng, np.where(turn, high, low)))


def sweep(rng: Generator, duration_s: float) -> Samples:
    """Up, down, or up and down between two pitches, so often a second; no pause."""
    low = rng.uniform(500, 2400)
    high, rate = low * rng.uniform(1.2, 2.4), rng.uniform(0.9, 7.0)
    turn = (_time(duration_s) * rate) % 1.0
    shape = (turn, 1 - turn, 1 - np.abs(2 * turn - 1))[int(rng.integers(3))]
    return _peaked(_swept(rng, low + (high - low) * shape))


def whoop(rng: Generator, duration_s: float) -> Samples:
    """500 to 1200 Hz within 1.5 to 3.5 s, half a second of pause, and again."""
    rise, rest = rng.uniform(1.5, 3.5), 0.5
    at = _time(duration_s) % (rise + rest)
    hz = 500 + 700 * np.minimum(at / rise, 1.0)
    envelope = np.clip(np.minimum(at, rise - at) / EDGE_S, 0.0, 1.0)
    return _peaked(envelope * _swept(rng, hz))


def chirps(rng: Generator, duration_s: float, every_s: float) -> Samples:
    """A battery alarm that wants a battery: 25 to 100 ms at 2.9 to 3.5 kHz, every so many seconds."""
    hz, on = rng.uniform(2900, 3500), rng.uniform(0.025, 0.1)
    time = _time(duration_s)
    at = (time - 0.5 * every_s) % every_s
    envelope = np.clip(np.minimum(at, on - at) / 0.002, 0.0, 1.0)
    return _peaked(envelope * np.sin(2 * np.pi * hz * time))


OTHER_ALARMS: dict[str, Callable[[Generator, float], Samples]] = {
    "beeps 0.33/0.33": lambda rng, s: beeping(rng, s, 0.33, 0.33),
    "beeps 0.1/0.1": lambda rng, s: beeping(rng, s, 0.1, 0.1),
    "beeps 1/0.5": lambda rng, s: beeping(rng, s, 1.0, 0.5),
    "beeps 0.5/0.5": lambda rng, s: beeping(rng, s, 0.5, 0.5),
    "two tones": two_tone,
    "sweep": sweep,
    "slow whoop": whoop,
}
"""What it is called here -> its maker."""


def _time(duration_s: float) -> Curve:
    return np.arange(int(duration_s * RATE)) / RATE


def _shaped(rng: Generator, phase: Curve) -> Samples:
    """A piezo's sine with some of its third harmonic."""
    return np.asarray(np.sin(phase) + rng.uniform(0.0, 0.35) * np.sin(3 * phase), np.float32)


def _swept(rng: Generator, hz: Curve) -> Samples:
    return _shaped(rng, 2 * np.pi * np.cumsum(hz) / RATE)


def _peaked(samples: Samples | Curve) -> Samples:
    return np.asarray(PEAK * samples / np.abs(samples).max(), np.float32)
