"""A plan -> its scene: the samples, and in which chunks each sound sounds. Nothing is left to chance."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, oaconvolve

from ...runtime.audio import CHUNK_SAMPLES, HOP, RATE, Samples
from ...runtime.errors import DataError
from ..data.corpus import Clip, Corpus, Label
from ..sound import augment
from ..sound.compose import FLOOR_DB, PATIENCE, Event, Scene, bridge
from ..sound.signals import MAKERS
from ..sound.taxonomy import CADENCED
from .plan import Piece, Plan, PlannedSound

WINDOW = 1024
"""Samples of a spectrum from which the loudness of a sound is judged."""
LOUDEST_DB = -16.0
"""Dull sounds are raised to where the ear hears them, but not above this power (dBFS)."""
FADE = 3200
"""Samples over which a stretch that ends in mid-sound fades: 100 ms. It begins within 10 ms."""
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
        begin, end = min(HOP, len(samples) // 4), min(FADE, len(samples) // 4)
        samples[:begin] *= np.linspace(0, 1, begin, dtype=np.float32)
        samples[len(samples) - end :] *= np.linspace(1, 0, end, dtype=np.float32)
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
            # As loud as the plan says to an ear; a wind may hold far more power for that, but not any amount.
            level_db = min(level_db - audible_db(track, active), max(level_db, LOUDEST_DB))
            gain = 10 ** (level_db / 20) / np.sqrt(float(np.mean(power[active])))
            peak = gain * float(np.abs(track).max())
            if peak > 0.95:  # a knock has peaks far above its mean
                gain *= 0.95 / peak
                level_db += 20 * np.log10(0.95 / peak)
            mix += track * np.float32(gain)
        bridge(active, CADENCED.get(sound.label, PATIENCE))
        names = list(dict.fromkeys(name for piece in sound.pieces for name in self._names(piece)))
        labels = tuple(self.index[name] for name in names if name in self.index)
        return Event(labels, active, level_db, sound.foreground)

    def _names(self, piece: Piece) -> tuple[str, ...]:
        return self._clip(piece.clip).labels if piece.clip else (piece.maker,)


def audible_db(track: Samples, active: NDArray[np.bool_]) -> float:
    """How much less an ear (A-weighting, IEC 61672-1) makes of a sound than its power says, in dB."""
    chunks = np.flatnonzero(active)
    chosen = chunks[np.linspace(0, len(chunks) - 1, min(len(chunks), 12)).astype(int)]
    frames = track.reshape(-1, CHUNK_SAMPLES)[chosen].reshape(-1, WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32)))).sum(axis=0)
    return float(10 * np.log10(max(float(power @ EAR), 1e-12) / max(float(power.sum()), 1e-12)))


def _a_weighting() -> NDArray[np.float64]:
    f2 = np.square(np.fft.rfftfreq(WINDOW, 1 / RATE))
    weight = 12194.217**2 * f2**2 / ((f2 + 20.598997**2) * (f2 + 12194.217**2))
    weight /= np.sqrt((f2 + 107.65265**2) * (f2 + 737.86223**2))
    return np.asarray((weight * 10 ** (2.0 / 20)) ** 2)


EAR = _a_weighting()
"""(bins,) how much of a frequency's power an ear hears: 1 at 1 kHz."""


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
