"""Gain: a source that is far too quiet is raised to where others are; all others pass bit for bit.

    samples ─ level of each 40 ms ─ how loud are its sounds, how faint is its noise ─ gain ─► samples

A room through an ordinary microphone has noise of its own, and sounds that now and then are loud. A source
that has neither is turned down. It is raised by what its sounds lack, but never so far that its noise could
be taken for sound; and what is steady is noise, however faint.
"""

import math
from collections import deque

import numpy as np

from ..audio import RATE, Samples, seconds

WINDOW = RATE // 25
"""Samples that a level is taken of, and in which one gain fades to the next: 40 ms."""
DECISION = 8
"""Windows between two looks at the noise."""
SILENT_DB = -130.0
"""Digital silence, which tells nothing of the noise."""
MEMORY_S, ENOUGH_S = 30.0, 2.0
"""The noise is judged by so much that is no digital silence, at most and at least."""
QUIETEST = 20
"""Percent of that lie at the noise or below. Steady sound is taken for noise after four fifths of it."""
OUT_DB = 15.0
"""What stands out so far from the noise is sound."""
LOUD_DB = -24.0
"""As loud as the loudest 40 ms of half a minute in a room are through ordinary microphones, about."""
FORGOTTEN_DB = 0.05
"""A second: that it was loud is remembered for minutes, five for the least lack."""
SWELLS_DB = 3.0
BEGINS_S = 1.0
"""A sound that grew by so much within so long may grow further, and one that did not fall as far as it stands
out, for a fifth of that, may be noise."""
NOISE_DB = -70.0
"""The noise is raised to this at most: ten below what is taken for sound."""
LEAST_DB, MOST_DB = 14.0, 40.0
"""A lack of less is no fault; more can't be made up for, and …"""
HOPELESS_DB = 46.0
"""… what lacks this is not a room, but an input with nothing at its end that crackles."""
RISE_DB = 1.6
"""A window: all the way in a second. Down it goes at once."""


class Gain:
    """Mono at 32 kHz -> the same, louder; a function of the samples, however they are cut.

    fixed_db: this gain, whatever the source; None finds it.
    """

    def __init__(self, fixed_db: float | None = None) -> None:
        self.db = 0.0 if fixed_db is None else fixed_db
        """What is applied now."""
        self.lack_db = 0.0
        """What the source lacks, as far as it can be made up for; 0 also where nobody knows."""
        self._is_fixed = fixed_db is not None
        self._from_db = self.db  # the gain at the beginning of the open window; db is that at its end
        self._open = np.zeros(0, np.float32)  # what has come of it
        self._levels: deque[float] = deque(maxlen=round(MEMORY_S * RATE / WINDOW))
        self._loudest_db = self._grown_db = SILENT_DB
        self._grown_at = self._windows = 0

    def push(self, samples: Samples) -> Samples:
        """(n,) -> (n,), at once: what a window shows counts from the next one on."""
        parts = []
        while len(samples):
            part = samples[: WINDOW - len(self._open)]
            parts.append(self._amplified(part, len(self._open)))
            self._open = np.concatenate([self._open, part])
            samples = samples[len(part) :]
            if len(self._open) == WINDOW:
                self._judge(self._open)
                self._open = self._open[:0]
        return parts[0] if len(parts) == 1 else np.concatenate([*parts, samples])

    def _amplified(self, part: Samples, at: int) -> Samples:
        if self._from_db == self.db == 0.0:
            return part
        begin, end = 10 ** (self._from_db / 20), 10 ** (self.db / 20)
        fade = begin + (end - begin) * np.arange(at, at + len(part)) / WINDOW
        louder: Samples = np.clip(part * fade, -1.0, 1.0).astype(np.float32)
        return louder

    def _judge(self, window: Samples) -> None:
        moving = window - window.mean()
        level = 10 * math.log10(float(np.dot(moving, moving)) / WINDOW + 10 ** (SILENT_DB / 10))
        self._windows += 1
        if level > SILENT_DB + 1:
            self._levels.append(level)
        self._loudest_db -= FORGOTTEN_DB * seconds(WINDOW)
        self._grown_db = min(self._grown_db, self._loudest_db)
        if level > self._loudest_db:
            if level > self._grown_db + SWELLS_DB:
                self._grown_db, self._grown_at = level, self._windows
            self._loudest_db = level
            self.lack_db = min(self.lack_db, max(0.0, LOUD_DB - level))
        if self._windows % DECISION == 0:
            self.lack_db = self._lack_db()
        self._from_db = self.db
        if not self._is_fixed:
            self.db = min(self.lack_db, self.db + RISE_DB)

    def _lack_db(self) -> float:
        if len(self._levels) < ENOUGH_S * RATE / WINDOW:
            return 0.0
        noise = float(np.percentile(self._levels, QUIETEST))
        lack = min(LOUD_DB - self._loudest_db, NOISE_DB - noise, MOST_DB)
        is_sound = self._loudest_db >= max(noise + OUT_DB, LOUD_DB - HOPELESS_DB)
        return lack if lack >= LEAST_DB and is_sound and (self.lack_db or self._has_begun()) else 0.0

    def _has_begun(self) -> bool:
        """Whether what stands out is no longer the beginning of something else."""
        begins = round(BEGINS_S * RATE / WINDOW)
        lately = float(np.percentile([*self._levels][-begins:], QUIETEST))
        return self._windows - self._grown_at >= begins and lately <= self._loudest_db - OUT_DB
