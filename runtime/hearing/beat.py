"""Beat: whether something has beaten evenly for seconds, as alarms do that keep no standard's rhythm.

Whatever an alarm is made of, it repeats itself: a beep, two tones in turn, a sweep that passes through a band
again and again. So each mel band in which alarms sound is held against itself: where its prominence has an
autocorrelation near one at some lag, three times over, it beats. Speech, music and birds hardly ever do so
for eight seconds to the hundredth of a second; and of what does, only a band that stands out and sounds for a
good part of the time counts, which a clock's tick, a drop or a metronome's click does not. A sweep is only
a moment in each band, and a room blurs it; there it is the picture of all bands together that repeats itself.

    e(t) = a band's prominence, dB, below its loudest (prominence.py), less its mean
    r(l) = sum e(t) e(t + l) / sqrt(sum e(t)² · sum e(t + l)²)
    evenness = the greatest r(l) beyond its first trough; together: the sums are over all bands too
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .prominence import ROOM_DB, STEP_S, Past, Prominence, bands_between, below_its_loudest

LOW_HZ, HIGH_HZ = 400.0, 4_500.0
"""Where alarms sound."""
WINDOWS_S = 8.0, 12.0
"""What has to be even; a slow beat needs the longer. `python -m benchmarks.alarms` tried what follows."""
TIMES = 3
"""Lags that a window holds at the least."""
SHORTEST_S = 0.2
"""The shortest lag."""
MEAN_DB = 3.0
"""A band that stands out by less on average is not looked at: most are not, most of the time."""
FLOOR_DB = 5.0
"""What stands out less is nothing: noise that moves between the pulses."""
CONTRAST_DB = 9.0
"""Between a band's louder and quieter moments, the tenth and the ninetieth of a hundred."""
ENDS = 0.25
"""It is heard in this share of a window at its beginning, and at its end."""
SHARE = 0.2, 0.9
"""Of the time that a band sounds, at least and at most."""
PULSE_S = 0.035
"""That a pulse lasts on average, at least."""
TONE_DB, TONE_SHARE, SWEPT_BANDS = 10.0, 0.6, 3
"""A tone that sweeps stands out by so much, in one band or another, for such a share of the time; it passes
through so many of them at the least."""
TROUGH = 0.2
"""An autocorrelation that has not fallen below this shows no beat yet, only that nothing moves fast."""


class Beat:
    """Looks at the last seconds of a stream. Remembers nothing itself."""

    def __init__(self, mels: int) -> None:
        self.rows = _steps(max(WINDOWS_S)) + 1
        """Of the past that it looks at."""
        self._bands = bands_between(LOW_HZ, HIGH_HZ, mels)

    def evenness(self, past: Past) -> tuple[float, float]:
        """How evenly the most even band has beaten, up to 1, in each window; 0 where none has.

        The shorter window's lags are shorter than the periods of T3 and T4, which are never even there.
        """
        window = past.prominent[-self.rows + 1 :, self._bands]
        sounds = window.max(axis=1) > TONE_DB
        short, long = (
            max(self._even(past, steps), self._swept(window[-steps:], sounds[-steps:]))
            for steps in map(_steps, WINDOWS_S)
        )
        return short, long

    def _swept(self, window: Prominence, sounds: NDArray[np.bool_]) -> float:
        """How evenly all bands together have repeated what a tone does that passes through them.

        sounds: (steps,) whether one does.
        """
        steps = len(window)
        if np.count_nonzero(sounds) < TONE_SHARE * steps:
            return 0.0
        low, high = quantiles(window[sounds].argmax(axis=1)[:, None])
        if high - low < SWEPT_BANDS:
            return 0.0
        loudest = window.max(axis=0)
        floor = max(loudest.max() - np.float32(ROOM_DB), np.float32(FLOOR_DB))
        window = window[:, loudest > floor]  # the others would stay on the floor, and move nothing
        envelope = np.maximum(below_its_loudest(window), floor)
        return _evenness(envelope, steps // TIMES, together=True)

    def _even(self, past: Past, steps: int) -> float:
        sums = past.sums[0, :, self._bands]
        bands = np.flatnonzero(sums[-1] - sums[-1 - steps] > MEAN_DB * steps)
        if not len(bands):
            return 0.0
        window = past.prominent[-steps:, self._bands].take(bands, axis=1)
        envelope = below_its_loudest(np.maximum(window, np.float32(FLOOR_DB)))
        quiet, loud = quantiles(envelope)
        moves = loud - quiet > CONTRAST_DB
        if not moves.any():
            return 0.0
        envelope = envelope[:, moves]
        sounds = envelope > ((quiet + loud) / 2)[moves]
        share = sounds.mean(axis=0)
        pulses = np.count_nonzero(sounds[1:] & ~sounds[:-1], axis=0) + 1
        least, most = SHARE
        end = round(ENDS * steps)
        alike = (
            sounds[:end].any(axis=0)
            & sounds[-end:].any(axis=0)
            & (share > least)
            & (share < most)
            & (share * steps * STEP_S > PULSE_S * pulses)
        )
        return _evenness(envelope[:, alike], steps // TIMES) if alike.any() else 0.0


def quantiles(values: NDArray[Any]) -> NDArray[Any]:
    """(2, bands): what a tenth and nine tenths of (steps, bands) are below; numpy.quantile, at a third of its
    price."""
    at = (len(values) - 1) * np.array([[0.1], [0.9]])
    below = at.astype(np.intp).ravel()
    above = np.minimum(below + 1, len(values) - 1)
    ordered = np.partition(np.ascontiguousarray(values.T), [*below, *above], axis=1).T
    lower, upper = ordered[below], ordered[above]
    part = (at - below[:, None]).astype(values.dtype if values.dtype.kind == "f" else np.float64)
    step = upper - lower
    found: NDArray[Any] = np.where(part < 0.5, lower + step * part, upper - step * (1 - part))
    return found


def _evenness(envelope: Prominence, longest: int, together: bool = False) -> float:
    """The greatest autocorrelation of (steps, bands) at lags up to the longest, beyond the first trough.

    together: of all bands as one signal; else of the most even one.
    """
    moved = envelope - envelope.mean(axis=0)
    size = 1 << (len(moved) + longest).bit_length()
    spectrum = np.fft.rfft(moved, size, axis=0)
    squares = np.square(spectrum.real) + np.square(spectrum.imag)
    energy = np.square(moved)
    if together:
        squares, energy = squares.sum(axis=1, keepdims=True), energy.sum(axis=1, keepdims=True)
    power = np.concatenate([np.zeros((1, energy.shape[1])), np.cumsum(energy, axis=0)])
    lags = np.arange(longest + 1)
    products = np.fft.irfft(squares, size, axis=0)[: longest + 1]
    alike: NDArray[np.float64] = products / np.sqrt(
        power[len(moved) - lags] * (power[-1] - power[lags]) + 1e-9
    )
    has_fallen = np.logical_or.accumulate(alike < TROUGH, axis=0)
    has_fallen[: _steps(SHORTEST_S)] = False
    return float(np.where(has_fallen, alike, 0.0).max())


def _steps(seconds: float) -> int:
    return round(seconds / STEP_S)
