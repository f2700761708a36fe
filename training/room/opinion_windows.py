"""What the second opinion learns from: windows of sound as the edge asks about them.

Scenes as streams are composed of (compose.py): half of them one sound across a room, mostly over noise.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ...runtime.audio import CHUNK, CHUNK_SAMPLES, Samples
from ...runtime.hearing.opinion import BEFORE, CHUNKS, LEAD, SPARSE
from ..sound import augment
from ..sound.compose import Composer, Scene, Segment, Shares
from .teacher import FLOOR, SCALE, SHIFT, Teacher

LEAST_CHUNKS = 3
"""Of a window, the lead among them; the longest has the edge's CHUNKS."""
AT_ONSET = 0.6
"""Share of windows that begin as the edge's do, with a sound; the others anywhere."""
LACKING, MOST_LACKED = 0.3, 12
"""Share of microphones that lack some bands, one beside the other, and how many at most."""
SILENT = (math.log(FLOOR) + SHIFT) / SCALE
"""What a band without sound is."""
NOBODY = -1
"""Label of a window in which no sound stands out."""


class WindowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which windows are drawn."""

    batch: Annotated[int, Meta(ge=1)] = 32
    warnings: Annotated[float, Meta(ge=0, le=1)] = 0.1
    homes: Annotated[float, Meta(ge=0, le=1)] = 0.5
    clear: Annotated[float, Meta(ge=0, le=1)] = 0.6
    """Shares of scenes, as in the encoder's stages."""
    lead: Annotated[float, Meta(ge=0.1)] = 3.0
    """Seconds of a home before its sound, at most: there what was there all along is told from it."""
    filter_db: Annotated[float, Meta(ge=0)] = 5.0
    """How much microphones colour a window."""
    seed: int = 1


class Windows(NamedTuple):
    """A batch of one length: log-mels (B, 128, frames) and what was there all along (B, 128), the published
    net's vectors (B, steps, 384); what sounds and the weight of saying so (B, sounds); the one that stands
    out (B,), or NOBODY; what may be there besides (B, sounds)."""

    log_mel: Tensor
    there: Tensor
    vectors: Tensor
    heard: Tensor
    weight: Tensor
    label: Tensor
    others: Tensor


class Drawn(IterableDataset[Windows]):
    """Endless batches of windows as the edge asks about them."""

    def __init__(self, teacher: Teacher, composer: Composer, settings: WindowSettings, begin: int) -> None:
        """begin: the step from which on they are drawn; another draws others."""
        self._teacher, self._composer, self._settings, self._begin = teacher, composer, settings, begin

    @torch.no_grad()
    def __iter__(self) -> Iterator[Windows]:
        settings, worker = self._settings, get_worker_info()
        rng = np.random.default_rng([settings.seed, 17, self._begin, worker.id if worker else 0])
        while True:
            chunks = int(np.exp(rng.uniform(np.log(LEAST_CHUNKS), np.log(CHUNKS + LEAD + 0.99))))
            drawn = [self._window(rng, chunks) for _ in range(settings.batch)]
            samples, near, heard, weight, others = (
                torch.from_numpy(np.stack(part)) for part in list(zip(*drawn, strict=True))[:5]
            )
            log_mel = self._microphones(rng, self._teacher.log_mel(samples))
            before, log_mel = log_mel[:, :, : BEFORE * CHUNK], log_mel[:, :, BEFORE * CHUNK :]
            past = by_chunk(before[:, :, ::SPARSE], CHUNK // SPARSE)
            for row, window in zip(past, drawn, strict=True):
                row[:, : BEFORE - window.known] = torch.inf
            there = torch.cat([past, by_chunk(log_mel, CHUNK)], 2).amin(2)
            label = torch.tensor([window.label for window in drawn])
            yield Windows(log_mel, there, self._teacher.sequence(near), heard, weight, label, others)

    def _window(self, rng: Generator, chunks: int) -> "_Window":
        """So many chunks of a scene, and of those that follow where it is shorter."""
        settings, composer, scenes = self._settings, self._composer, list[Scene]()
        shares = Shares(settings.warnings, settings.homes, settings.clear, settings.lead)
        length = 0
        while length < chunks:
            scenes.append(composer.draw(rng, shares))
            length += len(scenes[-1].samples) // CHUNK_SAMPLES
        begin = int(rng.integers(length - chunks + 1))
        onsets = [int(event.active.argmax()) for event in scenes[0].events if event.foreground]
        if onsets and rng.random() < AT_ONSET:
            begin = int(rng.choice(onsets)) - LEAD - int(rng.integers(2))
            begin = min(max(begin, 0), length - chunks)
        end, known = begin + chunks, min(begin, BEFORE)
        stream = functools.reduce(Segment.then, map(composer.segment, scenes))
        heard_in, before = stream.between(begin, end), stream.between(begin - known, begin).samples
        heard = heard_in.targets.heard.max(0)
        weight = np.where(heard > 0, np.float32(1.0), heard_in.targets.weight.min(0))
        label, others = _standing_out(scenes, begin, end), (heard > 0) | (weight == 0)
        if label != NOBODY and heard[label]:
            others[label] = False
        else:  # or it is drowned
            label = NOBODY
        samples = np.concatenate([before, heard_in.samples])
        samples = np.pad(samples, ((BEFORE - known) * CHUNK_SAMPLES, 0))
        return _Window(samples, heard_in.near, heard, weight, others, label, known)

    def _microphones(self, rng: Generator, log_mel: Tensor) -> Tensor:
        """Each window through a microphone of its own, that may lack some bands."""
        bands = log_mel.shape[1]
        curves = augment.filter_curves(rng, len(log_mel), bands, self._settings.filter_db)
        log_mel = log_mel + torch.from_numpy(curves)[:, :, None] * (math.log(10) / 10 / SCALE)
        for row in np.flatnonzero(rng.random(len(log_mel)) < LACKING):
            low = int(rng.integers(bands - MOST_LACKED))
            log_mel[row, low : low + int(rng.integers(3, MOST_LACKED))] = SILENT
        return log_mel


def by_chunk(log_mel: Tensor, frames: int) -> Tensor:
    """(B, 128, n frames) -> (B, 128, n): the mean of each chunk of so many."""
    return log_mel.reshape(*log_mel.shape[:2], -1, frames).mean(3)


class _Window(NamedTuple):
    """One of `Windows`, and its samples, after BEFORE chunks of which so many are known, and from near."""

    samples: Samples
    near: Samples
    heard: NDArray[np.float32]
    weight: NDArray[np.float32]
    others: NDArray[np.bool_]
    label: int
    known: int


def _standing_out(scenes: Sequence[Scene], begin: int, end: int) -> int:
    """The label of the one foreground event that sounds between two chunks of these scenes; NOBODY where
    there is none, or another one."""
    found, at = list[int](), 0
    for scene in scenes:
        for event in scene.events:
            sounds = event.active[max(begin - at, 0) : max(end - at, 0)]
            if event.foreground and event.labels and sounds.any():
                found.append(event.labels[0])
        at += len(scene.samples) // CHUNK_SAMPLES
    return found[0] if len(found) == 1 else NOBODY
