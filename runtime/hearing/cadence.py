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
    left: contrast of one tempo's beep, its correlation, all tempi, and then the groups.

    A band that has stood out further than its limit is looked at twice, also as `below_its_loudest` has it:
    the greater match counts. That costs nothing where nothing is so clear, and only the clearest bands count.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._looks = [_Looks.of(pattern) for pattern in patterns]
        # Of all patterns at once, since it is all that most chunks need.
        self._usual = (
            _Look([pattern.beep[0].template() for pattern in patterns], 0, STEPS) if patterns else None
        )
        self.rows = max((each.past for each in self._looks), default=1)
        """Of the past that it looks at."""
        self._beep = max((each.beep.past for each in self._looks), default=1)

    def look(self, past: Past) -> list[Match]:
        """The best match of each pattern that ended in the newest chunk."""
        found = self._best(past.sums, np.arange(past.sums.shape[2]))
        beep = past.prominent[-self._beep :]
        clearest = beep.max()
        if clearest > MOST_DB:
            bands = np.flatnonzero(beep.max(axis=0) > max(MOST_DB, clearest - ROOM_DB / 2))
            sums = running_sums(below_its_loudest(past.prominent[-self.rows :, bands]))
            found = [max(pair) for pair in zip(found, self._best(sums, bands), strict=True)]
        return found

    def _best(self, sums: Sums, bands: NDArray[np.intp]) -> list[Match]:
        """bands: whose sums they are."""
        if self._usual is None:
            return []
        contrasts = self._usual.contrast(sums[0])
        return [
            each.best(sums[:, -each.past :], contrast[None], bands)
            for each, contrast in zip(self._looks, contrasts, strict=True)
        ]


class _Looks(NamedTuple):
    """A pattern's templates, each where in a stream's last seconds it is held against them."""

    usual: "_Look"
    """The beep in its usual tempo."""
    beep: "_Look"
    groups: "list[tuple[_Look, int]]"
    """Each with how many steps its end may lie from the nearest to the farthest."""
    contrast_db: float
    past: int
    """Rows of running sums that a look takes."""

    @classmethod
    def of(cls, pattern: Pattern) -> "_Looks":
        beep, group = ([pulses.template() for pulses in each] for each in (pattern.beep, pattern.group))
        ago = [(round(least / STEP_S), round(most / STEP_S)) for least, most in pattern.ago]
        past = max(most for _, most in ago) + max(each.length for each in beep + group) + STEPS + 1
        return cls(
            usual=_Look(beep[:1], 0, STEPS),
            beep=_Look(beep, 0, STEPS),
            groups=[(_Look(group, least, most - least + STEPS), most - least) for least, most in ago],
            contrast_db=pattern.contrast_db,
            past=past,
        )

    def best(self, sums: Sums, usual: NDArray[np.float64], numbers: NDArray[np.intp]) -> Match:
        """The best match among the bands of these numbers.

        sums: (2, past, bands). usual: (1, 16, bands) the contrast of the beep in its usual tempo. That tells
        which bands, few and mostly none, are worth a look at all of it: first by what is cheap to know.
        """
        if usual.max() < self.contrast_db:
            return NONE
        near = self.usual.match(sums, usual, self.contrast_db)
        bands = np.flatnonzero(near.max(axis=0) > NEAR)
        if not len(bands):
            return NONE
        own = sums[:, -self.beep.past :].take(bands, axis=2)
        beeps = self.beep.match(own, self.beep.contrast(own[0]), self.contrast_db)
        alike, steps_ago = beeps.max(axis=0), STEPS - 1 - beeps.argmax(axis=0)
        if alike.max() < CLEAR:
            return NONE
        own = sums.take(bands, axis=2)
        for look, span in self.groups:
            groups = look.match(own, look.contrast(own[0]), self.contrast_db)
            # Rows are from the oldest end to the newest; a band's own window ends with its beep.
            newest = len(groups) - steps_ago
            found = [groups[new - span : new, i].max() for i, new in enumerate(newest)]
            alike = np.minimum(alike, found)
            if not alike.any():
                return NONE
        best, bands = int(alike.argmax()), numbers[bands]
        same = (alike > alike[best] - NEARLY) & (np.abs(bands - bands[best]) < min(map(abs, NEIGHBOURS)))
        return Match(float(alike[best]), float(bands[same].mean()))


class _Look:
    """Templates of as many pulses, held against all that ended at so many steps: all of them at once."""

    def __init__(self, templates: list[Template], ago: int, ends: int) -> None:
        """ago: how many steps before the last of the running sums the newest of the `ends` steps lies."""
        self.past = ago + ends + max(each.length for each in templates)
        """Rows of running sums that it needs; given more, it takes the last."""
        newest = np.arange(ends) - ends - ago

        def rows(before: Sequence[int]) -> NDArray[np.intp]:
            return newest - np.array(before, np.intp)[:, None]  # (templates, ends)

        self._now = rows([0])
        self._begun = rows([each.length for each in templates])
        self._pulses = [
            (rows([begin for begin, _ in pulse]), rows([end for _, end in pulse]))
            for pulse in zip(*(each.pulses for each in templates), strict=True)
        ]
        self._length, self._share, self._spread = (
            np.array(column, np.float64)[:, None, None]
            for column in zip(*((each.length, each.share, each.spread) for each in templates), strict=True)
        )

    def contrast(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """(templates, ends, bands) dB: by how much the pulses stand out of the pauses, each on average."""
        on = -self._share * self._held(totals)
        for begin, end in self._pulses:
            on += totals.take(end, axis=0)
            on -= totals.take(begin, axis=0)
        on /= self._spread
        return on

    def match(self, sums: Sums, contrast: NDArray[np.float64], contrast_db: float) -> Prominence:
        """(ends, bands): correlation with the tempo that fits best; 0 where none has this contrast."""
        if contrast.max() < contrast_db:
            return np.zeros(contrast.shape[1:], np.float32)
        total = self._held(sums[0])
        variance = self._held(sums[1]) - total * total / self._length
        alike = contrast * np.sqrt(self._spread / np.maximum(variance, FLATTEST_DB2 * self._length))
        alike[contrast < contrast_db] = 0.0
        return np.asarray(alike.max(axis=0), np.float32)

    def _held(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """(templates, ends, bands): the sum of all that each template covers."""
        return sums.take(self._now, axis=0) - sums.take(self._begun, axis=0)
