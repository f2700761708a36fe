"""Endless sounds, a second at a time: silence, noises, and recordings joined without a seam."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.random import Generator
from scipy.signal import lfilter, lfiltic

from ....runtime.audio import RATE, Samples
from ...sound import augment

Stream = Iterator[Samples]
"""Blocks of a second, without end."""

PINK = (
    (0.049922035, -0.095993537, 0.050612699, -0.004408786),
    (1.0, -2.494956002, 2.017265875, -0.522189400),
)
"""Numerator and denominator of a filter that falls by 3 dB an octave, within half a dB
(Smith, Spectral Audio Signal Processing, "Synthesis of 1/F noise")."""


def lasting(stream: Stream, duration_s: float) -> Iterator[Samples]:
    """The stream's first so many seconds, rounded up."""
    return islice(stream, int(np.ceil(duration_s)))


def silence() -> Stream:
    """Digital silence."""
    while True:
        yield np.zeros(RATE, np.float32)


def white(rng: Generator, level_db: float) -> Stream:
    """White noise of this RMS, dBFS."""
    gain = np.float32(10 ** (level_db / 20))
    while True:
        yield gain * rng.standard_normal(RATE, np.float32)


def pink(rng: Generator, level_db: float) -> Stream:
    """Pink noise of this RMS, dBFS."""
    impulse = np.zeros(1 << 16)
    impulse[0] = 1.0
    gain = 10 ** (level_db / 20) / np.sqrt(np.sum(lfilter(*PINK, impulse) ** 2))
    state = lfiltic(*PINK, [])
    while True:
        block, state = lfilter(*PINK, gain * rng.standard_normal(RATE), zi=state)
        yield block.astype(np.float32)


def hum(over: Stream, level_db: float, hz: int = 50, partials: int = 4) -> Stream:
    """Mains hum of this RMS, dBFS, over a sound: multiples of hz, the kth 1 / k as loud as the first."""
    time = np.arange(RATE) / RATE
    wave = np.sum([np.sin(2 * np.pi * hz * k * time + k) / k for k in range(1, partials + 1)], axis=0)
    wave *= 10 ** (level_db / 20) / np.sqrt(np.mean(wave**2))
    for second in over:
        yield second + wave.astype(np.float32)


def looped(sounds: Sequence[Samples], rng: Generator) -> Stream:
    """These sounds again and again, in ever new order."""

    def endless() -> Iterator[Samples]:
        while True:
            for i in rng.permutation(len(sounds)):
                yield sounds[i]

    return augment.joined(endless())
