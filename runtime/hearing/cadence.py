"""Cadence: the rhythm of an alarm, which a standard fixes, looked for in the log-mel frames.

One beep of a smoke alarm sounds like a kitchen timer's. What tells them apart is that three come, then a
pause, then three again (T3, ISO 8201), or four short ones every five seconds (T4, NFPA 72, for carbon
monoxide). So each mel band is compared with that pattern of on and off: a matched filter, by normalised
correlation. A band's neighbours are taken off first: a beep stands out from them however loud the room is,
and what fills the room is in all of them. That finds an alarm as quiet as the noise around it.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import CHUNK, HOP, RATE
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
DB = 10.0 / math.log(10.0)
"""One neper of power."""
FLATTEST_DB2 = 1e-3
"""Variance below which a band is taken for still."""
NEAR, CLEAR = 0.5, 0.6
"""A band where a beep of the usual length is near is heard out; from a clear one on the groups before it are
looked for."""
ROOM = 4
"""Times as many running sums as are looked at, so that they are moved seldom."""


class Pulses(NamedTuple):
    """So many beeps, with quiet around them; every length in seconds."""

    beeps: int
    on: float
    off: float
    before: float
    after: float

    def template(self) -> "Template":
        """In steps."""
        length = self.before + self.beeps * (self.on + self.off) - self.off + self.after
        begins = [self.before + i * (self.on + self.off) for i in range(self.beeps)]
        ago = [
            (round((length - begin) / STEP_S), round((length - begin - self.on) / STEP_S)) for begin in begins
        ]
        steps = round(length / STEP_S)
        share = sum(begin - end for begin, end in ago) / steps
        return Template(ago, steps, share, steps * share * (1.0 - share))


class Template(NamedTuple):
    """Pulses in steps: ones, and zeros in the pauses."""

    pulses: list[tuple[int, int]]
    """How many steps before the end each began and ended."""
    length: int
    share: float
    """Of the steps that are ones."""
    spread: float
    """Its own variance, summed."""


class Pattern(NamedTuple):
    """What has to be heard of an alarm: a beep or a burst now, and groups of pulses before it or in it.

    Each in several tempi, the usual one first, as standards allow a tenth. A group ends so many seconds, from
    .. to, before the beep does. The beep stands out of the quiet around it by `contrast_db`, pulses out of
    their pauses too.
    """

    beep: tuple[Pulses, ...]
    group: tuple[Pulses, ...]
    ago: tuple[tuple[float, float], ...]
    contrast_db: float


T3 = Pattern(
    beep=tuple(Pulses(1, on, 0.0, 1.0, 0.35) for on in (0.5, 0.46, 0.54)),
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
    beep=tuple(Pulses(1, on, 0.0, 1.0, 0.6) for on in (0.7, 0.64, 0.76)),
    group=tuple(
        Pulses(4, on, off, 1.0, 0.6)
        for on, off in ((0.09, 0.09), (0.1, 0.1), (0.11, 0.11), (0.09, 0.11), (0.11, 0.09))
    ),
    ago=((0.0, 0.32), (4.9, 6.7)),
    contrast_db=2.0,
)
"""Four pulses of 0.1 s, 0.1 s apart, then 5 s off: known by the second group."""
PATTERNS = {"T3": T3, "T4": T4}


class Listener:
    """How much a stream's last seconds are like some patterns, chunk after chunk."""

    def __init__(self, patterns: Sequence[Pattern], mels: int) -> None:
        self._patterns = [_Templates.of(pattern) for pattern in patterns]
        self._past = max((each.past for each in self._patterns), default=1)
        # Running sums of the bands and of their squares: what any stretch holds is one subtraction.
        self._sums = np.zeros((ROOM * self._past, 2, mels))
        self._end = self._past
        """Rows that are filled; the last is the sum up to now."""

    def step(self, prominent: Prominence) -> list[float]:
        """The best match of each pattern that ended in this chunk, 0 to 1."""
        if self._end + STEPS > len(self._sums):
            # Begun anew, from zero: sums that grow for days would lose what a step adds.
            last = self._sums[self._end - self._past : self._end].copy()
            self._sums[: self._past] = last - last[0]
            self._end = self._past
        new = self._sums[self._end : self._end + STEPS]
        np.cumsum(prominent, axis=0, out=new[:, 0])
        np.cumsum(np.square(prominent), axis=0, out=new[:, 1])
        new += self._sums[self._end - 1]
        self._end += STEPS
        return [self._best(each) for each in self._patterns]

    def _best(self, templates: "_Templates") -> float:
        sums = self._sums[self._end - templates.past : self._end]
        # One tempo tells which bands, few and mostly none, are worth a look at all of it: first by what
        # is cheap to know.
        usual = templates.beep[0]
        bands = np.flatnonzero(_contrast(sums, usual, 0, STEPS).max(axis=0) >= templates.contrast_db)
        if len(bands):
            near = _match(sums[:, :, bands], [usual], 0, STEPS, templates.contrast_db).max(axis=0) > NEAR
            bands = bands[near]
        if not len(bands):
            return 0.0
        own = np.ascontiguousarray(sums[:, :, bands])
        beeps = _match(own, templates.beep, 0, STEPS, templates.contrast_db)
        alike, steps_ago = beeps.max(axis=0), STEPS - 1 - beeps.argmax(axis=0)
        if alike.max() < CLEAR:
            return 0.0
        for least, most in templates.ago:
            groups = _match(own, templates.group, least, most - least + STEPS, templates.contrast_db)
            # Rows are from the oldest end to the newest; a band's own window ends with its beep.
            newest = len(groups) - steps_ago
            found = [groups[new - (most - least) : new, i].max() for i, new in enumerate(newest)]
            alike = np.minimum(alike, found)
        return float(alike.max())


