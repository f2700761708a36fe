"""Raw: samples without a header, which say nothing of themselves. So their first second is looked at."""

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .decoder import Ending, Frames
from .payload import FOREVER, Payload
from .pcm import CODINGS, PcmDecoder, decoded
from .source import Sample
from .stream import Stream

log = logging.getLogger(__name__)

SMOOTH = 0.5
"""Correlation of neighbours. Sound has more, unless it is a hiss; samples taken for others have none."""
CENTRED = 0.6
"""Share of bytes that are within a quarter of 0x80. Of unsigned bytes most are; of others at most half."""
SANE = 0.9
"""Share of floats that a sound may have: 0, or from 1e-9 to 4. Hardly any other samples look like that."""


class Raw(NamedTuple):
    """What nobody tells of samples without a header."""

    rate: int = 32_000
    channels: int = 1
    sample: Sample = "s16le"


class RawDecoder:
    """Samples as named. Says once, in the log, if their first second looks as if they were others."""

    def __init__(self, stream: Stream, raw: Raw) -> None:
        self.rate, self.channels = raw.rate, raw.channels
        self._raw = raw
        self._name = stream.name
        self._payload = _Heard(stream, raw.rate * raw.channels * CODINGS[raw.sample].width)
        self._decoder = PcmDecoder(self._payload, CODINGS[raw.sample], raw.rate, raw.channels)
        self._is_judged = False

    def read(self, count: int) -> Frames:
        frames = self._decoder.read(count)
        if not self._is_judged and (self._payload.is_enough or len(frames) < count):
            self._is_judged = True
            doubt = judged(bytes(self._payload.first), self._raw)
            if doubt:
                log.warning("%s does not look like %s: %s", self._name, self._raw.sample, doubt)
            self._payload.first.clear()
        return frames

    def ending(self) -> Ending:
        return Ending()


class _Heard(Payload):
    """A payload that keeps its first bytes until they have been looked at."""

    def __init__(self, stream: Stream, enough: int) -> None:
        super().__init__(stream, FOREVER, None)
        self.first = bytearray()
        self._enough = enough

    @property
    def is_enough(self) -> bool:
        return self.found >= self._enough

    def read(self, size: int, /) -> bytes:
        data = super().read(size)
        if len(self.first) < self._enough:
            self.first += data
        return data


def judged(data: bytes, raw: Raw) -> str:
    """What these samples look like, in words, if they look like others than they are said to be.

    Silence looks like anything, and a hiss like nothing: of those nothing is said.
    """
    looks = likeness(data, raw.channels)
    if looks and looks != raw.sample:
        return f"it looks like {looks}; if so, add --sample {looks}"
    if looks is None and raw.sample == "f32le" and not _is_zero(data) and _sane_share(data) < SANE:
        return "most of its values are no sound; name what it is with --sample"
    if looks is None and _is_random(data):
        return "it looks compressed; send it from its beginning, or decode it first"
    return ""


def likeness(data: bytes, channels: int) -> Sample | None:
    """What these samples look like, if anything."""
    if not _is_zero(data) and _sane_share(data) >= SANE:
        return "f32le"
    bytes_ = np.frombuffer(data, np.uint8)
    if len(bytes_) and np.mean((bytes_ >= 0x40) & (bytes_ < 0xC0)) > CENTRED:
        return "u8"
    # Every second one of smooth samples is smooth too, though less: so wider ones are, but not the smoothest.
    widths: tuple[Sample, ...] = ("s16le", "s24le", "s32le")
    smoothness = {sample: _smoothness(data, sample, channels) for sample in widths}
    smoothest = max(widths, key=smoothness.__getitem__)
    return smoothest if smoothness[smoothest] > SMOOTH else None


def _is_zero(data: bytes) -> bool:
    return not any(data)


def _sane_share(data: bytes) -> float:
    values: NDArray[np.float32] = np.abs(np.frombuffer(data[: len(data) - len(data) % 4], "<f4"))
    if not len(values):
        return 0.0
    with np.errstate(invalid="ignore"):
        return float(np.mean((values == 0) | ((values > 1e-9) & (values < 4))))


def _smoothness(data: bytes, sample: Sample, channels: int) -> float:
    """The correlation of neighbouring frames, from -1 to 1; 0 where there is nothing to tell."""
    frames = decoded(data, CODINGS[sample], channels).astype(np.float64)
    frames -= frames.mean(axis=0) if len(frames) else 0.0
    energy = np.sum(frames**2)
    return float(np.sum(frames[1:] * frames[:-1]) / energy) if energy > 0 else 0.0


def _is_random(data: bytes) -> bool:
    """Whether all bytes are as frequent as those of a compressed stream, within what so many can tell."""
    if len(data) < 1 << 12:
        return False
    shares = np.bincount(np.frombuffer(data, np.uint8), minlength=256) / len(data)
    entropy = -np.sum(shares * np.log2(np.maximum(shares, 1e-12)))
    return bool(entropy > 8 - 3 * 255 / (2 * len(data) * np.log(2)))
