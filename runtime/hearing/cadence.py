"""Cadence: the rhythm of an alarm, which a standard fixes, looked for in the log-mel frames.

One beep of a smoke alarm sounds like a kitchen timer's. What tells them apart is that three come, then a
pause, then three again (T3, ISO 8201), or four short ones every five seconds (T4, NFPA 72, for carbon
monoxide). So each mel band is compared with that pattern of on and off: a matched filter, by normalised
correlation. A band's neighbours are taken off first: a beep stands out from them however loud the room is,
and what fills the room is in all of them. That finds an alarm as quiet as the noise around it.

Of a band's prominence x (dB, n steps of 20 ms) and a template t of ones and zeros, a share s of them ones:

    contrast = mean of x where t is 1 - mean of x where t is 0        (dB)
    match    = contrast · sqrt(n s (1 - s) / sum of (x - mean of x)²)  (Pearson's r of x and t)

An alarm's match is the lesser of its newest beep's and of the groups' before it, in the band where that is
greatest. The constants were chosen by hand and kept by the trials of training/LOG.md, "An alarm's cadence"
(`edgecap evaluate BUNDLE --only safety` makes their like); those that weigh a match are the bundle's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .prominence import (
    MOST_DB,
    NEIGHBOURS,
    ROOM_DB,
    STEP_S,
    STEPS,
    Past,
    Prominence,
    Sums,
    below_its_loudest,
    running_sums,
)

FLATTEST_DB2 = 1e-3
"""dB²: the variance a step below which a band is taken for still."""
NEAR, CLEAR = 0.5, 0.6
"""Correlations: a band where a beep of the usual length is near is heard out; from a clear one on the groups
before it are looked for."""
NEARLY = 0.1
"""A band with so much less correlation than its neighbour may be the same tone's."""
_NEWEST = np.arange(STEPS)[::-1]
"""How many steps ago each of the newest chunk's ended, the oldest first."""


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


class Match(NamedTuple):
    """How much a stream's last seconds are like a pattern, at best."""

    likeness: float
    """Correlation, 0 to 1."""
    band: float
    """The mel band where it is greatest: the middle of those that a tone leaks into, nearly as like."""


NONE = Match(0.0, 0.0)


