"""Decoder: one recording's frames, in their order, and in the end what was missing of them."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]
"""(n, channels), in [-1, 1] where the recording is."""


@dataclass(frozen=True)
class Ending:
    """What a decoder knows of its end, once it has been reached.

    promised: the frames that the recording said it holds; None where it did not say. is_cut: it ends in
    the middle of something. damages: how often something had to be left out. pieces: of its sound, which a
    container may hold one behind the other.
    """

    promised: int | None = None
    is_cut: bool = False
    damages: int = 0
    pieces: int = 1


class Decoder(Protocol):
    """One recording."""

    @property
    def rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def read(self, count: int) -> Frames:
        """The next `count` frames, fewer at the end only. Raises DataError where it can't go on."""
        ...

    def ending(self) -> Ending: ...


def no_frames(channels: int) -> Frames:
    return np.zeros((0, channels), np.float32)


def as_frames(samples: NDArray[Any], channels: int) -> Frames:
    return samples.reshape(-1, channels).astype(np.float32, copy=False)
