"""Prominence: by how much each mel band stands out of its neighbours, and the last seconds of that.

A beep stands out from the bands beside its own however loud the room is, and what fills the room is in all
of them. What looks for alarms (cadence.py, beat.py, chirps.py) looks at this.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import CHUNK, FFT, HOP, RATE, mel_filters
from .frontend import LogMel

Prominence = NDArray[np.float32]
"""(steps, mels) float32, dB, every 20 ms, 16 of a chunk: by how much a band stands out of its neighbours."""

Sums = NDArray[np.float64]
"""(2, rows, bands): running sums of the bands' prominence, and of its square."""

STEPS = CHUNK // 2
STEP_S = 2 * HOP / RATE
"""Two frames, 20 ms: what a pulse of 100 ms is drawn with."""
NEIGHBOURS = (-6, -5, -4, -3, 3, 4, 5, 6)
"""Mel bands beside a tone that it does not leak into."""
LEAST_DB, MOST_DB = -6.0, 24.0
"""dB: how far below and above its neighbours a band counts: beyond it says nothing more."""
ROOM_DB, FORGOTTEN_DB = 20.0, 1.0
"""A band that stands out by more than that is heard against its loudest, no more than so far below it; and
that loudest is forgotten by so much a second. From models of rooms up to RT60 1.4 s: `python -m
benchmarks.alarms`."""
DB = 10.0 / math.log(10.0)
"""One neper of power."""
ROOM = 4
"""Times as many rows as are looked at, so that they are moved seldom."""


def prominence(log_mel: LogMel) -> Prominence:
    """(16, mels) how the bands of a chunk stand out. log_mel: (32, mels) dB."""
    power = np.exp(log_mel * np.float32(1.0 / DB))
    steps = np.log((power[::2] + power[1::2]) * np.float32(0.5)) * np.float32(DB)
    prominent: Prominence = steps @ _out_of_neighbours(log_mel.shape[1])
    return prominent


def below_its_loudest(prominent: Prominence) -> Prominence:
    """Prominence, (steps, bands), as far as a room that rings shows it: no more than ROOM_DB below its peaks.

    In a quiet home an alarm stands 40 to 60 dB out, and what the room keeps of it fills the pauses up to
    any ceiling that noise would want. Against the loudest of the seconds before and after, less FORGOTTEN_DB
    for each second between, the pauses are pauses again: an echo that has faded by 20 dB is silence.
    """
    slope = _slope(len(prominent))
    before = np.maximum.accumulate(prominent + slope) - slope
    after = np.maximum.accumulate((prominent - slope)[::-1])[::-1] + slope
    clipped: Prominence = np.maximum(prominent, np.maximum(before, after) - np.float32(ROOM_DB))
    return clipped


@cache
def _slope(steps: int) -> Prominence:
    """(steps, 1) dB: how much is forgotten in so many steps."""
    slope: Prominence = np.arange(steps, dtype=np.float32)[:, None] * np.float32(FORGOTTEN_DB * STEP_S)
    slope.setflags(write=False)  # cached: shared by every caller
    return slope


def running_sums(prominent: Prominence) -> Sums:
    """(2, steps + 1, bands), the first row zero."""
    sums = np.zeros((2, len(prominent) + 1, prominent.shape[1]))
    new = sums[:, 1:]
    new[0], new[1] = prominent, np.square(prominent)
    np.cumsum(new, axis=1, out=new)
    return sums


class Past(NamedTuple):
    """The last seconds of a stream: its bands' prominence, and running sums of that between its limits.

    A value: what continues it shares its memory and adds after `end`, or copies it first where another
    has already added there.
    """

    memory: "_Memory"
    end: int
    """Rows that are this stream's; the last is now."""

    @property
    def prominent(self) -> Prominence:
        """(end, mels), the oldest first, as it is."""
        return self.memory.prominent[: self.end]

    @property
    def sums(self) -> Sums:
        """(2, end, mels), between LEAST_DB and MOST_DB; the last row is the sum up to now."""
        return self.memory.sums[:, : self.end]


class _Memory:
    """Rows of prominence and of its running sums, and how many of them somebody has filled."""

    def __init__(self, rows: int, mels: int) -> None:
        self.prominent = np.zeros((rows, mels), np.float32)
        self.sums = np.zeros((2, rows, mels))
        self.filled = 0


class Recent:
    """Keeps so many rows of a stream's prominence at least; what is remembered is passed and handed back."""

    def __init__(self, rows: int, mels: int) -> None:
        self._rows, self._mels = rows, mels

    def initial_state(self) -> Past:
        """Silence, as long as a look goes back."""
        empty = np.zeros((2, self._rows, self._mels))
        return self._room(np.zeros((self._rows, self._mels), np.float32), empty)

    def step(self, prominent: Prominence, past: Past) -> Past:
        """A chunk more. prominent: (16, mels)."""
        if past.end + STEPS > len(past.memory.prominent):
            # Begun anew, from zero: sums that grow for days would lose what a step adds.
            sums = past.sums[:, -self._rows :]
            past = self._room(past.prominent[-self._rows :], sums - sums[:, :1])
        elif past.memory.filled > past.end:
            past = self._room(past.prominent, past.sums)
        memory, end = past
        memory.prominent[end : end + STEPS] = prominent
        new = memory.sums[:, end : end + STEPS]
        prominent.clip(LEAST_DB, MOST_DB, out=new[0])
        np.square(new[0], out=new[1])
        np.cumsum(new, axis=1, out=new)
        new += memory.sums[:, end - 1 : end]
        memory.filled = end + STEPS
        return Past(memory, memory.filled)

    def _room(self, prominent: Prominence, sums: Sums) -> Past:
        """These rows, with room after them."""
        memory, filled = _Memory(ROOM * self._rows, self._mels), len(prominent)
        memory.prominent[:filled], memory.sums[:, :filled] = prominent, sums
        memory.filled = filled
        return Past(memory, filled)


def bands_between(low_hz: float, high_hz: float, mels: int) -> slice:
    """The mel bands whose peaks lie between two frequencies."""
    peaks = mel_filters(mels).argmax(axis=0) * RATE / FFT
    inside = np.flatnonzero((peaks >= low_hz) & (peaks <= high_hz))
    return slice(int(inside[0]), int(inside[-1]) + 1)


@cache
def _out_of_neighbours(mels: int) -> NDArray[np.float32]:
    """(mels, mels): takes from each band the mean of its neighbours, mirrored at the edges."""
    reach = max(NEIGHBOURS)
    bands = np.pad(np.arange(mels), reach, mode="reflect")
    matrix = np.eye(mels, dtype=np.float32)
    for by in NEIGHBOURS:
        np.subtract.at(matrix, (bands[reach + by : reach + by + mels], np.arange(mels)), 1 / len(NEIGHBOURS))
    matrix.setflags(write=False)  # cached: shared by every caller
    return matrix
