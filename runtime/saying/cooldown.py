"""Cooldown: what was said, and for how long it needs no saying again.

    a background (ambient)   not again until it was gone for 10 minutes
    a guess ("Possibly …")   not again for 10 minutes after its sound was last heard; but said once it is sure
    anything said 5 times    not again until it was gone for 2 minutes
    what calls somebody      said every time that it is sure: a knock, a doorbell, a phone
    what is urgent           said every time, be it as a guess

A recording's captions hold every event: there nothing sure is held back (`holds_all`); a guess still is.

"Heard" means that a chunk's score reached the level at which a sound counts as there (`Limits.leaves`).
The times and the five are rules for people, chosen by hand (docs/decisions.md, "A background is named
once").
"""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..audio import RATE
from .labels import Labels

FAMILIAR_SAMPLES = 600 * RATE
"""A background's return, or a guess made again, is no news within this time of when it was last heard."""
OFTEN = 5
"""What was said so often with no long absence between is no news: a squeak, a horn in the traffic, a
neighbour's dog."""
ABSENCE_SAMPLES = 120 * RATE
"""A long absence; after it a sound is news again."""


@dataclass
class _Returning:
    """A sound that was said, and how often since it was last away for long."""

    times: int
    away_at: int
    """When it counts as away for long, unless it is heard before."""


class Cooldown:
    """Remembers what was said. Times are samples of the stream; sounds are numbers of labels."""

    def __init__(self, labels: Labels, audible: float, holds_all: bool = False) -> None:
        """audible: a sound with this score, 0 to 1, is there.
        holds_all: nothing that is sure is suppressed."""
        self._labels, self._audible, self._holds_all = labels, audible, holds_all
        self._familiar: dict[int, int] = {}  # label -> until when its return is no news
        self._returning: dict[int, _Returning] = {}

    def heard(self, scores: NDArray[np.float32], now: int) -> None:
        """A chunk that ended at `now` went by: what is there has not been away.

        scores: (sounds,) 0 to 1, the chunk's own. Of a sound with a score of `audible` or more that still
        cools down, the time begins anew: until now + FAMILIAR_SAMPLES, or now + ABSENCE_SAMPLES. One
        whose time is over is news already, and stays so until it is said.
        """
        for label, until in self._familiar.items():
            if now < until and scores[label] >= self._audible:
                self._familiar[label] = now + FAMILIAR_SAMPLES
        for label, returning in self._returning.items():
            if now < returning.away_at and scores[label] >= self._audible:
                returning.away_at = now + ABSENCE_SAMPLES

    def said(self, labels: Set[int], is_sure: bool, start: int, end: int) -> None:
        """A caption that named these is over. is_sure: said plainly, not as a guess. start, end: its own."""
        for label in labels:
            is_urgent = label in self._labels.urgent
            if label in self._labels.ambient or not (is_sure or is_urgent):
                self._familiar[label] = end + FAMILIAR_SAMPLES
            if not (is_urgent or label in self._labels.calls):
                before = self._returning.get(label)
                times = before.times if before and before.away_at > start else 0
                self._returning[label] = _Returning(times + 1, end + ABSENCE_SAMPLES)

    def no_guess(self, now: int) -> frozenset[int]:
        """Sounds that are not worth a guess: said before, as a background or a guess, or too often."""
        guessed = frozenset(label for label, until in self._familiar.items() if now < until)
        return guessed if self._holds_all else guessed | self._often(now)

    def suppressed(self, now: int) -> frozenset[int]:
        """Sounds that are not worth saying, however sure: backgrounds and the too frequent; a part of
        `no_guess`."""
        if self._holds_all:
            return frozenset()
        return self.no_guess(now) & self._labels.ambient | self._often(now)

    def _often(self, now: int) -> frozenset[int]:
        return frozenset(
            label
            for label, returning in self._returning.items()
            if returning.times >= OFTEN and now < returning.away_at
        )