class Listener:
    """How much a stream's last seconds are like some patterns, looked at chunk after chunk.

    What any stretch of a band holds is one subtraction of running sums, so a template costs a few of them
    whatever its length. A look goes from what is cheap to what is dear, and only with the bands that are
    left: contrast of one tempo's beep, its correlation, all tempi, and then the groups. Beeps are looked for
    in all patterns at once: here calls cost more than what they compute.

    A band that has stood out further than its limit is looked at twice, also as `below_its_loudest` has it:
    the greater match counts. That costs nothing where nothing is so clear, and only the clearest bands count.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        """patterns: with as many tempi of the beep each."""
        self._groups = [_Groups(pattern) for pattern in patterns]
        self._usual, self._beeps = (
            Look([(pattern, pulses) for pattern in patterns for pulses in pattern.beep[:tempi]], _NEWEST)
            for tempi in (1, None)
        )
        self.rows = max(look.past for look in (self._beeps, *(each.look for each in self._groups))) + 1
        """Of the past that it looks at."""

    def look(self, past: Past) -> list[Match]:
        """The best match of each pattern that ended in the newest chunk."""
        found = self._best(past.sums, np.arange(past.sums.shape[2]))
        beep = past.prominent[-self._beeps.past :].max(axis=0)
        clearest = beep.max()
        if clearest > MOST_DB:
            bands = np.flatnonzero(beep > max(MOST_DB, clearest - ROOM_DB / 2))
            sums = running_sums(below_its_loudest(past.prominent[-self.rows :, bands]))
            found = [max(pair) for pair in zip(found, self._best(sums, bands), strict=True)]
        return found

    def _best(self, sums: Sums, numbers: NDArray[np.intp]) -> list[Match]:
        """The best matches among the bands of these numbers.

        The beeps' usual tempi tell which bands, few and mostly none, are worth a look at all of it.
        """
        near = self._usual.match(sums).max(axis=1) > NEAR  # (patterns, bands)
        bands = near.any(axis=0).nonzero()[0]
        if not len(bands):
            return [NONE] * len(self._groups)
        beeps = self._beeps.match(sums[:, -self._beeps.past :][..., bands])
        beeps = beeps.reshape(len(near), -1, *beeps.shape[1:]).max(axis=1)
        return [
            groups.best(sums, ends[:, own], bands[own], numbers)
            for groups, ends, own in zip(self._groups, beeps, near[:, bands], strict=True)
        ]


class _Groups:
    """A pattern's groups, held against a stream's last seconds wherever they may end."""

    def __init__(self, pattern: Pattern) -> None:
        ago = [(round(least / STEP_S), round(most / STEP_S)) for least, most in pattern.ago]
        # Where one may end for a beep that ended in the newest chunk, window after window.
        ends = [np.arange(least, most + STEPS) for least, most in ago]
        self.look = Look([(pattern, pulses) for pulses in pattern.group], np.concatenate(ends))
        sizes = [len(each) for each in ends]
        self._windows = np.cumsum([0, *sizes[:-1]])
        """Where each begins."""
        later = np.concatenate([np.arange(size) for size in sizes]) - _NEWEST[:, None]
        self._may_end = (later >= 0) & (later < np.repeat(sizes, sizes) - STEPS)
        """(ends of a beep, ends): which of them go with a beep that ended then."""

    def best(
        self, sums: Sums, beeps: Prominence, bands: NDArray[np.intp], numbers: NDArray[np.intp]
    ) -> Match:
        """The best match among these bands. beeps: (16, bands) correlations. numbers: of all bands."""
        if beeps.max(initial=0.0) < CLEAR:
            return NONE
        groups = self.look.match(sums[:, -self.look.past :][..., bands]).max(axis=0)
        groups *= self._may_end[beeps.argmax(axis=0)].T
        alike = np.minimum(beeps.max(axis=0), np.maximum.reduceat(groups, self._windows).min(axis=0))
        if not alike.any():
            return NONE
        best, numbers = int(alike.argmax()), numbers[bands]
        same = (alike > alike[best] - NEARLY) & (np.abs(numbers - numbers[best]) < min(map(abs, NEIGHBOURS)))
        return Match(float(alike[best]), float(numbers[same].mean()))


class Look:
    """Pulses, as many in each template, held against all that ended at some steps: all of them at once.

    A template's contrast in a band is a weighted sum of a few of the band's running sums.
    """

    def __init__(self, pulses: Sequence[tuple[Pattern, Pulses]], ago: NDArray[np.intp]) -> None:
        """pulses: each with the pattern that it is of. ago: (ends,) steps before the last of the sums."""
        templates = [each.template() for _, each in pulses]
        self.past = int(ago.max()) + 1 + max((each.length for each in templates), default=0)
        """Rows of running sums that it needs; given more, it takes the last."""
        self._length, spread, least_db = (
            np.array(column, np.float64)[:, None, None]
            for column in (
                [each.length for each in templates],
                [each.spread for each in templates],
                [pattern.contrast_db for pattern, _ in pulses],
            )
        )
        edges = [np.array([0, each.length, *sum(each.pulses, ())]) for each in templates]
        self._rows = np.array([-1 - ago - before[:, None] for before in edges])
        """(templates, edges, ends): where all that is covered ends and begins, then where each pulse begins
        and ends."""
        weights = [[[-each.share, each.share, *[-1.0, 1.0] * len(each.pulses)]] for each in templates]
        self._weights = np.array(weights) / np.sqrt(spread)
        """(templates, 1, edges): of the sums there, which make the contrast times the root of the spread."""
        self._least = least_db * np.sqrt(spread)

    def match(self, sums: Sums) -> Prominence:
        """(templates, ends, bands): correlation with each; 0 where that has too little contrast."""
        edges = sums[0].take(self._rows, axis=0)
        templates, _, ends, bands = edges.shape
        alike = (self._weights @ edges.reshape(templates, -1, ends * bands)).reshape(templates, ends, bands)
        stands_out = alike >= self._least
        if not stands_out.any():
            return np.zeros_like(alike, np.float32)
        total = edges[:, 0] - edges[:, 1]
        squares = sums[1].take(self._rows[:, :2], axis=0)
        variance = squares[:, 0] - squares[:, 1]
        # In place: where arrays are so small, new memory is what costs.
        total *= total
        total /= self._length
        variance -= total
        np.maximum(variance, FLATTEST_DB2 * self._length, out=variance)
        alike /= np.sqrt(variance, out=variance)
        alike *= stands_out
        return np.asarray(alike, np.float32)
