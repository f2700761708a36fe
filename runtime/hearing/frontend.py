"""The front end: samples -> log-mel frames, a chunk of 32 at a time, in numpy.

Always the same shape in and out, so that a stream's numbers never depend on how it was cut:
the caller gathers 10,240 samples, and one FFT call covers all their frames.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..audio import BINS, CHUNK, CHUNK_SAMPLES, FFT, HOP, POWER_FLOOR, Samples, hann, mel_filters

LogMel = NDArray[np.float32]
"""(32, mels) float32, dB, floored at -100."""

PAST = FFT - HOP
"""Samples of the last chunk that the next one's first frame still sees: the whole state."""


class FrontEnd:
    """Log-mel frames of one chunk after another; what it remembers is passed in and handed back."""

    def __init__(self, mels: int) -> None:
        self._filters = mel_filters(mels)
        # float64 up to the power: faster than numpy's float32 FFT here, and faint bands beside a loud
        # tone keep their true level. The arrays below are working memory, allocated once; no state.
        self._window = hann().astype(np.float64)
        self._heard = np.empty(PAST + CHUNK_SAMPLES, np.float32)
        self._frames = sliding_window_view(self._heard, FFT)[::HOP]  # (32, 1024), no copy
        self._windowed = np.empty((CHUNK, FFT))
        self._spectrum = np.empty((CHUNK, BINS), np.complex128)
        self._real = np.empty((CHUNK, BINS))
        self._imag = np.empty((CHUNK, BINS))
        self._power = np.empty((CHUNK, BINS), np.float32)

    def initial_state(self) -> Samples:
        """(704,) zeros: before the stream there is nothing."""
        return np.zeros(PAST, np.float32)

    def step(self, chunk: Samples, past: Samples) -> tuple[LogMel, Samples]:
        """The frames of 10,240 samples, and what the next step needs.

        chunk: (10240,) float32. past: (704,) float32, from the step before.
        Returns (32, mels) float32 in dB, and the next past.
        """
        self._heard[:PAST], self._heard[PAST:] = past, chunk
        np.multiply(self._frames, self._window, out=self._windowed)
        np.fft.rfft(self._windowed, out=self._spectrum)
        np.square(self._spectrum.real, out=self._real)
        np.square(self._spectrum.imag, out=self._imag)
        np.add(self._real, self._imag, out=self._power, casting="same_kind")
        # 866 of the filters' weights are not zero, but BLAS on the dense matrix beats every gather tried.
        log_mel = self._power @ self._filters
        np.maximum(log_mel, np.float32(POWER_FLOOR), out=log_mel)
        np.log10(log_mel, out=log_mel)
        log_mel *= np.float32(10.0)
        return log_mel, self._heard[CHUNK_SAMPLES:].copy()
