"""What a room and a microphone do to a sound: reverberation, noise floors, filters, speed, level, seams."""

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.signal import butter, fftconvolve, sosfilt

from ...runtime.audio import RATE, Samples


def room_response(rng: Generator, rt60_s: float | None = None, drr_db: float | None = None) -> Samples:
    """(n,) a simulated room's impulse response: direct sound, early reflections, a tail; energy 1.

    The tail is noise that dies away exponentially, its high frequencies sooner (Polack, La transmission de
    l'énergie sonore dans les salles, 1988); a few reflections come before it and with it. Its first sample is
    the direct sound, and there is no delay before that.

    rt60_s: seconds in which the tail falls by 60 dB; None: drawn as training has it, 0.2 to 1.2.
    drr_db: energy of the direct sound over that of all the rest, dB; None: a tail 0 to 18 dB below the direct
    sound, and reflections as they come.
    """
    rt60 = rng.uniform(0.2, 1.2) if rt60_s is None else rt60_s
    n = int(rt60 * 0.8 * RATE)
    time = np.arange(n) / RATE
    # High frequencies die sooner: the tail is white noise that a one-pole-like blend darkens with time.
    noise = rng.normal(size=n)
    dark = np.convolve(noise, np.ones(9) / 3.0, "same")
    blend = np.exp(-time / (0.3 * rt60))
    tail = (noise * blend + dark * (1 - blend)) * 10 ** (-3 * time / rt60)
    tail[: int(rng.uniform(0.005, 0.03) * RATE)] = 0
    tail_db = rng.uniform(-18, 0) if drr_db is None else 0.0  # a room that is asked for rings as it was asked
    response = tail / np.sqrt(np.sum(tail**2)) * 10 ** (tail_db / 20)
    response[0] = 1.0
    for _ in range(int(rng.integers(3, 9))):
        response[int(rng.uniform(0.001, 0.03) * RATE)] += rng.uniform(-0.5, 0.5)
    if drr_db is not None:
        response[1:] *= 10 ** (-drr_db / 20) / np.sqrt(np.sum(response[1:] ** 2))
    return np.asarray(response / np.sqrt(np.sum(response**2)), np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """The samples as heard in that room, tail included."""
    return np.asarray(fftconvolve(samples, response), np.float32)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Faster and higher (factor > 1), or slower and lower."""
    return np.asarray(soxr.resample(samples, RATE, RATE / factor, quality="LQ"), np.float32)


def dull(samples: Samples, limit_hz: float) -> Samples:
    """The samples without what lies above a frequency, as an old recording or a cheap microphone has them."""
    sections = butter(6, limit_hz, fs=RATE, output="sos")
    return np.asarray(sosfilt(sections, samples), np.float32)


def noise(rng: Generator, n: int) -> Samples:
    """(n,) noise of RMS 1 whose spectrum falls by 0 to 6 dB an octave (white, pink, brown)."""
    block = 1 << 15
    slope = rng.uniform(0, 1.0)
    spectrum = rfft(rng.standard_normal(block, np.float32))
    spectrum *= (np.maximum(np.arange(len(spectrum)), 8.0) ** -slope).astype(np.float32)
    loop = np.asarray(irfft(spectrum), np.float32)
    loop /= np.sqrt(np.mean(loop**2))
    return np.resize(loop, n)  # circular by construction: no seam


def hum(rng: Generator, n: int) -> Samples:
    """(n,) mains hum of RMS 1: 50 or 60 Hz or twice that, up to 24 partials falling by 0 to 12 dB an octave.

    Each is stronger or weaker than that by some dB; the even or the odd ones are often missing.
    """
    hertz = float(rng.choice([50.0, 60.0, 100.0, 120.0])) * (1 + rng.normal(0, 5e-4))
    orders = np.arange(1, int(rng.integers(2, 25)))
    db = -rng.uniform(0, 12) * np.log2(orders) + rng.normal(0, 5, len(orders))
    if rng.random() < 0.5:
        db[orders % 2 == rng.integers(2)] -= rng.uniform(6, 40)
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    turns = 2 * np.pi * hertz / RATE * np.arange(n)
    wave = sum(
        10 ** (level / 20) * np.sin(order * turns + phase)
        for order, level, phase in zip(orders, db, phases, strict=True)
    )
    return np.asarray(wave / np.sqrt(np.mean(np.square(wave)) + 1e-12), np.float32)


def joined(sounds: Iterator[Samples], fade_s: float = 0.25) -> Iterator[Samples]:
    """Sound after sound, each faded into the next with equal power; a second at a time."""
    fade = int(fade_s * RATE)
    ready = next(sounds)
    for sound in sounds:
        n = min(fade, len(ready) // 2, len(sound) // 2)
        angle = np.linspace(0, np.pi / 2, n, dtype=np.float32)
        seam = ready[len(ready) - n :] * np.cos(angle) + sound[:n] * np.sin(angle)
        ready = np.concatenate([ready[: len(ready) - n], seam, sound[n:]])
        while len(ready) >= RATE + fade:
            yield ready[:RATE]
            ready = ready[RATE:]


def filter_curves(rng: Generator, batch: int, mels: int, depth_db: float = 6.0) -> NDArray[np.float32]:
    """(batch, mels) smooth gain curves in dB: microphones, distances and walls, as seen by the log-mel."""
    knots = rng.normal(0, depth_db / 2, size=(batch, 6))
    knots[:, -1] -= np.abs(rng.normal(0, depth_db, size=batch))  # air and cheap microphones dull the top
    at = np.linspace(0, 5, mels)
    return np.stack([np.interp(at, np.arange(6), row) for row in knots]).astype(np.float32)
