"""Chirps: an alarm that wants a battery gives one short tone every half minute to minute, for weeks.

Nothing but its clock tells it from a bird or a till: one tone of 20 to 120 ms, alone in its band, then again
after the same time, and again. It is believed after three intervals that are equal within a twentieth.
"""

from typing import NamedTuple

import numpy as np

from .prominence import STEP_S, STEPS, Past, bands_between

LOW_HZ, HIGH_HZ = 2_800.0, 3_600.0
"""The pitch of a piezo's resonance, as all of these have it."""
LONGEST_S = 0.12
"""How long a chirp lasts at most; a step more is allowed for the frames that see its edges."""
ALONE = STEPS
"""Steps, 0.32 s, for which its band is quiet before its peak and after: so it is known in the next chunk,
while its segment goes on."""
STANDS_OUT_DB = 10.0
"""By how much a chirp stands out of its neighbours."""
FADED_DB = 6.0
"""So far below its loudest a chirp is over: what stays longer is the room's."""
INTERVAL_S = 30.0, 65.0
INTERVALS = 3
EQUAL = 1.05
"""The longest of the intervals is no longer than so many of the shortest."""


class Chirp(NamedTuple):
    """One, as it was heard."""

    at: int
    """Step of the stream."""
    band: int


Clock = tuple[Chirp, ...]
"""The last chirps of a stream, as many as make INTERVALS; the newest last."""


class Chirps:
    """Hears chirps and their clock, chunk after chunk. What is remembered is passed in and handed back."""

    def __init__(self, mels: int) -> None:
        self._bands = bands_between(LOW_HZ, HIGH_HZ, mels)
        self._longest = round(LONGEST_S / STEP_S) + 1
        self.rows = 2 * ALONE + STEPS
        """Of the past that it looks at."""

    def step(self, past: Past, now: int, clock: Clock) -> tuple[bool, Clock]:
        """Whether a chirp has just kept its clock, and the clock after. now: steps of the stream so far."""
        chirp = self._newest(past, now)
        if chirp is None:
            return False, clock
        clock = (*clock, chirp)[-INTERVALS - 1 :]
        return _is_even(clock), clock

    def _newest(self, past: Past, now: int) -> Chirp | None:
        """The chirp that was loudest in the chunk before the newest, if there was one."""
        seen = past.prominent[-self.rows :, self._bands]
        before = seen[ALONE : ALONE + STEPS]
        if before.max() < STANDS_OUT_DB:
            return None
        at, band = divmod(int(before.argmax()), before.shape[1])
        around = seen[at : at + 2 * ALONE + 1, max(band - 1, 0) : band + 2].max(axis=1)
        sounds = np.flatnonzero(around > around[ALONE] - FADED_DB)
        length = int(sounds[-1] - sounds[0]) + 1
        if around.max() > around[ALONE] or length > self._longest or length > len(sounds):
            return None
        return Chirp(now - self.rows + at + ALONE, self._bands.start + band)


def _is_even(clock: Clock) -> bool:
    """Whether so many chirps of one pitch came at equal intervals."""
    if len(clock) <= INTERVALS:
        return False
    bands = [chirp.band for chirp in clock]
    between = np.diff([chirp.at for chirp in clock]) * STEP_S
    least, most = INTERVAL_S
    return bool(
        max(bands) - min(bands) <= 1
        and between.min() >= least
        and between.max() <= most
        and between.max() <= EQUAL * between.min()
    )
