"""Sounds for tests of sources: tones, and what became of them."""

import io
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgecap.runtime.audio import RATE, Samples
from edgecap.runtime.sound.blocks import Block
from edgecap.runtime.sound.opener import sound_blocks
from edgecap.runtime.sound.raw import Raw
from edgecap.runtime.sound.stream import Pipe, Stream


def joined(blocks: Iterable[Block]) -> Samples:
    """All samples, after checking that they are what every source promises."""
    parts, expected = [np.zeros(0, np.float32)], 0
    for block in blocks:
        assert block.samples.dtype == np.float32
        assert block.samples.ndim == 1
        assert len(block.samples)
        assert np.isfinite(block.samples).all()
        assert np.abs(block.samples).max() <= 1
        assert block.index == expected
        expected += len(block.samples)
        parts.append(block.samples)
    return np.concatenate(parts)


def tone(rate: int, channels: int = 1, seconds: float = 1.0, hertz: float = 440.0) -> NDArray[np.float32]:
    """(frames, channels), the same sine in each."""
    sine = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    return np.repeat(sine[:, None], channels, axis=1).astype(np.float32)


def loudest_hertz(samples: Samples) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))


def on_a_pipe(data: bytes | Pipe, raw: Raw | None = None) -> Iterator[Block]:
    """What is heard of these bytes where nobody knows how many there are."""
    return sound_blocks(Stream(io.BytesIO(data) if isinstance(data, bytes) else data, "Standard input"), raw)
