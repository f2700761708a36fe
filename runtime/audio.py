"""The audio contract: what every part agrees on about samples, frames and time.

Training's torch front end and the edge's numpy one are built from these constants alone,
so that a model hears on the edge what it heard in training.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""(n,) float32, mono, 32 kHz, in [-1, 1]."""

RATE = 32_000
"""Samples a second."""
FFT = 1024
"""Samples a frame sees: frame k covers samples [320(k+1) - 1024, 320(k+1)), zeros before the start."""
HOP = 320
"""Samples between frames: 10 ms."""
BINS = FFT // 2 + 1
CHUNK = 32
"""Frames the encoder takes at once: 320 ms, the least that needs no alignment state."""
CHUNK_SAMPLES = CHUNK * HOP
MEL_LOW_HZ = 50.0
MEL_HIGH_HZ = 14_000.0
POWER_FLOOR = 1e-10
"""Added to nothing, only a floor: 10 log10 of it is -100 dB."""
SILENT_DB = -100.0
"""Of digital silence: the level of that floor."""


def seconds(samples: int) -> float:
    """Time that so many samples last."""
    return samples / RATE


def hann() -> Samples:
    """(1024,) periodic Hann window."""
    n = np.arange(FFT)
    return (0.5 - 0.5 * np.cos(2 * np.pi * n / FFT)).astype(np.float32)


def _slaney_hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    # Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above.
    linear = hz / (200.0 / 3)
    log = 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * (27.0 / np.log(6.4))
    return np.where(hz < 1000.0, linear, log)


def _slaney_mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * (200.0 / 3), 1000.0 * np.exp((mel - 15.0) * (np.log(6.4) / 27.0)))


@cache
def mel_filters(mels: int) -> NDArray[np.float32]:
    """(513, mels) triangular filters, Slaney scale and Slaney area normalisation, 50-14,000 Hz."""
    edges_mel = np.linspace(
        _slaney_hz_to_mel(np.array(MEL_LOW_HZ)), _slaney_hz_to_mel(np.array(MEL_HIGH_HZ)), mels + 2
    )
    edges = _slaney_mel_to_hz(edges_mel)
    bins = np.linspace(0, RATE / 2, BINS)
    ramps = edges[:, None] - bins[None, :]  # (mels + 2, 513)
    widths = np.diff(edges)
    rising = -ramps[:-2] / widths[:-1, None]
    falling = ramps[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    triangles *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    filters = np.ascontiguousarray(triangles.T, dtype=np.float32)
    filters.setflags(write=False)  # cached: shared by every caller
    return filters
