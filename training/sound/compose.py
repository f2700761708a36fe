"""Endless streams of real recordings, composed as a room would: quiet, single sounds, several at once.

A stream is made of scenes, with events whose times are known to the frame, so that an encoder can be
taught what sounds now, and a captioner what a listener has heard since a segment began.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ..data.corpus import Clip, Corpus, Label
from . import augment
from .bank import DrySound, Library, excerpt
from .signals import MAKERS
from .taxonomy import BROADER, CADENCED, CADENCES, CROWDS, STEADY, TOGETHER

FADING = 2
"""Chunks after a sound's end in which the encoder may still name it, or not."""

WARNED = 0.6
"""Share of alarms among the scenes that teach them; in the others sounds what is taken for them."""
STILL = 0.08
"""Share of the clear scenes in which nothing sounds but the room itself."""
SHORTENED = 0.7
"""How many sounds are cut short: the first seconds tell most, and more sounds an hour teach more."""
RT60_S, DRR_DB = (0.2, 1.2), (-10.0, 12.0)
"""Of rooms in homes: from a bedroom to a bathroom, from across it to a step away."""
WET, NOISY = 0.7, 0.6
"""Of the sounds at home, so many are heard in a room, and so many over noise."""
FAINTER_DB = 12.0
"""From near, noise is fainter by this much than from across the room."""
FLOOR_DB = -35.0
"""Below its loudest moment by this much, an event is not sounding."""
MASKED_DB = -15.0
"""Below everything else by this much, an event can't be heard."""
PATIENCE = 4
"""Chunks (of 320 ms) that a pause inside one event may last."""


class Event(NamedTuple):
    """One sound of a scene: labels (none of a noise without a name), the chunks in which it sounds, its
    level, foreground or not."""

    labels: tuple[int, ...]
    active: NDArray[np.bool_]
    level_db: float
    foreground: bool


class Scene(NamedTuple):
    """samples: (320 ms chunks x 10,240,) float32. Events' `active` have one entry a chunk."""

    samples: Samples
    events: list[Event]
    near: Samples | None = None
    """The same moments as from beside the sound: dry, its noise fainter. None: as in `samples`."""


class Targets(NamedTuple):
    """Per chunk: (chunks, sounds) 1 where a sound is heard, and the weight of saying so (0: not taught)."""

    heard: NDArray[np.float32]
    weight: NDArray[np.float32]


