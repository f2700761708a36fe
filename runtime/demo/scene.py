"""The demo scene: 79 seconds of a room, synthesised here, with what sounds when.

No recording: every sound is built from its physics (resonances, pulses, noise) and put in the same
reverberant room, with quiet between the sounds in which nothing may be said. The same seed gives the
same samples. A public audio tagger names each of them right (tests/runtime/demo/test_scene.py has
the figures).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import RATE, Samples
from ..sound.blocks import BLOCK_S, Block

Signal = NDArray[np.float64]
"""(n,) float64 at 32 kHz while sounds are being built."""


class Event(NamedTuple):
    """What sounds from when to when, in seconds from the scene's start."""

    label: str
    start: float
    end: float


class Scene(NamedTuple):
    """What the microphone hears, and the truth about it."""

    samples: Samples
    events: tuple[Event, ...]


def synthesise(seed: int = 2) -> Scene:
    """The scene: knocking, doorbell, footsteps, speech, rain and a smoke alarm, quiet between them."""
    rng = np.random.default_rng(seed)
    room = _room_response(rng)
    at = 0.0
    events, sounds = [], []
    for part in _PLAN:
        signal = part.sound(rng)
        signal *= part.peak / np.abs(signal).max()
        at += part.quiet_s
        events.append(Event(part.label, round(at, 3), round(at + len(signal) / RATE, 3)))
        sounds.append((at, _convolve(signal, room)))
        at += len(signal) / RATE
    n = round((at + _LAST_QUIET_S) * RATE)
    mixed = _band_noise(rng, n, 60, 8_000, slope_db=-4.0) * 10 ** (_ROOM_TONE_DB / 20)
    for start, signal in sounds:
        _add(mixed, start, signal)
    return Scene(np.clip(mixed, -1, 1).astype(np.float32), tuple(events))


def blocks(scene: Scene) -> Iterator[Block]:
    """The scene as a source: 160 ms at a time."""
    length = round(RATE * BLOCK_S)
    for index in range(0, len(scene.samples), length):
        yield Block(scene.samples[index : index + length], index)


# --- the sounds, each (n,) of any scale -----------------------------------------------------------


def knocking(rng: np.random.Generator) -> Signal:
    """Knuckles on a wooden door, three times four: its modes rung by a soft, short impulse."""
    modes = [(95, 0.8, 0.030), (170, 1.0, 0.025), (240, 0.8, 0.020), (330, 0.7, 0.016), (470, 0.5, 0.012)]
    modes += [(690, 0.3, 0.008), (1_100, 0.2, 0.005)]
    out = np.zeros(round(4.6 * RATE))
    for group in range(3):
        at = 1.7 * group
        for _ in range(4):
            ringing = _modes(rng, modes, lasts_s=0.25, detuned=0.07)
            thud = _burst(rng, 0.25, decay_s=0.012, low=120, high=1_800, slope_db=-5)
            contact = _burst(rng, 0.25, decay_s=0.003, low=800, high=5_000, slope_db=-3)
            _add(out, at, rng.uniform(0.5, 1) * (ringing / np.abs(ringing).max() + thud + 0.2 * contact))
            at += rng.uniform(0.17, 0.24)
    return out


def doorbell(rng: np.random.Generator) -> Signal:
    """Ding, dong: two tubes struck a third apart, the second soon after the first; rung twice."""
    ding = rng.uniform(770, 810)
    out = np.zeros(round(5.6 * RATE))
    for at, hz in ((0.0, ding), (0.35, ding / 1.267), (2.9, ding), (3.25, ding / 1.267)):
        partials = (1.0, 1.0, 0.50), (3.9, 0.04, 0.23), (7.8, 0.10, 0.10), (12.1, 0.025, 0.05)
        tube = _modes(rng, [(hz * ratio, gain, decay) for ratio, gain, decay in partials], lasts_s=1.6)
        _add(out, at, tube * _fades(len(tube), 0.006, 0.05))
        _add(out, at, 0.07 * _burst(rng, 0.05, decay_s=0.004, low=300, high=5_000, slope_db=-3))
    return out


def footsteps(rng: np.random.Generator) -> Signal:
    """Soles on a wooden floor, 107 steps a minute: heel, then toe, each with a scuff; none like the other."""
    period_s, steps = 0.56, 12
    out = np.zeros(round((steps * period_s + 0.4) * RATE))
    for step in range(steps):
        at = 0.06 + step * period_s + rng.uniform(-0.009, 0.009)
        _add(out, at, rng.uniform(0.43, 1) * _sole(rng))
        _add(out, at + 0.068 * rng.uniform(0.85, 1.15), 0.6 * rng.uniform(0.43, 1) * _sole(rng))
    return out


