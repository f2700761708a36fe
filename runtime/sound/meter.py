"""Meter: what is known of a source by its sound as it comes in, before channels are mixed.

frames ─ each block: flat? ─ each second: clipped, how loud each channel, who opposes whom ─► Reading
"""

from collections import deque
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples

STEP = 1 / 32768
"""The least difference of 16 bits."""
FLAT_STEPS = 4
"""Dither of one step, and now and then of two. A quiet room through an ordinary microphone makes ten."""
WHITE = 0.15
"""A sample's correlation with the next, below which it is the numbers' noise: a room's is mostly low."""
JUDGED_S = 10
"""By so many seconds channels are judged, and a source that clips."""
FULL = 0.998
"""As large as numbers go, or as a converter that is driven too hard."""
CLIPPED_SHARE, CLIPPED_S = 1e-3, 2
"""Of the samples of a second, and in so many of the last seconds: a single bang is no fault."""
DEAD_DB = 40.0
"""So far below the loudest channel, a channel brings nothing."""
OPPOSED = -0.5
"""A channel's correlation with the first that lives, below which it is the wrong way round."""


class Reading(NamedTuple):
    """What is known of a source. Channels count from 1."""

    is_flat: bool = False
    """The last block says nothing of any room."""
    clips: bool = False
    lack_db: float = 0.0
    """By so much it is too quiet, as far as that can be made up for."""
    gain_db: float = 0.0
    """By so much it is raised now."""
    dead: tuple[int, ...] = ()
    """Channels that bring nothing, where others do."""
    opposed: tuple[int, ...] = ()
    """Channels of the opposite polarity to the first that lives."""

    @property
    def verdict(self) -> Literal["good", "too quiet", "clipping"]:
        """On the level."""
        return "clipping" if self.clips else "too quiet" if self.lack_db else "good"

    def faults(self) -> dict[str, str]:
        """What is wrong, each by a name, in words for a person."""
        said = {}
        if self.clips:
            said["clips"] = "it is so loud that it is clipped; turn it down"
        if self.lack_db:
            said["lack"] = f"it is far too quiet, by some {self.lack_db:.0f} dB; turn it up"
        if self.dead:
            said["dead"] = f"{_named(self.dead, 'brings', 'bring')} nothing; the rest is heard"
        if self.opposed:
            turned = "it is" if len(self.opposed) == 1 else "they are"
            said["opposed"] = (
                f"{_named(self.opposed, 'is', 'are')} of opposite polarity; {turned} turned round"
            )
        return said


class _Second(NamedTuple):
    """About one of a source."""

    clipped: bool
    is_flat: NDArray[np.bool_]  # (channels,)
    covariance: NDArray[np.float64]  # (channels, channels)


class Meter:
    """Takes every block of a source."""

    def __init__(self, rate: int, channels: int) -> None:
        self.is_flat = False
        """Whether the last block says nothing of any room: zeros, a constant offset, or dither."""
        self._rate, self._channels = rate, channels
        self._seconds: deque[_Second] = deque(maxlen=JUDGED_S)
        self._begin()

    def push(self, frames: Samples) -> bool:
        """(n, channels) within [-1, 1]. Whether a second is full, and there may be something new to tell."""
        if not len(frames):
            return False
        self.is_flat = bool(_are_flat(frames).all()) and all(map(_is_white, frames.T))
        is_full = False
        while len(frames):
            part = frames[: self._rate - self._count]
            is_full |= self._add(part)
            frames = frames[len(part) :]
        return is_full

    def _add(self, frames: Samples) -> bool:
        """What fits into the open second. Whether that is full."""
        self._flat &= _are_flat(frames)
        self._count += len(frames)
        if np.abs(frames).max() >= FULL:
            self._clipped += int((np.abs(frames) >= FULL).any(axis=1).sum())
        if self._channels > 1:
            self._sum += frames.sum(axis=0)
            exact = frames.astype(np.float64)  # or little would be left of a faint sound beside an offset
            self._products += exact.T @ exact
        if self._count < self._rate:
            return False
        mean = self._sum / self._count
        covariance = self._products / self._count - np.outer(mean, mean)
        clipped = self._clipped >= CLIPPED_SHARE * self._count
        self._seconds.append(_Second(clipped, self._flat, covariance))
        self._begin()
        return True

    @property
    def clips(self) -> bool:
        return sum(second.clipped for second in self._seconds) >= CLIPPED_S

    def channels(self, least_s: int = JUDGED_S) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(dead, opposed) by the last JUDGED_S; none before least_s."""
        if self._channels == 1 or len(self._seconds) < least_s:
            return (), ()
        flat = np.all([second.is_flat for second in self._seconds], axis=0)
        if flat.all():
            return (), ()
        powers = np.array([second.covariance.diagonal() for second in self._seconds]).max(axis=0)
        dead = flat | (powers < powers.max() * 10 ** (-DEAD_DB / 10))
        live = np.flatnonzero(~dead)
        covariance = np.sum([second.covariance for second in self._seconds], axis=0)
        first = live[0]
        scale = np.sqrt(covariance[first, first] * covariance[live, live])
        opposed = live[covariance[first, live] < OPPOSED * scale]
        return tuple((np.flatnonzero(dead) + 1).tolist()), tuple((opposed + 1).tolist())

    def _begin(self) -> None:
        self._count = self._clipped = 0
        self._flat = np.ones(self._channels, np.bool_)
        self._sum = np.zeros(self._channels)
        self._products = np.zeros((self._channels, self._channels))


def _named(channels: tuple[int, ...], one: str, several: str) -> str:
    """ "channel 2 is", "channels 1 to 17 and 19 are"."""
    if len(channels) == 1:
        return f"channel {channels[0]} {one}"
    runs: list[list[int]] = []
    for channel in channels:
        if runs and channel == runs[-1][-1] + 1:
            runs[-1].append(channel)
        else:
            runs.append([channel])
    *others, last = (f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    return f"channels {', '.join(others)}{' and ' if others else ''}{last} {several}"


def _are_flat(frames: Samples) -> NDArray[np.bool_]:
    """(channels,) Whether each stays within a few steps of 16 bits."""
    flat: NDArray[np.bool_] = np.ptp(frames, axis=0) <= FLAT_STEPS * STEP
    return flat


def _is_white(samples: Samples) -> bool:
    """Whether a sample says nothing of the next. A room's own noise may be as faint as dither, but does."""
    moving = samples - samples.mean(dtype=np.float64)
    return float(np.dot(moving[1:], moving[:-1])) <= WHITE * float(np.dot(moving, moving))
