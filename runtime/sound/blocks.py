"""Blocks: what every source yields, mono 32 kHz float32 with its place in time.

A block that stands further on than the last one ended tells of a gap: lost samples are counted, never
filled with silence.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from ..audio import CHUNK_SAMPLES, RATE, Samples, seconds

BLOCK_S = seconds(CHUNK_SAMPLES) / 2
"""160 ms. Each wake costs, and a chunk of the model is full exactly when a block comes."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some sound and where it stands: `index` counts samples at 32 kHz from the start, gaps included."""

    samples: Samples
    index: int


class Delivery(NamedTuple):
    """A block from a live source, whose index counts from the opening.

    length_s: how long it sounded. is_zeros: it is digital silence, whatever the mix made of it.
    arrived_at: the clock's seconds when its last sample was delivered.
    """

    block: Block
    length_s: float
    is_zeros: bool
    arrived_at: float


class Arrival(NamedTuple):
    """What travels in a feed's ring: samples, and when the last of them was delivered to us.

    arrived_at: seconds of the monotonic clock. It was taken where the samples came in, so it knows
    nothing of how long they waited to be computed.
    """

    samples: Samples
    arrived_at: float


class Converter:
    """Any rate and channel count to mono 32 kHz float32 within [-1, 1], as a stream.

    Channels are averaged. Samples that are no finite number become zeros and are counted.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._resampler = self._new_resampler()
        self.not_finite = 0

    def push(self, frames: NDArray[Any]) -> Samples:
        """(n, channels) or (n * channels,) float32, or int16 in full scale -> (m,) at 32 kHz.

        The resampler holds back up to 15 ms, which `flush` gives.
        """
        frames = frames.reshape(-1, self._channels)
        is_int16 = frames.dtype == np.int16
        frames = frames * np.float32(1 / 32768) if is_int16 else self._finite(frames)  # 2^-15 is exact
        mono = frames[:, 0] if self._channels == 1 else frames.mean(axis=1, dtype=np.float32)
        if self._resampler is None:
            return mono
        return _clipped(self._resampler.resample_chunk(mono))

    def flush(self) -> Samples:
        """What was held back; the converter may then begin a new stream."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        self._resampler = self._new_resampler()
        return _clipped(rest)

    def _new_resampler(self) -> Any:
        return None if self._rate == RATE else soxr.ResampleStream(self._rate, RATE, 1, dtype="float32")

    def _finite(self, frames: Samples) -> Samples:
        bad = ~np.isfinite(frames)
        if bad.any():
            self.not_finite += int(bad.sum())
            frames = np.where(bad, np.float32(0), frames)
        # Clipped before the mean: one channel of 1e38 would leave nothing of the others.
        return _clipped(frames)


def _clipped(samples: Samples) -> Samples:
    clipped: Samples = np.clip(samples, -1.0, 1.0, dtype=np.float32)
    return clipped
