"""Mix: the channels of a source become one, and none can silence another.

    frames (n, channels) ─ mean ─────────────────────────────────────────── + ─► (n,)
             └─ spectra ─ each band: who counts, which way round ─ correction

The mean of two channels that are opposed is silence, and that of one live channel and 31 dead ones is 30 dB
too low. So in each band a channel counts by its share of the loudness, turned to agree with the loudest.
Where all channels are the same nothing is corrected, and the mix is any one of them, bit for bit.
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import MEL_LOW_HZ, Samples

HOP_S = 0.032
"""Weights change from hop to hop, each a fade of this length: no clicks. Twice as much is held back."""
MEMORY_S = 0.1
"""What is known of loudness and agreement is a mean over so long, weighted by power: a loud sound is gone
from it at 43 dB a second, and then a soft one may agree otherwise."""
BAND_HZ = 200.0
BAND_SHARE = 0.25
"""A band's width: the former at low frequencies, this share of its frequency at high ones."""
STRANGER = 0.5
"""The weight of a channel that neither agrees with the loudest nor opposes it. Were it 1, what the two share
but opposed would cancel there unseen: left + right and left - right are such a pair."""
LOUDER = 1.5
"""So much louder must another channel be for the rest to be turned to it, or equals would alternate."""
TINY = 1e-300
"""Against division by zero where all is silent."""


class Mix:
    """(n, channels) float32 at any rate -> (n,), as a stream: the same for every split of the same frames.

    Over any time longer than MEMORY_S the mix has half the power of the louder of two channels at least, and
    1/channels of the loudest of many. channels: 2 or more.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._channels = channels
        self._hop = max(8, round(rate * HOP_S))
        length = 2 * self._hop
        # Half a sine, before and after: the squares of two that overlap by half add up to 1.
        self._window = np.sin(np.pi * (np.arange(length) + 0.5) / length).astype(np.float32)
        edges = _band_edges(rate, length)
        self._widths = np.diff(edges)
        # A constant offset is no sound: what lies below the model's hearing does not count.
        edges[0] = min(round(MEL_LOW_HZ * length / rate), edges[1] - 1)
        self._bands = list(pairwise(edges.tolist()))  # (first bin that counts, bin after the last)
        self._keep = math.exp(-self._hop / rate / MEMORY_S)
        self._covariance = np.zeros((len(self._bands), channels, channels))
        self._leads = np.zeros(len(self._bands), np.intp)  # the channel that the others are turned to
        self._weights = np.ones((len(self._bands), channels))
        self._begin()

    def _begin(self) -> None:
        # Each sample lies in two windows, so the first hop of a stream has another before it.
        self._held: Samples = np.zeros((self._hop, self._channels), np.float32)
        self._fading = np.zeros(self._hop, np.float32)  # the last correction, where the next one overlaps it
        self._lead = self._hop
        self._due: int = 0

    def push(self, frames: Samples) -> Samples:
        """All of the mix that is known by now; up to two hops are held back, which `flush` gives."""
        self._held = np.concatenate([self._held, frames])
        self._due += len(frames)
        return self._given(len(self._held) // self._hop - 1)

    def flush(self) -> Samples:
        """What was held back; another stream may begin. What is known of the channels stays."""
        due = self._due
        self._held = np.concatenate([self._held, np.zeros((2 * self._hop, self._channels), np.float32)])
        rest = self._given(len(self._held) // self._hop - 1)[:due]
        self._begin()
        return rest

    def _given(self, hops: int) -> Samples:
        hop = self._hop
        parts = []
        for start in range(0, hops * hop, hop):
            frame = self._held[start : start + 2 * hop]
            correction = self._correction(frame)
            parts.append(_mean(frame[:hop]) + self._fading + correction[:hop])
            self._fading = correction[hop:]
        self._held = self._held[max(hops, 0) * hop :]
        if not parts:
            return np.zeros(0, np.float32)
        mixed: Samples = np.concatenate(parts)[self._lead :]
        self._lead = 0
        self._due -= len(mixed)
        return mixed

    def _correction(self, frame: Samples) -> Samples:
        """(2 hops,) What the mix has and the mean has not, faded in and out."""
        if (frame == frame[:, :1]).all():
            self._covariance *= self._keep
            self._weights[:] = 1.0
            return np.zeros(len(frame), np.float32)
        spectra = np.fft.rfft(np.ascontiguousarray(frame.T) * self._window)
        weights = self._weigh(spectra) - 1.0 / self._channels
        by_bin = np.repeat(weights.astype(np.float32), self._widths, axis=0).T  # (channels, bins)
        correction: Samples = np.fft.irfft((by_bin * spectra).sum(axis=0), len(frame)).astype(np.float32)
        return correction * self._window

    def _weigh(self, spectra: NDArray[Any]) -> NDArray[np.float64]:
        """(bands, channels) What each counts; the magnitudes of a band add up to 1.

        spectra: (channels, bins) complex64.
        """
        self._covariance *= self._keep
        parts = spectra.view(np.float32)  # the real product of two spectra is that of their parts
        for band, (low, high) in enumerate(self._bands):
            of_band = parts[:, 2 * low : 2 * high]
            self._covariance[band] += of_band @ of_band.T
        loudness = np.sqrt(np.einsum("bcc->bc", self._covariance))
        each, loudest = np.arange(len(loudness)), loudness.argmax(axis=1)
        stays = loudness[each, loudest] < LOUDER * loudness[each, self._leads]
        self._leads = leads = np.where(stays, self._leads, loudest)
        agreement = self._covariance[each, leads] / (loudness * loudness[each, leads, None] + TINY)
        turned = np.copysign(np.clip(2 * np.abs(agreement), STRANGER, 1.0), agreement)
        weights = loudness * turned
        # Which of two opposed channels is the right way round nobody knows; it must stay the same one.
        weights *= np.copysign(1.0, np.einsum("bc,bc->b", weights, self._weights))[:, None]
        self._weights = weights / (np.abs(weights).sum(axis=1, keepdims=True) + TINY)
        return self._weights


def _mean(frames: Samples) -> Samples:
    """(n, channels) -> (n,); where all channels are the same, exactly one of them."""
    if (frames == frames[:, :1]).all():
        return frames[:, 0]
    mean: Samples = frames.mean(axis=1, dtype=np.float32)
    return mean


def _band_edges(rate: int, length: int) -> NDArray[np.intp]:
    """The first bin of each band, and the bin after the last. Bands are equally wide in asinh(hertz)."""
    bins = length // 2 + 1
    knee = BAND_HZ / BAND_SHARE
    count = max(1, round(math.asinh(rate / 2 / knee) / BAND_SHARE))
    hertz = knee * np.sinh(BAND_SHARE * np.arange(1, count))
    edges = np.unique(np.clip(np.round(hertz * length / rate), 1, bins - 1).astype(np.intp))
    return np.concatenate([[0], edges, [bins]]).astype(np.intp)
