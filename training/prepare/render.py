"""A plan -> its scene: the samples, and in which chunks each sound sounds. Nothing is left to chance."""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.signal import fftconvolve, oaconvolve

from ...runtime.audio import CHUNK_SAMPLES, HOP, Samples
from ...runtime.errors import DataError
from .. import augment
from ..data import Clip, Corpus, Label
from ..scenes import CADENCE_PATIENCE, CADENCED, FLOOR_DB, PATIENCE, Event, Scene
from ..signals import MAKERS
from .plan import Piece, Plan, PlannedSound

SEAM = 1600
"""Samples over which the end of a loop and its beginning are blended: 50 ms."""
TRIANGLE = np.array([1, 2, 3, 2, 1], np.float32) / 9
"""What air and walls leave of a far sound's treble: 3 dB less at 3.2 kHz, little above 6 kHz."""


class Renderer:
    """Renders plans with the recordings of one corpus; events carry indices into `labels`."""

    def __init__(self, corpus: Corpus, labels: Sequence[Label]) -> None:
        self.corpus = corpus
        self.index = {label.name: i for i, label in enumerate(labels)}
        self._clips = {clip.id: clip for clip in corpus.clips}

    def scene(self, plan: Plan) -> Scene:
        """The same plan gives the same samples, in any order and any process.

        Raises DataError where the corpus lacks one of its recordings.
        """
        rng = np.random.default_rng(plan.seed)
        n = plan.chunks * CHUNK_SAMPLES
        samples = augment.noise(rng, n) * np.float32(10 ** (plan.floor_db / 20))
        response = augment.room_response(rng) if plan.is_in_room else None
        events = []
        for sound in plan.sounds:
            track = np.zeros(n, np.float32)
            for piece in sound.pieces:
                self._add(track, piece, sound, response)
            events.append(self._mixed(samples, track, sound))
        return Scene(np.clip(samples, -1.0, 1.0), events)

    def _add(self, track: Samples, piece: Piece, sound: PlannedSound, response: Samples | None) -> None:
        samples = _looped(self._dry(piece), piece.lasts) * np.float32(10 ** (piece.gain_db / 20))
        edge = min(HOP, len(samples) // 2)
        if edge:
            ramp = np.linspace(0, 1, edge, dtype=np.float32)
            samples[:edge] *= ramp
            samples[-edge:] *= ramp[::-1]
        if response is not None and sound.distance != 0.0:
            samples = _heard_from(samples, response, sound.distance)
        place = track[piece.at : piece.at + len(samples)]
        place += samples[: len(place)]

    def _dry(self, piece: Piece) -> Samples:
        if piece.clip:
            samples = self._stretch(self._clip(piece.clip), piece)
        else:
            samples = MAKERS[piece.maker](np.random.default_rng(piece.seed))[0]
            samples = samples[piece.offset : piece.offset + piece.length].copy()
        return samples if piece.speed == 1.0 else augment.change_speed(samples, piece.speed)

    def _clip(self, name: str) -> Clip:
        if name not in self._clips:
            raise DataError(
                f"the corpus has no clip {name}",
                why="the plans were made from another",
                fix="prepare them anew",
            )
        return self._clips[name]

    def _stretch(self, clip: Clip, piece: Piece) -> Samples:
        part = clip._replace(
            start=clip.start + piece.offset, stop=min(clip.start + piece.offset + piece.length, clip.stop)
        )
        return self.corpus.audio(part)

    def _mixed(self, mix: Samples, track: Samples, sound: PlannedSound) -> Event:
        """Add a sound at its level and tell where it sounds, to the chunk."""
        power = np.mean(track.reshape(-1, CHUNK_SAMPLES) ** 2, axis=1)
        active = power > max(float(power.max()) * 10 ** (FLOOR_DB / 10), 1e-9)
        level_db = sound.level_db
        if active.any():
            gain = 10 ** (level_db / 20) / np.sqrt(float(np.mean(power[active])))
            peak = gain * float(np.abs(track).max())
            if peak > 0.95:  # a knock has peaks far above its mean
                gain *= 0.95 / peak
                level_db += 20 * np.log10(0.95 / peak)
            mix += track * np.float32(gain)
        patience = CADENCE_PATIENCE if sound.label in CADENCED else PATIENCE
        for left, right in itertools.pairwise(np.flatnonzero(active)):
            if right - left <= patience:
                active[left:right] = True
        names = list(dict.fromkeys(name for piece in sound.pieces for name in self._names(piece)))
        labels = tuple(self.index[name] for name in names if name in self.index)
        return Event(labels, active, level_db, sound.foreground)

    def _names(self, piece: Piece) -> tuple[str, ...]:
        return self._clip(piece.clip).labels if piece.clip else (piece.maker,)


def _looped(samples: Samples, n: int) -> Samples:
    """n samples of a sound that goes on, its seams blended."""
    if len(samples) >= n:
        return samples[:n].copy()
    seam = min(SEAM, len(samples) // 4)
    if not seam:
        return np.resize(samples, n)
    ramp = np.sin(np.linspace(0, np.pi / 2, seam, dtype=np.float32))  # equal power
    body = samples[seam:].copy()
    body[-seam:] = body[-seam:] * ramp[::-1] + samples[:seam] * ramp
    return np.concatenate([samples[:seam], np.resize(body, n - seam)])


def _heard_from(samples: Samples, response: Samples, distance: float | None) -> Samples:
    """Samples as heard in a room: from afar more of the room, less of the source and its treble."""
    response = response.copy()
    if distance is not None:
        response[0] *= 1.2 - distance
        if distance >= 0.7:
            response = np.convolve(response, TRIANGLE).astype(np.float32)
    convolve = oaconvolve if len(samples) > 4 * len(response) else fftconvolve
    return np.asarray(convolve(samples, response), np.float32)
