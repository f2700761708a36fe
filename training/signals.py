"""Safety and household signals that no corpus has enough of, synthesised after their standards and varied.

Each maker takes a random generator and gives (samples, label): mono 32 kHz float32, peak about 0.5.
Sources: ISO 8201 (three-pulse evacuation signal: 0.5 s on, 0.5 s off, three times, then 1.5 s more off),
NFPA 72 / UL 2034 (four 100 ms pulses each 5 s for carbon monoxide). Tolerances +-10 % as the standards allow.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from ..runtime.audio import RATE, Samples

Signal = tuple[Samples, str]


def _tone(rng: Generator, hz: float, seconds: float, shape: str) -> Samples:
    n = max(int(seconds * RATE), 1)
    drift = 1.0 + rng.normal(0, 0.001) * np.linspace(-1, 1, n)
    phase = 2 * np.pi * np.cumsum(hz * drift) / RATE + rng.uniform(0, 2 * np.pi)
    if shape == "square":  # odd harmonics below the band's edge
        wave = sum(np.sin(k * phase) / k for k in range(1, 16, 2) if k * hz < 15_000)
    elif shape == "buzzy":
        wave = sum(np.sin(k * phase) / k for k in range(1, 9) if k * hz < 15_000)
    else:
        wave = np.sin(phase) + rng.uniform(0, 0.2) * np.sin(2 * phase) * (2 * hz < 15_000)
    edge = min(int(rng.uniform(0.002, 0.01) * RATE), n // 2)
    envelope = np.ones(n)
    if edge:
        envelope[:edge] = np.linspace(0, 1, edge)
        envelope[-edge:] = np.linspace(1, 0, edge)
    return np.asarray(wave * envelope, dtype=np.float32)


def _silence(seconds: float) -> Samples:
    return np.zeros(int(max(seconds, 0) * RATE), np.float32)


def _struck(rng: Generator, hz: float, seconds: float, partials: tuple[float, ...]) -> Samples:
    time = np.arange(int(seconds * RATE)) / RATE
    decay = rng.uniform(2.0, 6.0)
    wave = sum(
        np.sin(2 * np.pi * hz * p * time + rng.uniform(0, 6))
        * np.exp(-time * decay * (0.6 + 0.4 * p))
        / (1 + i)
        for i, p in enumerate(partials)
        if hz * p < 14_000
    )
    return np.asarray(wave, dtype=np.float32)


def _level(parts: list[Samples], label: str) -> Signal:
    samples = np.concatenate(parts)[: 10 * RATE]
    return (0.5 * samples / max(float(np.abs(samples).max()), 1e-6)).astype(np.float32), label


def smoke_alarm(rng: Generator) -> Signal:
    """ISO 8201 three-pulse, at 2.8-3.6 kHz, or the 520 Hz square wave of low-frequency alarms."""
    low = rng.random() < 0.35
    hz, shape = (
        (rng.uniform(500, 540), "square")
        if low
        else (rng.uniform(2800, 3600), str(rng.choice(["sine", "square"])))
    )
    on, off, rest = 0.5 * rng.uniform(0.9, 1.1), 0.5 * rng.uniform(0.9, 1.1), 1.5 * rng.uniform(0.9, 1.1)
    parts = [_silence(rng.uniform(0, 1.0))]
    while sum(map(len, parts)) < 10 * RATE:
        for _ in range(3):
            parts += [_tone(rng, hz, on, shape), _silence(off)]
        parts.append(_silence(rest - off if rng.random() < 0.3 else rest))
    return _level(parts, "smoke_alarm")


def co_alarm(rng: Generator) -> Signal:
    """Four 100 ms pulses, then five seconds of pause (varied 4.5-5.5 s)."""
    hz = rng.uniform(2800, 3600) if rng.random() < 0.7 else rng.uniform(500, 540)
    shape = "square" if hz < 1000 else "sine"
    on, off, rest = 0.1 * rng.uniform(0.9, 1.1), 0.1 * rng.uniform(0.9, 1.1), 5.0 * rng.uniform(0.9, 1.1)
    parts = [_silence(rng.uniform(0, 0.5))]
    while sum(map(len, parts)) < 10 * RATE:
        for _ in range(4):
            parts += [_tone(rng, hz, on, shape), _silence(off)]
        parts.append(_silence(rest))
    return _level(parts, "co_alarm")


def doorbell(rng: Generator) -> Signal:
    """Ding-dong, a single chime, or an electric bell's buzz of short duration."""
    parts: list[Samples] = []
    kind = rng.random()
    high = rng.uniform(550, 1300)
    partials = (1.0, rng.uniform(1.9, 2.1), rng.uniform(2.6, 3.2), rng.uniform(3.9, 5.5))
    for _ in range(int(rng.integers(1, 3))):
        if kind < 0.7:
            gap = rng.uniform(0.35, 0.8)
            dong = high * rng.uniform(0.7, 0.85)
            ding = _struck(rng, high, gap + 1.8, partials)
            ding[int(gap * RATE) :] += _struck(rng, dong, 1.8, partials)[: len(ding) - int(gap * RATE)]
            parts.append(ding)
        elif kind < 0.85:
            for hz in high * np.array([1, 1.26, 1.5, 1.26])[: int(rng.integers(2, 5))]:
                parts.append(_struck(rng, float(hz), rng.uniform(0.25, 0.5), partials))
        else:
            parts.append(_tone(rng, rng.uniform(300, 900), rng.uniform(0.3, 1.0), "buzzy"))
        parts.append(_silence(rng.uniform(0.3, 1.5)))
    return _level(parts, "doorbell")


