"""Safety and household signals that no corpus has enough of, synthesised after their standards and varied.

Each maker takes a random generator and gives (samples, label): mono 32 kHz float32, peak about 0.5.
Sources: ISO 8201 (three-pulse evacuation signal: 0.5 s on, 0.5 s off, three times, then 1.5 s more off),
NFPA 72 / UL 2034 (four 100 ms pulses each 5 s for carbon monoxide). Tolerances +-10 % as the standards allow.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from ...runtime.audio import RATE, Samples

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
    """End of a microwave, oven, washing machine or timer: a few beeps of 0.1-1 s, or a melody, once."""
    hz = rng.uniform(900, 3200)
    parts: list[Samples] = []
    if rng.random() < 0.25:  # as washing machines and dishwashers sign off
        steps = rng.choice([0, 2, 4, 5, 7, 9, 12], size=int(rng.integers(4, 9)))
        for step in steps:
            parts.append(_tone(rng, 0.6 * hz * 2 ** (step / 12), rng.uniform(0.12, 0.3), "sine"))
        return _level(parts, "appliance_beep")
    count = int(rng.choice([1, 2, 3, 4, 5, 6]))
    on, off = rng.uniform(0.1, 1.0), rng.uniform(0.2, 1.2)
    shape = str(rng.choice(["sine", "square"]))
    for _ in range(count):
        parts += [_tone(rng, hz, on, shape), _silence(off)]
    return _level(parts, "appliance_beep")


def kettle(rng: Generator) -> Signal:
    """A stove kettle: boiling noise, then a whistle that rises to 1.5-4 kHz, wavers and breathes."""
    n = int(rng.uniform(4, 10) * RATE)
    time = np.arange(n) / RATE
    rise = rng.uniform(0.3, 2.5)
    top = rng.uniform(1500, 4000)
    hz = top * (1 - rng.uniform(0.05, 0.4) * np.exp(-time / rise))
    hz *= 1 + rng.uniform(0.001, 0.01) * np.sin(2 * np.pi * rng.uniform(2, 7) * time)
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    breath = rng.normal(size=n) * rng.uniform(0.02, 0.3)
    whistle = np.sin(phase) + rng.uniform(0, 0.4) * np.sin(2 * phase) * (2 * top < 15_000)
    if rng.random() < 0.4:  # two holes, two pitches
        whistle = whistle + rng.uniform(0.3, 0.9) * np.sin(phase * rng.uniform(1.1, 1.35))
    loudness = 1 - np.exp(-time / rise)
    loudness *= 1 + 0.15 * np.sin(2 * np.pi * rng.uniform(3, 9) * time)
    return _level([np.asarray(loudness * (whistle + breath), np.float32)], "kettle")


def car_alarm(rng: Generator) -> Signal:
    """A parked car's alarm: sweeps, yelps and two-tone patterns in turn, or its horn in even blasts."""
    parts: list[Samples] = []
    if rng.random() < 0.3:
        chord = rng.uniform(350, 520) * np.array([1.0, rng.uniform(1.15, 1.3)])
        on = rng.uniform(0.3, 0.6)
        while sum(map(len, parts)) < rng.uniform(6, 10) * RATE:
            blast = _tone(rng, float(chord[0]), on, "buzzy")
            parts += [blast + _tone(rng, float(chord[1]), on, "buzzy"), _silence(on * rng.uniform(0.8, 1.2))]
        return _level(parts, "car_alarm")
    low, high = rng.uniform(500, 1100), rng.uniform(1800, 3200)
    while sum(map(len, parts)) < 10 * RATE:
        n = int(rng.uniform(1.2, 2.5) * RATE)
        time = np.arange(n) / RATE
        rate = rng.uniform(2, 9)
        pattern = int(rng.integers(4))
        turn = (time * rate) % 1.0
        if pattern == 0:  # yelp: up again and again
            sweep = turn
        elif pattern == 1:  # down again and again
            sweep = 1 - turn
        elif pattern == 2:  # up and down
            sweep = 1 - np.abs(2 * turn - 1)
        else:  # two tones
            sweep = np.round(turn) * 0.6 + 0.2
        phase = 2 * np.pi * np.cumsum(low + (high - low) * sweep) / RATE
        wave = np.sin(phase) + np.sin(3 * phase) / 3 * (3 * high < 15_000)
        parts.append(np.asarray(wave, np.float32))
    return _level(parts, "car_alarm")


def intercom_buzzer(rng: Generator) -> Signal:
    """The house door's buzzer: a rasp at the mains' harmonics, 0.4-2.5 s, once to three times."""
    hz = 2 * rng.uniform(49.5, 60.5)
    partials = np.arange(1, 40)
    colour = np.exp(-((np.log(partials * hz / rng.uniform(500, 2500))) ** 2)) + 0.1
    turn = np.linspace(0, 2 * np.pi, 1024)
    period = (np.sin(np.outer(partials, turn)) * (colour / np.sqrt(partials))[:, None]).sum(0)
    parts: list[Samples] = []
    for _ in range(int(rng.integers(1, 4))):
        n = int(rng.uniform(0.4, 2.5) * RATE)
        wave = np.interp((hz / RATE * np.arange(n)) % 1.0 * 2 * np.pi, turn, period)
        wave *= 1 + 0.2 * rng.standard_normal(n, np.float32)
        edge = int(0.005 * RATE)
        wave[:edge] *= np.linspace(0, 1, edge)
        wave[-edge:] *= np.linspace(1, 0, edge)
        parts += [np.asarray(wave, np.float32), _silence(rng.uniform(0.2, 1.2))]
    return _level(parts, "intercom_buzzer")


def checkout_beep(rng: Generator) -> Signal:
    """A shop's scanner: one short beep a thing, at uneven times."""
    hz, on = rng.uniform(1800, 3200), rng.uniform(0.06, 0.16)
    parts: list[Samples] = []
    while sum(map(len, parts)) < rng.uniform(3, 9) * RATE:
        parts += [_tone(rng, hz, on, "sine"), _silence(rng.uniform(0.5, 2.5))]
    return _level(parts, "checkout_beep")


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
    for maker in (
        smoke_alarm,
        co_alarm,
        doorbell,
        intercom_buzzer,
        phone_ring,
        alarm_clock,
        appliance_beep,
        kettle,
        car_alarm,
        reversing_beep,
        checkout_beep,
    )
}
"""Label -> maker."""

PHRASES = {
    "smoke_alarm": ("a smoke alarm beeps", "alarms and signals"),
    "co_alarm": ("a carbon monoxide alarm beeps", "alarms and signals"),
    "doorbell": ("a doorbell rings", "alarms and signals"),
    "phone_ring": ("a phone rings", "alarms and signals"),
    "alarm_clock": ("an alarm clock rings", "alarms and signals"),
    "intercom_buzzer": ("a door buzzer sounds", "alarms and signals"),
    "appliance_beep": ("an appliance beeps", "alarms and signals"),
    "kettle": ("a kettle whistles", "alarms and signals"),
    "car_alarm": ("a car alarm sounds", "vehicles and street"),
    "checkout_beep": ("a scanner beeps", "alarms and signals"),
    "reversing_beep": ("a reversing vehicle beeps", "vehicles and street"),
}
"""Phrase and category of every label, for a corpus that does not have it."""