def speech(rng: np.random.Generator) -> Signal:
    """Speech-like babble that says nothing: a glottal pulse train through moving formants, and breath."""
    rest = np.zeros(round(0.35 * RATE))
    return np.concatenate([part for syllables in (7, 5, 9, 6) for part in (_phrase(rng, syllables), rest)])


def rain(rng: np.random.Generator) -> Signal:
    """Rain at the window: the hiss of countless far drops, and near ones, each a click of its own pitch."""
    n = 10 * RATE
    hiss = _band_noise(rng, n, 115, 8_650, slope_db=-2.25)
    gusts = 1 + 0.28 * np.interp(np.arange(n), np.linspace(0, n, 30), rng.standard_normal(30))
    near = _drops(rng, n, per_second=284, decay_s=0.0003)
    heavy = _drops(rng, n, per_second=7, decay_s=0.0006)
    rumble = _band_noise(rng, n, 60, 400, slope_db=-3)
    return (1.8 * hiss + near + 0.02 * heavy + 0.06 * rumble) * gusts * _fades(n, 0.6, 0.8)


def smoke_alarm(rng: np.random.Generator) -> Signal:
    """Three pulses of half a second, half a second apart, then 1.5 s of rest (ISO 8201); three cycles.

    A piezo disc driven near 3.1 kHz: a hard-edged tone with harmonics and a slight flutter.
    """
    n = RATE // 2
    t = np.arange(n) / RATE
    phase = 2 * np.pi * rng.uniform(3_050, 3_150) * t
    pulse = np.sin(phase) + 0.22 * np.sin(2 * phase + 0.7) + 0.3 * np.sin(3 * phase + 0.2)
    pulse *= (1 + 0.05 * np.sin(2 * np.pi * 38 * t)) * _fades(n, 0.003, 0.006)
    cycle = np.zeros(4 * RATE)
    for start in range(0, 3 * RATE, RATE):
        cycle[start : start + n] = pulse
    return np.tile(cycle, 3)[: -round(1.5 * RATE)]


class _Part(NamedTuple):
    quiet_s: float  # before it
    label: str
    sound: Callable[[np.random.Generator], Signal]
    peak: float  # of full scale at the microphone, the direct sound alone


_PLAN = (
    _Part(4.0, "knocking", knocking, 0.3),
    _Part(5.0, "doorbell", doorbell, 0.1),
    _Part(5.0, "footsteps", footsteps, 0.06),
    _Part(5.0, "speech", speech, 0.4),
    _Part(5.0, "rain", rain, 0.4),
    _Part(6.0, "smoke alarm", smoke_alarm, 0.3),
)
_LAST_QUIET_S = 4.0
_ROOM_TONE_DB = -74.0
"""Below the level gate: an empty room, not digital silence."""


# --- their parts ----------------------------------------------------------------------------------


def _sole(rng: np.random.Generator) -> Signal:
    """One contact of a shoe with the floor, 300 ms: what gives is the boards, near 70 Hz, most of all."""
    body = rng.uniform(232, 400), rng.uniform(1_160, 1_980)
    hit = _burst(rng, 0.3, decay_s=0.017 * rng.uniform(0.7, 1.3), low=body[0], high=body[1], slope_db=-5)
    click = _burst(rng, 0.3, decay_s=0.002, low=6_000 * rng.uniform(0.8, 1.25), high=10_000, slope_db=-3)
    t = np.arange(len(hit)) / RATE
    thump = np.exp(-t / 0.018) * np.sin(2 * np.pi * 69 * rng.uniform(0.85, 1.15) * t)
    scuff = _filtered(rng.standard_normal(len(t)) * np.exp(-(((t - 0.08) / 0.048) ** 2)), 2_200, 1_600, -2)
    scuff *= 0.26 * rng.uniform(0.3, 1.5) / np.abs(scuff).max()
    return hit + 0.25 * click + 2.4 * thump + scuff


def _drops(rng: np.random.Generator, n: int, *, per_second: float, decay_s: float) -> Signal:
    """(n,) of RMS 1: drops of six sizes, each a short ringing at its own pitch, at random times."""
    out = np.zeros(n)
    t = np.arange(1_500) / RATE
    for _ in range(6):
        hz = 2_600 * (10_000 / 2_600) ** rng.uniform()
        drop = np.sin(2 * np.pi * hz * t) * np.exp(-t / (decay_s * rng.uniform(0.5, 2)))
        when = np.zeros(n)
        count = max(1, round(per_second * n / RATE / 6))
        np.add.at(when, rng.integers(0, n, count), rng.lognormal(0, 0.84, count))
        out += _convolve(when, drop)[:n]
    return out / float(out.std())