def phone_ring(rng: Generator) -> Signal:
    """A warbling trill of two tones, in rings of 0.8-2 s."""
    low = rng.uniform(600, 1600)
    high, rate = low * rng.uniform(1.15, 1.4), rng.uniform(12, 28)
    ring, gap = rng.uniform(0.8, 2.0), rng.uniform(0.8, 3.0)
    double = rng.random() < 0.4
    parts: list[Samples] = []
    while sum(map(len, parts)) < rng.uniform(4, 10) * RATE:
        for _ in range(2 if double else 1):
            for i in range(int(ring * rate * (0.4 if double else 1))):
                parts.append(
                    _tone(rng, low if i % 2 else high, 1 / rate, "buzzy" if rng.random() < 0.01 else "sine")
                )
            parts.append(_silence(0.2 if double else 0.0))
        parts.append(_silence(gap))
    return _level(parts, "phone_ring")


def alarm_clock(rng: Generator) -> Signal:
    """Groups of two to four quick beeps, each second or so: unlike T3, quick and without the long rest."""
    hz, count = rng.uniform(1000, 4000), int(rng.choice([2, 4, 4]))
    on, off = rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.1)
    rest = rng.uniform(0.3, 0.7)
    parts: list[Samples] = []
    while sum(map(len, parts)) < rng.uniform(4, 10) * RATE:
        for _ in range(count):
            parts += [_tone(rng, hz, on, "square"), _silence(off)]
        parts.append(_silence(rest))
    return _level(parts, "alarm_clock")


def appliance_beep(rng: Generator) -> Signal:
    """End of a microwave, oven or washing machine: one to five beeps of 0.2-1 s at 1.5-2.6 kHz, once."""
    hz, count = rng.uniform(1500, 2600), int(rng.choice([1, 3, 4, 5]))
    on, off = rng.uniform(0.2, 1.0), rng.uniform(0.3, 1.0)
    parts: list[Samples] = []
    for _ in range(count):
        parts += [_tone(rng, hz, on, str(rng.choice(["sine", "square"]))), _silence(off)]
    return _level(parts, "appliance_beep")


def reversing_beep(rng: Generator) -> Signal:
    """A vehicle backing up: even beeps, half a second on and half off, 1-1.5 kHz, for as long as it lasts."""
    hz, on = rng.uniform(950, 1500), rng.uniform(0.35, 0.55)
    off = on * rng.uniform(0.8, 1.2)
    parts: list[Samples] = []
    while sum(map(len, parts)) < rng.uniform(5, 10) * RATE:
        parts += [_tone(rng, hz, on, "square"), _silence(off)]
    return _level(parts, "reversing_beep")


MAKERS: dict[str, Callable[[Generator], Signal]] = {
    maker.__name__: maker
    for maker in (smoke_alarm, co_alarm, doorbell, phone_ring, alarm_clock, appliance_beep, reversing_beep)
}
"""Label -> maker."""

PHRASES = {
    "smoke_alarm": ("a smoke alarm beeps", "alarms and signals"),
    "co_alarm": ("a carbon monoxide alarm beeps", "alarms and signals"),
    "doorbell": ("a doorbell rings", "alarms and signals"),
    "phone_ring": ("a phone rings", "alarms and signals"),
    "alarm_clock": ("an alarm clock rings", "alarms and signals"),
    "appliance_beep": ("an appliance beeps", "alarms and signals"),
    "reversing_beep": ("a reversing vehicle beeps", "vehicles and street"),
}
"""Phrase and category of every label, for a corpus that does not have it."""
