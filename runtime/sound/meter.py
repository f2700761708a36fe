"""Meter: what comes in, as it came: before channels are mixed and the rate is changed."""

import numpy as np

from ..audio import Samples

STEP = 1 / 32768
"""The least difference of 16 bits."""
FLAT_STEPS = 4
"""Dither of one step, and now and then of two. A quiet room through an ordinary microphone makes ten."""
WHITE = 0.15
"""A sample's correlation with the next, below which it is the numbers' noise: a room's is mostly low."""


def is_flat(frames: Samples) -> bool:
    """Whether these say nothing of any room: zeros, a constant offset, or dither.

    frames: (n, channels) float32 within [-1, 1]. A room's own noise may be as faint, but is no white
    noise: a sample says something of the next.
    """
    if not len(frames):
        return False
    widths = frames.max(axis=0) - frames.min(axis=0)
    if (widths > FLAT_STEPS * STEP).any():
        return False
    return all(not width or _is_white(frames[:, channel]) for channel, width in enumerate(widths))


def _is_white(samples: Samples) -> bool:
    moving = samples - samples.mean(dtype=np.float64)
    return float(np.dot(moving[1:], moving[:-1])) < WHITE * float(np.dot(moving, moving))
