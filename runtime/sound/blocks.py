"""Blocks: what every source yields, mono 32 kHz float32 with its place in time.

A block that stands further on than the last one ended tells of a gap: lost samples are counted, never
filled with silence.
"""

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from ..audio import CHUNK_SAMPLES, RATE, Samples, seconds
from ..errors import DataError
from .gain import Gain
from .meter import Meter, Reading
from .mix import Mix
from .source import MIX, Mixing

BLOCK_S = seconds(CHUNK_SAMPLES) / 2
"""160 ms. Each wake costs, and a chunk of the model is full exactly when a block comes."""

UNREAD = Reading()
"""Nobody looked."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Block:
    """Some sound and where it stands: `index` counts samples at 32 kHz from the start, gaps included.

    reading: what is known of its source by then.
    """

    samples: Samples
    index: int
    reading: Reading = UNREAD


class Delivery(NamedTuple):
    """A block from a live source, whose index counts from the opening.

    length_s: how long it sounded. arrived_at: the clock's seconds when its last sample was delivered.
    """

    block: Block
    length_s: float
    arrived_at: float


class Arrival(NamedTuple):
    """What travels in a feed's ring: samples, when the last of them was delivered to us, and what is known
    of their source.

    arrived_at: seconds of the monotonic clock. It was taken where the samples came in, so it knows
    nothing of how long they waited to be computed.
    """

    samples: Samples
    arrived_at: float
    reading: Reading = UNREAD


class Converter:
    """Any rate and channel count to mono 32 kHz float32 within [-1, 1], as a stream.

    Channels are mixed so that none can silence another, or one is taken. Samples that are no finite number
    become zeros and are counted. What is wrong with the source is logged, once each.
    """

    def __init__(self, rate: int, channels: int, mixing: Mixing = MIX, of: str = "The sound") -> None:
        """of: whose sound it is. Raises DataError where a channel is wanted that is not there."""
        if mixing.channel is not None and mixing.channel > channels:
            raise DataError(
                f"{of} has no channel {mixing.channel}",
                why=f"it has {channels}" if channels > 1 else "it has only one",
                fix=f"choose --channel 1{f' to {channels}' if channels > 1 else ''}, or leave it out",
            )
        self._rate, self._channels = rate, channels
        self._channel = 1 if channels == 1 else mixing.channel
        self._mix = Mix(rate, channels) if self._channel is None else None
        self._resampler = self._new_resampler()
        self._gain = Gain(mixing.gain_db)
        self._of, self._warned = of, set[str]()
        self._dead: tuple[int, ...] = ()
        self._opposed: tuple[int, ...] = ()
        self._meter = Meter(rate, 1 if self._mix is None else channels)
        self.not_finite = 0

    def push(self, frames: NDArray[Any]) -> Samples:
        """(n, channels) or (n * channels,) float32, or int16 in full scale -> (m,) at 32 kHz.

        The mix holds back up to 64 ms and the resampler 15, which `flush` gives.
        """
        frames = frames.reshape(-1, self._channels)
        if self._channel is not None:
            frames = frames[:, self._channel - 1 : self._channel]
        is_int16 = frames.dtype == np.int16
        frames = frames * np.float32(1 / 32768) if is_int16 else self._finite(frames)  # 2^-15 is exact
        if self._meter.push(frames):
            self._dead, self._opposed = self._meter.channels()
            self._warn()
        return self._resampled(frames[:, 0] if self._mix is None else self._mix.push(frames))

    @property
    def reading(self) -> Reading:
        """What is known of the source now."""
        gain, meter = self._gain, self._meter
        return Reading(meter.is_flat, meter.clips, gain.lack_db, gain.db, self._dead, self._opposed)

    def judge(self, least_s: int) -> Reading:
        """The same by less than is usual, but so many seconds."""
        self._dead, self._opposed = self._meter.channels(least_s)
        return self.reading

    def flush(self) -> Samples:
        """What was held back; the converter may then begin a new stream."""
        mixed = np.zeros(0, np.float32) if self._mix is None else self._mix.flush()
        if self._resampler is None:
            return self._gain.push(_clipped(mixed))
        rest = self._resampler.resample_chunk(mixed, last=True)
        self._resampler = self._new_resampler()
        return self._gain.push(_clipped(rest))

    def _resampled(self, mono: Samples) -> Samples:
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono)
        return self._gain.push(mono if self._resampler is None and self._mix is None else _clipped(mono))

    def _warn(self) -> None:
        for fault, sentence in self.reading.faults().items():
            if fault not in self._warned:
                self._warned.add(fault)
                log.warning("%s: %s.", self._of, sentence)

    def _new_resampler(self) -> Any:
        return None if self._rate == RATE else soxr.ResampleStream(self._rate, RATE, 1, dtype="float32")

    def _finite(self, frames: Samples) -> Samples:
        bad = ~np.isfinite(frames)
        if bad.any():
            self.not_finite += int(bad.sum())
            frames = np.where(bad, np.float32(0), frames)
        # Clipped before the mix: one channel of 1e38 would leave nothing of the others.
        return _clipped(frames)


def _clipped(samples: Samples) -> Samples:
    clipped: Samples = np.clip(samples, -1.0, 1.0, dtype=np.float32)
    return clipped