def _pairs(relation: Mapping[str, set[str]], index: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    for name, others in relation.items():
        yield from ((index[name], index[o]) for o in sorted(others) if name in index and o in index)


class Segment(NamedTuple):
    """Some of a stream: (chunks x 10,240,) samples, the same from near (`Scene.near`), and what sounds in
    each chunk."""

    samples: Samples
    near: Samples
    targets: Targets

    @property
    def chunks(self) -> int:
        """How long it is."""
        return len(self.targets.heard)

    def then(self, other: "Segment") -> "Segment":
        """This one, and the other after it."""
        return Segment(
            np.concatenate([self.samples, other.samples]), np.concatenate([self.near, other.near]),
            Targets(*map(np.concatenate, zip(self.targets, other.targets, strict=True))),
        )  # fmt: skip

    def between(self, begin: int, end: int | None = None) -> "Segment":
        """From one chunk on to another, or to its end."""
        cut = slice(begin * CHUNK_SAMPLES, None if end is None else end * CHUNK_SAMPLES)
        return Segment(
            self.samples[cut], self.near[cut], Targets(*(part[begin:end] for part in self.targets))
        )


class Shares(NamedTuple):
    """How often a stream's next scene is of which kind. The shares of what the ones before have left."""

    warnings: float = 0.0
    """An alarm over household noise, or what could be taken for one."""
    homes: float = 0.0
    """One sound as the other end of a room hears it, mostly over noise."""
    clear: float = 0.0
    """One clear sound, near; else a crowded scene, or an empty one."""
    lead: float = 1.0
    """Seconds of a home's room and noise before its sound, at most."""


CROWDED = Shares()


class Composer:
    """Makes scenes from clips, at random but reproducibly: the same generator gives the same scenes."""

    def __init__(self, corpus: Corpus, clips: list[Clip], labels: list[Label]) -> None:
        self.labels = labels
        self.library = Library(corpus, clips, labels)
        index = self.library.index
        self.related = np.zeros((len(labels), len(labels)), bool)
        """[i, j]: where i sounds, nothing is taught of j."""
        for one, other in _pairs(TOGETHER, index):
            self.related[[one, other], [other, one]] = True
        for broader, narrower in _pairs(BROADER, index):
            self.related[broader, narrower] = True
        for crowd in self.library.crowds:  # mixed, it is known to be one; and that a single voice is none
            voices = [index[voice] for voice in CROWDS[crowd] if voice in index]
            self.related[voices, index[crowd]] = False

    def scene(self, rng: Generator) -> Scene:
        """The next few seconds of a room: 3 to 11 s, sometimes with nothing in them."""
        chunks = int(rng.uniform(3, 11) * RATE / CHUNK_SAMPLES)
        n = chunks * CHUNK_SAMPLES
        samples = np.zeros(n, np.float32)
        events: list[Event] = []
        response = augment.room_response(rng) if rng.random() < 0.4 else None
        if rng.random() < 0.85:
            samples += augment.noise(rng, n) * np.float32(10 ** (rng.uniform(-80, -42) / 20))
        if self.library.quiet and rng.random() < 0.2:
            samples += np.resize(self.library.tone(rng), n) * np.float32(10 ** (rng.uniform(-6, 12) / 20))
        if rng.random() < 0.08:
            if rng.random() < 0.5:  # loud but meaningless: noise that is no known sound
                samples += augment.noise(rng, n) * np.float32(10 ** (rng.uniform(-45, -22) / 20))
            return Scene(samples, events)
        count = int(rng.choice([1, 2, 3, 4], p=[0.3, 0.35, 0.22, 0.13]))
        if rng.random() < 0.3 and self.library.steady:
            sound = self.library.pick_steady(rng)
            sound = DrySound(np.resize(sound.samples, n), sound.labels)
            events.append(self._place(samples, sound, 0, rng.uniform(-48, -26), False))
        for name in rng.choice(self.library.names, size=count, p=self.library.weights):
            sound = self.library.pick(rng, str(name))
            dry = sound.samples
            if name in CADENCED:
                sound = excerpt(rng, sound, rng.uniform(4.0, 9.0))
            elif rng.random() < SHORTENED:
                sound = excerpt(rng, sound, rng.uniform(1.2, 4.5))
            elif name in STEADY and rng.random() < 0.5 and len(dry) < 8 * RATE:
                sound = DrySound(np.resize(dry, int(rng.uniform(4, 12) * RATE)), sound.labels)
            elif rng.random() < 0.25 and len(dry) < 4 * RATE:
                pause = np.zeros(int(rng.uniform(0.3, 1.2) * RATE), np.float32)
                sound = DrySound(np.concatenate([dry, pause, dry]), sound.labels)
            if response is not None:
                sound = sound._replace(samples=augment.reverberate(sound.samples, response))
            start = int(rng.uniform(0, max(n - min(len(sound.samples), 3 * RATE), 1)))
            events.append(self._place(samples, sound, start, rng.uniform(-42, -12), True))
        return Scene(np.clip(samples, -1.0, 1.0), events)

    def draw(self, rng: Generator, shares: Shares) -> Scene:
        """A scene of some kind; shares: how often of which."""
        if shares.warnings and rng.random() < shares.warnings:
            return self.warning(rng)
        if shares.homes and rng.random() < shares.homes:
            return self.at_home(rng, shares.lead)
        return self.single(rng) if rng.random() < shares.clear else self.scene(rng)

    def at_home(self, rng: Generator, lead: float = CROWDED.lead) -> Scene:
        """One sound as the other end of a room hears it, after so many seconds at most."""
        name = str(rng.choice(self.library.names, p=self.library.weights))
        lasts = name in CADENCED or (name in STEADY and rng.random() < 0.3)
        dry = self.library.pick(rng, name)
        sound = excerpt(rng, dry, rng.uniform(4.0, 9.0) if lasts else rng.uniform(1.0, 4.5))
        return self.as_at_home(rng, sound, int(rng.uniform(0.1, lead) * RATE))

    def as_at_home(self, rng: Generator, sound: DrySound, start: int) -> Scene:
        """This sound, from sample `start` on, reverberant, faint, or over what hums and talks.

        Its level is what reaches the microphone; the noise, the event before it, goes on from the scene's
        first moment to its last.
        """
        dry = sound
        if rng.random() < WET:
            response = augment.room_response(rng, rng.uniform(*RT60_S), rng.uniform(*DRR_DB))
            sound = sound._replace(samples=augment.reverberate(sound.samples, response))
        chunks = -(-(start + len(sound.samples)) // CHUNK_SAMPLES) + int(rng.integers(0, 3))
        n = chunks * CHUNK_SAMPLES
        level_db = rng.uniform(-52, -14)
        samples = self.library.room(rng, n, min(rng.uniform(-85, -50), level_db - 12))
        near = samples.copy()
        events = []
        if rng.random() < NOISY:
            noise, noise_db = self._noise(rng, n), level_db - rng.uniform(-3, 25)
            events.append(self._place(samples, noise, 0, noise_db, False))
            self._place(near, noise, 0, noise_db - FAINTER_DB, False)
        events.append(self._place(samples, sound, start, level_db, True))
        self._place(near, dry, start, level_db, True)
        return Scene(np.clip(samples, -1.0, 1.0), events, np.clip(near, -1.0, 1.0))

    def _noise(self, rng: Generator, n: int) -> DrySound:
        """(n,) of what a home has in the background: a steady sound, voices, hiss, or voices over hiss."""
        kind = rng.random()
        if kind < 0.4 and self.library.steady:
            noise = self.library.pick_steady(rng)
            return noise._replace(samples=np.resize(noise.samples, n))
        hiss = augment.noise(rng, n)
        if kind < 0.7 or not self.library.crowds:
            return DrySound(hiss, ())
        crowd = sorted(self.library.crowds)[0]
        voices = self.library.pick(rng, crowd)
        loudness = 10 ** (rng.uniform(-3, 12) / 20) / max(float(np.sqrt(np.mean(voices.samples**2))), 1e-6)
        babble = np.resize(voices.samples, n) * np.float32(loudness)
        return DrySound(babble + hiss, voices.labels)

    def single(self, rng: Generator) -> Scene:
        """One sound, near and clear, in a quiet room: 1.6 to 5 s, half of a second before it; or none.

        Signals that their rhythm tells apart last longer, and some steady sounds.
        """
        if rng.random() < STILL:
            n = int(rng.uniform(3, 10) * RATE / CHUNK_SAMPLES) * CHUNK_SAMPLES
            return Scene(self.library.room(rng, n, rng.uniform(-75, -30)), [])
        name = str(rng.choice(self.library.names, p=self.library.weights))
        lasts = name in CADENCED or (name in STEADY and rng.random() < 0.3)
        dry = self.library.pick(rng, name)
        sound = excerpt(rng, dry, rng.uniform(4.0, 9.0) if lasts else rng.uniform(1.0, 4.0))
        if rng.random() < 0.3:
            wet = augment.reverberate(sound.samples, augment.room_response(rng))
            sound = sound._replace(samples=wet)
        start = int(rng.uniform(0.1, 0.6) * RATE)
        chunks = -(-(start + len(sound.samples)) // CHUNK_SAMPLES) + int(rng.integers(0, 3))
        samples = self.library.room(rng, chunks * CHUNK_SAMPLES, rng.uniform(-85, -50))
        event = self._place(samples, sound, start, rng.uniform(-40, -12), True)
        return Scene(np.clip(samples, -1.0, 1.0), [event])

    def warning(self, rng: Generator) -> Scene:
        """An alarm, or a signal that could be taken for one, for 5 to 10 s; mostly over household noise.

        The alarm lies 6 dB below the noise at the worst. The noise comes first and stays to the end.
        """
        others = [name for name in MAKERS if name not in CADENCES]
        signal = self.library.pick(rng, str(rng.choice(list(CADENCES) if rng.random() < WARNED else others)))
        if rng.random() < 0.3:
            signal = excerpt(rng, signal, rng.uniform(5.0, 9.0))
        if rng.random() < 0.7:
            wet = augment.reverberate(signal.samples, augment.room_response(rng))
            signal = signal._replace(samples=wet)
        start = int(rng.uniform(0.2, 3.0) * RATE)
        n = -(-(start + min(len(signal.samples), 11 * RATE)) // CHUNK_SAMPLES) * CHUNK_SAMPLES
        samples = self.library.room(rng, n, rng.uniform(-80, -50))
        level_db = rng.uniform(-42, -18)
        events = []
        if self.library.steady and rng.random() < 0.8:
            noise = self.library.pick_steady(rng)
            noise = noise._replace(samples=np.resize(noise.samples, n))
            events.append(self._place(samples, noise, 0, level_db - rng.uniform(-6, 18), False))
        events.append(self._place(samples, signal, start, level_db, True))
        return Scene(np.clip(samples, -1.0, 1.0), events)

    def _place(
        self,
        mix: Samples,
        sound: DrySound,
        start: int,
        level_db: float,
        foreground: bool,
    ) -> Event:
        """Add a sound to the mix at a level (dBFS of its sounding chunks) and tell where it sounds."""
        samples = sound.samples[: len(mix) - start]
        track = np.zeros(len(mix), np.float32)
        track[start : start + len(samples)] = samples
        power = np.mean(track.reshape(-1, CHUNK_SAMPLES) ** 2, axis=1)
        loudest = power.max()
        active = power > max(loudest * 10 ** (FLOOR_DB / 10), 1e-9)
        sounding = float(np.mean(power[active])) if active.any() else 0.0
        if sounding > 0:
            track *= np.float32(10 ** (level_db / 20) / np.sqrt(sounding))
            peak = float(np.abs(track).max())
            if peak > 0.95:
                track *= np.float32(0.95 / peak)
            mix += track
        bridge(active, self._patience(sound.labels, PATIENCE))
        return Event(sound.labels, active, level_db, foreground)

    def _patience(self, labels: tuple[int, ...], otherwise: int) -> int:
        return max((CADENCED.get(self.labels[label].name, otherwise) for label in labels), default=otherwise)

    def targets(self, scene: Scene) -> Targets:
        """What an encoder should say at each chunk of a scene.

        Nothing is taught of a sound's last echo, nor of the silence that could be a signal's pause.
        """
        chunks = len(scene.samples) // CHUNK_SAMPLES
        heard = np.zeros((chunks, len(self.labels)), np.float32)
        weight = np.ones_like(heard)
        total = sum((10 ** (e.level_db / 10) * e.active for e in scene.events), np.full(chunks, 1e-12))
        for event in scene.events:
            power = 10 ** (event.level_db / 10) * event.active
            masked = event.active & (power < (total - power) * 10 ** (MASKED_DB / 10))
            fading = _after(event.active, self._patience(event.labels, FADING))
            for label in event.labels:
                heard[event.active & ~masked, label] = 1.0
                weight[masked | fading, label] = 0.0
                weight[np.ix_(event.active | fading, self.related[label])] = 0.0
        weight[heard > 0] = 1.0
        return Targets(heard, weight)

    def segment(self, scene: Scene) -> Segment:
        """A scene as some of a stream."""
        near = scene.samples if scene.near is None else scene.near
        return Segment(scene.samples, near, self.targets(scene))


def bridge(active: NDArray[np.bool_], patience: int) -> None:
    """An event goes on through pauses of at most so many chunks. In place."""
    for left, right in itertools.pairwise(np.flatnonzero(active)):
        if right - left <= patience:
            active[left:right] = True


def _after(active: NDArray[np.bool_], chunks: int) -> NDArray[np.bool_]:
    """The chunks that follow an active one by at most so many, and are not active themselves."""
    near = np.convolve(active, np.ones(chunks + 1))[: len(active)] > 0
    return near & ~active


class Stream:
    """One endless stream, cut into segments of equal length whatever the scenes' lengths."""

    def __init__(self, composer: Composer, rng: Generator, chunks: int, shares: Shares = CROWDED) -> None:
        self.composer, self.rng, self.chunks, self.shares = composer, rng, chunks, shares

    def __iter__(self) -> Iterator[Segment]:
        kept = self._next()
        while True:
            while kept.chunks < self.chunks:
                kept = kept.then(self._next())
            yield kept.between(0, self.chunks)
            kept = kept.between(self.chunks)

    def _next(self) -> Segment:
        return self.composer.segment(self.composer.draw(self.rng, self.shares))