_VOWELS = np.array([
    # F1, F2, F3 of a male voice (Peterson and Barney 1952)
    [730, 1090, 2440], [530, 1840, 2480], [270, 2290, 3010], [570, 840, 2410],
    [300, 870, 2240], [660, 1720, 2410], [640, 1190, 2390], [490, 1350, 1690],
], dtype=np.float64)  # fmt: skip
_HIGH_FORMANTS = (3_400.0, 4_300.0)
_BANDWIDTHS = (80.0, 100.0, 140.0, 220.0, 280.0)
_CONTROL_RATE = 100
"""Points a second at which pitch, formants and loudness are set."""


class _Moment(NamedTuple):
    at: float
    formants: Signal  # (3,) Hz
    voice: float
    breath: float


def _phrase(rng: np.random.Generator, syllables: int) -> Signal:
    """Syllables under one falling melody; each a consonant (fricative, stop or nasal) and a vowel."""
    moments = [_Moment(0.0, _VOWELS[6], 0.0, 0.0)]
    at = 0.04
    for _ in range(syllables):
        vowel = _VOWELS[rng.integers(len(_VOWELS))] * rng.uniform(0.95, 1.05, 3)
        onset_s, lasts_s = rng.uniform(0.05, 0.09), rng.uniform(0.09, 0.17)
        moments += _syllable(rng, at, moments[-1].formants, vowel, onset_s, lasts_s)
        at += onset_s + lasts_s
    moments.append(_Moment(at + 0.09, moments[-1].formants, 0.0, 0.0))
    n = round((at + 0.12) * RATE)
    grid = np.arange(0, n / RATE + 1 / _CONTROL_RATE, 1 / _CONTROL_RATE)
    times = [moment.at for moment in moments]
    formants = [np.interp(grid, times, [moment.formants[k] for moment in moments]) for k in range(3)]
    formants += [np.full(len(grid), hz) for hz in _HIGH_FORMANTS]
    falling = np.array([118, 138, 120, 88]) * rng.uniform(0.96, 1.04)
    melody = np.interp(grid, [0, 0.2, grid[-1] * 0.6, grid[-1]], falling)
    wander = np.linspace(0, grid[-1], syllables * 2)
    melody *= 1 + 0.06 * np.interp(grid, wander, rng.standard_normal(len(wander)))
    voiced = np.interp(grid, times, [moment.voice for moment in moments])
    breath = np.interp(np.arange(n) / RATE, times, [moment.breath for moment in moments])
    fricative = _band_noise(rng, n, 2_800, 9_500, slope_db=0)
    return _voice(rng, n, grid, melody, formants, voiced) + 0.12 * fricative * breath


def _syllable(
    rng: np.random.Generator, at: float, before: Signal, vowel: Signal, onset_s: float, lasts_s: float
) -> list[_Moment]:
    """From the mouth's last shape through a closure (formants near the next vowel's, F1 low) to the vowel."""
    kind = ("fricative", "stop", "nasal")[rng.integers(3)]
    stress = rng.uniform(0.6, 1.0)
    closing = 0.3 if kind == "nasal" else 0.03  # nasals keep their voice
    hiss = {"fricative": 0.5, "stop": 0.25, "nasal": 0.0}[kind] * rng.uniform(0.7, 1.2)
    closure = (before + vowel) / 2
    closure[0] = 280
    return [
        _Moment(at + 0.3 * onset_s, closure, closing, hiss if kind == "fricative" else 0.0),
        _Moment(at + 0.8 * onset_s, closure, closing, hiss),
        _Moment(at + onset_s + 0.02, (closure + 2 * vowel) / 3, 0.8 * stress, 0.02),
        _Moment(at + onset_s + 0.4 * lasts_s, vowel, stress, 0.01),
        _Moment(at + onset_s + lasts_s, vowel, 0.7 * stress, 0.01),
    ]


