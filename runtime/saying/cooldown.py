"""What is news: not a background that was named lately, not the same guess again, not what keeps coming back.

What is urgent is news every time.
"""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..audio import RATE
from .labels import Sounds

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


class News:
    """Remembers what was said, and for how long it needs no saying. Times are in samples."""

    def __init__(self, sounds: Sounds, audible: float) -> None:
        """audible: a sound with this score is there."""
        self._sounds, self._audible = sounds, audible
        self._familiar: dict[int, int] = {}  # label -> until when its return is no news
        self._returning: dict[int, _Returning] = {}

    def heard(self, scores: NDArray[np.float32], now: int) -> None:
        """(sounds,) scores of a chunk: what is there again has not been away."""
        for label, until in self._familiar.items():
            if now < until and scores[label] >= self._audible:
                self._familiar[label] = now + FAMILIAR_SAMPLES
        for label, returning in self._returning.items():
            if now < returning.away_at and scores[label] >= self._audible:
                returning.away_at = now + ABSENCE_SAMPLES

    def said(self, labels: Set[int], is_sure: bool, start: int, end: int) -> None:
        """A caption that named these is over."""
        for label in labels:
            is_urgent = label in self._sounds.urgent
            if label in self._sounds.ambient or not (is_sure or is_urgent):
                self._familiar[label] = end + FAMILIAR_SAMPLES
            if not is_urgent:
                before = self._returning.get(label)
                times = before.times if before and before.away_at > start else 0
                self._returning[label] = _Returning(times + 1, end + ABSENCE_SAMPLES)

    def stale(self, now: int) -> frozenset[int]:
        """Sounds that are not worth a guess."""
        return frozenset(label for label, until in self._familiar.items() if now < until) | self._often(now)

    def dull(self, now: int) -> frozenset[int]:
        """Sounds that are not worth saying, however sure; a part of the stale ones."""
        return self.stale(now) & self._sounds.ambient | self._often(now)

    def _often(self, now: int) -> frozenset[int]:
        return frozenset(
            label
            for label, returning in self._returning.items()
            if returning.times >= OFTEN and now < returning.away_at
        )