class _Templates(NamedTuple):
    """A pattern in steps of the frames."""

    beep: list[Template]
    group: list[Template]
    ago: list[tuple[int, int]]
    contrast_db: float
    past: int
    """Rows of running sums that a look takes."""

    @classmethod
    def of(cls, pattern: Pattern) -> "_Templates":
        beep, group = ([pulses.template() for pulses in each] for each in (pattern.beep, pattern.group))
        ago = [(round(least / STEP_S), round(most / STEP_S)) for least, most in pattern.ago]
        past = max(most for _, most in ago) + max(each.length for each in beep + group) + STEPS + 1
        return cls(beep, group, ago, pattern.contrast_db, past)


def _match(
    sums: NDArray[np.float64], templates: list[Template], ago: int, ends: int, contrast_db: float
) -> Prominence:
    """(ends, bands): correlation with the tempo that fits best of what ended at so many steps, the newest
    of them `ago` steps before the last of the running sums, (steps, 2, bands)."""
    best = np.zeros((ends, sums.shape[2]), np.float32)
    now = _ending(sums, ago, ends)
    for template in templates:
        held = now - _ending(sums, ago + template.length, ends)
        total, squares = held[:, 0], held[:, 1]
        contrast = _contrast(sums, template, ago, ends)
        variance = np.maximum(squares - total * total / template.length, FLATTEST_DB2 * template.length)
        alike = contrast * np.sqrt(template.spread / variance)
        alike[contrast < contrast_db] = 0.0
        np.maximum(best, alike, out=best, casting="same_kind")
    return best


def _contrast(sums: NDArray[np.float64], template: Template, ago: int, ends: int) -> NDArray[np.float64]:
    """(ends, bands) dB: by how much the pulses stand out of the pauses, each on average."""
    bands = sums[:, 0]
    total = _ending(bands, ago, ends) - _ending(bands, ago + template.length, ends)
    on = -template.share * total
    for begin, end in template.pulses:
        on += _ending(bands, ago + end, ends)
        on -= _ending(bands, ago + begin, ends)
    on /= template.spread
    return on


def _ending(sums: NDArray[np.float64], ago: int, ends: int) -> NDArray[np.float64]:
    """The running sums of so many steps, the newest of them `ago` steps before the last."""
    newest = len(sums) - ago
    return sums[newest - ends : newest]


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


def prominence(log_mel: LogMel) -> Prominence:
    """How the bands of a chunk stand out. log_mel: (32, mels) dB."""
    power = np.exp(log_mel * np.float32(1.0 / DB))
    steps = np.log((power[::2] + power[1::2]) * np.float32(0.5)) * np.float32(DB)
    prominent: Prominence = np.clip(steps @ _out_of_neighbours(log_mel.shape[1]), LEAST_DB, MOST_DB)
    return prominent