def _voice(
    rng: np.random.Generator, n: int, grid: Signal, melody: Signal, formants: list[Signal], voiced: Signal
) -> Signal:
    """Harmonics of a gliding pitch, each as loud as the vocal tract lets it through (cascade formants).

    grid: (g,) s. melody: (g,) Hz. formants: five of (g,) Hz. voiced: (g,) 0 to 1.
    Source: Klatt 1980, two-pole resonances of gain 1 at 0 Hz.
    """
    t = np.arange(n) / RATE
    periods = np.arange(0, t[-1] + 0.024, 0.012)
    jitter = 1 + 0.008 * np.interp(t, periods, rng.standard_normal(len(periods)))
    phase = 2 * np.pi * np.cumsum(np.interp(t, grid, melody) * jitter) / RATE
    out = np.zeros(n)
    for harmonic in range(1, 56):
        hz = melody * harmonic
        gain = voiced / harmonic  # the glottis falls by 12 dB an octave, the lips lift by 6
        for centre, width in zip(formants, _BANDWIDTHS, strict=True):
            gain = gain * centre**2 / np.sqrt((centre**2 - hz**2) ** 2 + (width * hz) ** 2)
        gain[hz > 7_000] = 0
        out += np.interp(t, grid, gain) * np.sin(harmonic * phase + 0.3 * harmonic)
    return out / float(np.abs(out).max())


def _modes(
    rng: np.random.Generator,
    modes: Iterable[tuple[float, float, float]],
    *,
    lasts_s: float,
    detuned: float = 0.0,
) -> Signal:
    """A struck body: (Hz, gain, decay in s) of each of its resonances."""
    t = np.arange(round(lasts_s * RATE)) / RATE
    out = np.zeros_like(t)
    for hz, gain, decay_s in modes:
        hz *= rng.uniform(1 - detuned, 1 + detuned)
        out += gain * np.exp(-t / decay_s) * np.sin(2 * np.pi * hz * t)
    return out


def _burst(
    rng: np.random.Generator, lasts_s: float, *, decay_s: float, low: float, high: float, slope_db: float
) -> Signal:
    """A decaying burst of noise, its peak 1."""
    t = np.arange(round(lasts_s * RATE)) / RATE
    noise = _filtered(rng.standard_normal(len(t)) * np.exp(-t / decay_s), low, high, slope_db)
    return noise / float(np.abs(noise).max())


# --- signal tools ---------------------------------------------------------------------------------


def _room_response(rng: np.random.Generator, rt60_s: float = 0.45) -> Signal:
    """A living room's impulse response: the direct sound, a few early echoes, a decaying diffuse tail."""
    n = round(rt60_s * 1.2 * RATE)
    t = np.arange(n) / RATE
    response = _filtered(rng.standard_normal(n) * 10 ** (-3 * t / rt60_s), 80, 9_000, -1.5)
    response *= (t > 0.012) * 0.35 / np.sqrt((response**2).sum())
    response[0] = 1.0
    for _ in range(6):
        response[round(rng.uniform(0.003, 0.03) * RATE)] += rng.choice([-1, 1]) * rng.uniform(0.08, 0.22)
    return response


def _convolve(signal: Signal, response: Signal) -> Signal:
    n = len(signal) + len(response) - 1
    size = _fast_size(n)
    product: Signal = np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(response, size), size)
    return product[:n]


def _filtered(signal: Signal, low: float, high: float, slope_db: float) -> Signal:
    """The band from low to high Hz, its edges 12 dB an octave, within it slope_db an octave from low on."""
    size = _fast_size(len(signal))
    hz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1.0)
    gain = 1 / np.sqrt((1 + (low / hz) ** 4) * (1 + (hz / high) ** 4))
    gain *= 10 ** (slope_db * np.maximum(np.log2(hz / low), 0) / 20)
    filtered: Signal = np.fft.irfft(np.fft.rfft(signal, size) * gain, size)
    return filtered[: len(signal)]


def _band_noise(rng: np.random.Generator, n: int, low: float, high: float, *, slope_db: float) -> Signal:
    """(n,) noise of RMS 1."""
    noise = _filtered(rng.standard_normal(n), low, high, slope_db)
    return noise / float(noise.std())


def _fast_size(n: int) -> int:
    """A power of two: other lengths may be many times slower."""
    return 1 << (n - 1).bit_length()


def _fades(n: int, attack_s: float, release_s: float) -> Signal:
    """(n,) gain that rises within the attack and falls within the release."""
    i = np.arange(n, dtype=np.float64)
    return np.minimum(1.0, np.minimum(i / (attack_s * RATE), (n - 1 - i) / (release_s * RATE)))


def _add(out: Signal, at_s: float, sound: Signal) -> None:
    """Mix a sound in from that time on; what would stand past the end is left out."""
    start = round(at_s * RATE)
    part = sound[: max(0, len(out) - start)]
    out[start : start + len(part)] += part
