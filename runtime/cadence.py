"""Cadence: the rhythm of an alarm, which a standard fixes, looked for in the log-mel frames.

One beep of a smoke alarm sounds like a kitchen timer's. What tells them apart is that three come, then a
pause, then three again (T3, ISO 8201), or four short ones every five seconds (T4, NFPA 72, for carbon
monoxide). So each mel band is compared with that pattern of on and off: a matched filter, by normalised
correlation. A band's neighbours are taken off first: a beep stands out from them however loud the room is,
and what fills the room is in all of them. That finds an alarm as quiet as the noise around it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .audio import CHUNK, HOP, RATE
from .frontend import LogMel

Prominence = NDArray[np.float32]
"""(16, mels) float32, dB, every 20 ms of a chunk: by how much a band stands out of its neighbours."""

STEPS = CHUNK // 2
STEP_S = 2 * HOP / RATE
"""Two frames, 20 ms: what a pulse of 100 ms is drawn with."""
NEIGHBOURS = (-6, -5, -4, -3, 3, 4, 5, 6)
"""Mel bands beside a tone that it does not leak into."""
LEAST_DB, MOST_DB = -6.0, 24.0
"""How far below and above its neighbours a band counts: beyond it says nothing more."""
FLATTEST_DB2 = 1e-3
"""Variance below which a band is taken for still."""
HALF_ALIKE = 0.5
"""Below this correlation nothing is a pattern."""


class Pulses(NamedTuple):
    """So many beeps, with quiet around them; every length in seconds."""

    beeps: int
    on: float
    off: float
    before: float
    after: float

    def edges(self) -> "Edges":
        """Where pulses begin and end, in steps back from the pattern's end, (2 x beeps,); its length."""
        length = self.before + self.beeps * (self.on + self.off) - self.off + self.after
        begins = self.before + np.arange(self.beeps) * (self.on + self.off)
        at = np.stack([begins, begins + self.on], axis=1).ravel()
        return np.round((length - at) / STEP_S).astype(np.intp), round(length / STEP_S)


class Pattern(NamedTuple):
    """What has to be heard of an alarm: a beep or a burst now, and groups of pulses before it or in it.

    Each in several tempi, as standards allow a tenth. A group ends so many seconds, from .. to, before the
    beep does. The beep stands out of the quiet around it by `contrast_db`, pulses out of their pauses too.
    """

    beep: tuple[Pulses, ...]
    group: tuple[Pulses, ...]
    ago: tuple[tuple[float, float], ...]
    contrast_db: float


T3 = Pattern(
    beep=tuple(Pulses(1, on, 0.0, 1.0, 0.35) for on in (0.46, 0.5, 0.54)),
    group=tuple(
        Pulses(3, on, off, 0.9, 0.9)
        for on, off in ((0.46, 0.46), (0.5, 0.5), (0.54, 0.54), (0.46, 0.54), (0.54, 0.46))
    ),
    ago=((0.8, 2.2),),
    contrast_db=5.0,
)
"""0.5 s on, 0.5 s off, three times, then 1.5 s off: known by the next group's first beep, 5 s after the first
of all."""
T4 = Pattern(
    beep=tuple(Pulses(1, on, 0.0, 1.0, 0.6) for on in (0.64, 0.7, 0.76)),
    group=tuple(
        Pulses(4, on, off, 1.0, 0.6)
        for on, off in ((0.09, 0.09), (0.1, 0.1), (0.11, 0.11), (0.09, 0.11), (0.11, 0.09))
    ),
    ago=((0.0, 0.32), (4.9, 6.7)),
    contrast_db=2.0,
)
"""Four pulses of 0.1 s, 0.1 s apart, then 5 s off: known by the second group."""
PATTERNS = {"T3": T3, "T4": T4}

Edges = tuple[NDArray[np.intp], int]
"""Of Pulses: steps back from the end at which they begin and end, in turns; how many in all."""


class Listener:
    """How much a stream's last seconds are like one pattern, chunk after chunk."""

    def __init__(self, pattern: Pattern, mels: int) -> None:
        self._contrast_db = pattern.contrast_db
        self._beep = [pulses.edges() for pulses in pattern.beep]
        self._group = [pulses.edges() for pulses in pattern.group]
        self._ago = [np.arange(round(least / STEP_S), round(most / STEP_S)) for least, most in pattern.ago]
        past = max(int(ago.max()) for ago in self._ago) + max(length for _, length in self._group)
        # Running sums of the bands and of their squares: what any stretch holds is one subtraction.
        self._sums = np.zeros((past + STEPS + 1, 2, mels))

    def step(self, prominent: Prominence) -> float:
        """The best match that ended in this chunk, 0 to 1."""
        both = np.stack([prominent, np.square(prominent)], axis=1)
        grown = self._sums[-1] + np.cumsum(both, axis=0, dtype=np.float64)
        self._sums = np.concatenate([self._sums[STEPS:], grown])
        self._sums -= self._sums[0]  # growing for days they would lose what a step adds
        ends = len(self._sums) - STEPS + np.arange(STEPS)
        every = np.arange(self._sums.shape[2])
        beeps = self._match(self._beep, ends[:, None], every)
        alike = beeps.max(axis=0)
        bands = np.flatnonzero(alike > HALF_ALIKE)  # few, mostly none: only these are worth a second look
        if not len(bands):
            return 0.0
        alike = alike[bands]
        now = ends[beeps[:, bands].argmax(axis=0)]
        for ago in self._ago:
            groups = self._match(self._group, now - ago[:, None], bands)
            alike = np.minimum(alike, groups.max(axis=0))
        return float(alike.max())

    def _match(self, templates: list[Edges], ends: NDArray[np.intp], bands: NDArray[np.intp]) -> Prominence:
        """Correlation with the tempo that fits best. ends: (n, 1 or bands), steps at which it would end."""
        best = np.zeros((len(ends), len(bands)), np.float32)
        for edges, length in templates:
            on = 0.0
            for begin, end in edges.reshape(-1, 2):
                on = on + self._sums[ends - end, 0, bands] - self._sums[ends - begin, 0, bands]
            total, squares = (
                self._sums[ends, part, bands] - self._sums[ends - length, part, bands] for part in (0, 1)
            )
            share = float(edges[::2].sum() - edges[1::2].sum()) / length
            spread = length * share * (1.0 - share)  # the pattern's own variance, summed
            product = on - share * total
            variance = np.maximum(squares - total * total / length, FLATTEST_DB2 * length)
            alike = product / np.sqrt(variance * spread)
            alike[product < self._contrast_db * spread] = 0.0
            np.maximum(best, alike, out=best, casting="same_kind")
        return best


def prominence(log_mel: LogMel) -> Prominence:
    """How the bands of a chunk stand out. log_mel: (32, mels) dB."""
    power = np.power(10.0, log_mel / 10.0)
    steps = 10.0 * np.log10((power[::2] + power[1::2]) / 2.0)
    reach = max(NEIGHBOURS)
    padded = np.pad(steps, ((0, 0), (reach, reach)), mode="reflect")
    mels = steps.shape[1]
    around = sum(padded[:, reach + by : reach + by + mels] for by in NEIGHBOURS) / len(NEIGHBOURS)
    prominent: Prominence = np.clip(steps - around, LEAST_DB, MOST_DB).astype(np.float32)
    return prominent
