"""A second opinion: a tagger, asked only where something may be said, that hears the last seconds whole.

    (n, 10240) samples -> power spectra of 25 ms, every 10 ms -> opinion.onnx -> scores of known sounds

With them go spectra of the second before: what was there all along is told from what has come.
It is no part of what runs all day: a window costs milliseconds, once a sentence. The front end is that of
the net in it, EfficientAT's (Schmid et al. 2023): pre-emphasis 0.97, a Hann window of 800 samples in 1,024,
hop 320; mel bands, logarithm and net are the graph's.
"""

from collections import deque
from collections.abc import Collection

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..audio import CHUNK, SILENT_DB, Samples
from ..model.engine import Engine

CHUNKS = 16
"""The longest window: 5.12 s."""
LEAD = 1
"""Chunks of what was before the segment that are heard with it."""
BEFORE, SPARSE = 4, 4
"""Chunks before the window, so far as they are remembered, and of their spectra every fourth; by hand."""
EMPHASIS, FFT, WINDOW, HOP = 0.97, 1024, 800, 320
NEAREST = 1e-4
"""A score is no nearer to zero or one than this: no opinion overrules another however sure it is."""

LOUD = 0.95
"""A window is as loud as this quantile of its 10 ms frames."""

_PAD = (FFT - WINDOW) // 2
_HANN = np.pad(np.hanning(WINDOW), _PAD).astype(np.float32)
_BINS = FFT // 2 + 1
_AT_ONCE = 32
"""Frames whose spectra a processor's cache holds."""


def power(samples: Samples, into: NDArray[np.float32] | None = None, sparse: int = 1) -> NDArray[np.float32]:
    """(n,) samples -> (1, 1 + (n - 1) // 320, 513) power spectra, the first centred on the first sample.

    into: (1, so many frames or more, 513) to be used again: fresh memory costs as much as the spectra in it.
    sparse: of so many the first alone.
    """
    emphasised = samples[1:] - np.float32(EMPHASIS) * samples[:-1]
    padded = np.pad(emphasised, FFT // 2, mode="reflect")
    frames = sliding_window_view(padded, FFT)[:: HOP * sparse]
    found = np.empty((1, len(frames), _BINS), np.float32) if into is None else into[:, : len(frames)]
    windowed = np.empty((_AT_ONCE, FFT), np.float32)
    for start in range(0, len(frames), _AT_ONCE):
        some = frames[start : start + _AT_ONCE]
        part, n = found[0, start : start + _AT_ONCE], len(some)
        np.multiply(some, _HANN, out=windowed[:n])
        spectrum = np.fft.rfft(windowed[:n])
        part[:] = np.square(spectrum.real)
        part += np.square(spectrum.imag)
    return found


def raising(samples: Samples, least_db: float) -> np.float32:
    """What makes (n,) samples as loud as this, dBFS, where their louder moments are fainter; else 1. The
    net's logarithm has a floor, and what a microphone gave too faintly lies below it."""
    frames = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    powers = np.einsum("fn,fn->f", frames, frames) / HOP
    at = int(LOUD * len(powers))
    loud = float(np.partition(powers, at)[at])
    least = 10 ** (least_db / 10)
    return np.float32(np.sqrt(least / loud) if 0.0 < loud < least else 1.0)


class Opinion:
    """One stream's: it remembers the last seconds of sound, in memory alone, and nothing else."""

    def __init__(self, engine: Engine, least_db: float = SILENT_DB) -> None:
        """engine: of `power` (1, frames, 513) and `before` (1, past, 513) -> `scores` (1, sounds), of bundles
        before 2.4 without `before`. Any number may share it. least_db: what is fainter is made louder first
        (`raising`)."""
        self._engine, self._least_db = engine, least_db
        self._hears_before = any(tensor.name == "before" for tensor in engine.graph.inputs)
        self._recent: deque[Samples] = deque(maxlen=BEFORE + CHUNKS)
        self._power = np.empty((1, CHUNKS * CHUNK, _BINS), np.float32)

    def hear(self, chunk: Samples) -> None:
        """(10240,) samples went by."""
        self._recent.append(chunk.copy())

    def forget(self) -> None:
        """As before the first sample."""
        self._recent.clear()

    def ask(self, chunks: int) -> NDArray[np.float32]:
        """(sounds,) scores of the last so many chunks and a lead, as far as they are remembered."""
        recent = list(self._recent)
        begin = max(len(recent) - min(chunks + LEAD, CHUNKS), 0)
        window = np.concatenate(recent[begin:])
        gain = raising(window, self._least_db)
        heard = {"power": power(window * gain, self._power)}
        if self._hears_before:  # where nothing was, the window's own beginning tells nothing new
            past = np.concatenate(recent[max(begin - BEFORE, 0) : begin] or recent[:1])
            heard["before"] = power(past * gain, sparse=SPARSE)
        scores: NDArray[np.float32] = self._engine.run(heard)["scores"][0]
        return scores


def agreed(
    evidence: NDArray[np.float32], opinion: NDArray[np.float32], apart: Collection[int], weight: float = 1.0
) -> NDArray[np.float32]:
    """(sounds,) both together: the mean of their log-odds, a product of experts (Hinton 2002).

    apart: sounds that are told otherwise, alarms by their cadence: of these, and of what the opinion has no
    score for, the evidence alone counts. weight: of the opinion, where the evidence's is one.
    """
    told = len(opinion)
    p = np.clip(np.array((evidence[:told], opinion)), NEAREST, 1 - NEAREST)
    own, other = np.log(p / (1 - p))
    together = evidence.copy()
    together[:told] = 1 / (1 + np.exp(-(own + np.float32(weight) * other) / np.float32(1 + weight)))
    kept = list(apart)
    together[kept] = evidence[kept]
    return together
