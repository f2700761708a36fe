"""Where sounds come from: recordings by label; signals and crowds that are made; rooms that hold nothing."""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ...runtime.audio import HOP, RATE, Samples
from ..data.corpus import Clip, Corpus, Label
from . import augment
from .signals import MAKERS, PHRASES
from .taxonomy import CROWDS, QUIET, STEADY, SYNTHETIC_SHARE, UNLABELLED

VOICES = (5, 17)
"""Of a crowd that is mixed, at least and at most."""
FEW, MIXED = 5, 0.75
"""A crowd of which there are fewer recordings is mixed this often: of one recording a recording is learnt."""


HUMMING = 0.15
"""So many rooms hum with the mains: what a microphone's cable picks up is no microwave oven."""


class DrySound(NamedTuple):
    """A dry sound for a scene, and what it is labelled with."""

    samples: Samples
    labels: tuple[int, ...]


class Library:
    """Sounds by label, drawn at random but reproducibly: the same generator gives the same sounds."""

    def __init__(self, corpus: Corpus, clips: list[Clip], labels: list[Label]) -> None:
        self.corpus = corpus
        self.index = {label.name: i for i, label in enumerate(labels)}
        self.pools: dict[str, dict[str, list[Clip]]] = {}
        """Label -> recording -> its clips."""
        known = {*self.index, QUIET}
        for clip in (clip for clip in clips if clip.label in known):
            self.pools.setdefault(clip.label, {}).setdefault(clip.recording, []).append(clip)
        self.quiet = [
            clip for pool in (self.pools.pop(QUIET, {}),) for group in pool.values() for clip in group
        ]
        self.crowds = {
            crowd: [group for voice in voices for group in self.pools.get(voice, {}).values()]
            for crowd, voices in CROWDS.items()
            if crowd in self.index
            and len(self.pools.get(crowd, {})) < FEW
            and self.pools.keys() & set(voices)
        }
        """Label -> the recordings of its voices: of crowds of which there are few recordings or none."""
        names = sorted({*self.pools, *MAKERS, *self.crowds})
        weights = np.array([self._weight(name) for name in names])
        self.names, self.weights = names, weights / weights.sum()
        """The labels that can be drawn, and how often each is."""
        self.steady = [name for name in names if name in STEADY]

    def _weight(self, name: str) -> float:
        # Rare labels are heard more often than their share, but three recordings can't carry a twelfth.
        is_made = name in SYNTHETIC_SHARE or name in self.crowds
        return float(np.sqrt(min(len(self.pools.get(name, {})), 40) + (25 if is_made else 0)))

    def pick(self, rng: Generator, name: str) -> DrySound:
        """A sound of this label, dry, up to 10 s."""
        if name in self.crowds and (name not in self.pools or rng.random() < MIXED):
            return DrySound(self._crowd(rng, self.crowds[name]), (self.index[name],))
        if name not in self.pools or rng.random() < SYNTHETIC_SHARE.get(name, 0.0):
            samples, label = MAKERS[name](rng)
            return DrySound(samples, (self.index[label],))
        recordings = self.pools[name]
        group = recordings[list(recordings)[int(rng.integers(len(recordings)))]]
        clip = group[int(rng.integers(len(group)))]
        samples = self.corpus.audio(clip)
        if rng.random() < 0.5:
            samples = augment.change_speed(samples, rng.uniform(0.86, 1.16))
        return DrySound(samples, self.indices(clip.labels))

    def pick_steady(self, rng: Generator) -> DrySound:
        """One that goes on and on, of any label."""
        return self.pick(rng, self.steady[int(rng.integers(len(self.steady)))])

    def tone(self, rng: Generator) -> Samples:
        """A recording of a room in which nothing sounds, as it is; there must be one."""
        return self.corpus.audio(self.quiet[int(rng.integers(len(self.quiet)))])

    def indices(self, names: Iterable[str]) -> tuple[int, ...]:
        """Of those labels that are known."""
        return tuple(self.index[name] for name in names if name in self.index)

    def room(self, rng: Generator, n: int, level_db: float) -> Samples:
        """(n,) of a room in which nothing sounds, recorded or made, at this level in dBFS."""
        room = self._still(rng, n, level_db)
        if rng.random() < HUMMING:
            room += augment.hum(rng, n) * np.float32(10 ** (rng.uniform(-65, -18) / 20))
        return room

    def _still(self, rng: Generator, n: int, level_db: float) -> Samples:
        tone = self._lull(rng) if rng.random() < 0.4 else None
        if tone is None and self.quiet and rng.random() < 0.4:
            tone = self.tone(rng)
        if tone is None:
            return augment.noise(rng, n) * np.float32(10 ** (level_db / 20))
        tone = augment.change_speed(np.roll(tone, int(rng.integers(len(tone)))), rng.uniform(0.8, 1.25))
        loudness = 10 ** (level_db / 20) / max(float(np.sqrt(np.mean(tone**2))), 1e-6)
        return np.asarray(np.resize(tone, n) * np.float32(min(loudness, 1e3)), np.float32)

    def rooms(self, rng: Generator, n: int) -> Samples:
        """(n,) of rooms in which nothing sounds: one fades into the next every few seconds."""

        def endless() -> Iterator[Samples]:
            while True:
                yield self.room(rng, int(rng.uniform(3, 12) * RATE), rng.uniform(-75, -36))

        seconds = itertools.islice(augment.joined(endless()), -(-n // RATE))
        return np.concatenate([*seconds])[:n]

    def _lull(self, rng: Generator) -> Samples | None:
        """The room that some clip was recorded in, where it has a quiet moment."""
        if not self.pools:
            return None
        groups = list(self.pools[list(self.pools)[int(rng.integers(len(self.pools)))]].values())
        group = groups[int(rng.integers(len(groups)))]
        return lull(self.corpus.audio(group[int(rng.integers(len(group)))]))

    def _crowd(self, rng: Generator, voices: list[list[Clip]]) -> Samples:
        """Ten seconds of many voices at once, near and far; often in a room, or by a dull microphone."""
        n = 10 * RATE
        mixed = np.zeros(n, np.float32)
        for _ in range(int(rng.integers(VOICES[0], VOICES[1] + 1))):
            group = voices[int(rng.integers(len(voices)))]
            voice = self.corpus.audio(group[int(rng.integers(len(group)))])
            voice = augment.change_speed(voice, rng.uniform(0.85, 1.2))
            loudness = 10 ** (rng.uniform(-12, 0) / 20) / max(float(np.sqrt(np.mean(voice**2))), 1e-6)
            mixed += np.resize(np.roll(voice, int(rng.integers(len(voice)))), n) * np.float32(loudness)
        if rng.random() < 0.6:
            mixed = augment.reverberate(mixed, augment.room_response(rng))[:n]
        if rng.random() < 0.5:
            mixed = augment.dull(mixed, rng.uniform(3500, 12000))
        return mixed


def excerpt(rng: Generator, sound: DrySound, length_s: float) -> DrySound:
    """So many seconds of a sound, around a moment drawn by its loudness; faded in and out over 10 ms."""
    n = int(length_s * RATE)
    if len(sound.samples) <= n:
        return sound
    samples = sound.samples
    power = np.mean(samples[: len(samples) // HOP * HOP].reshape(-1, HOP) ** 2, axis=1) ** 0.5 + 1e-9
    moment = HOP * int(rng.choice(len(power), p=power / power.sum()))
    start = min(max(moment - int(rng.uniform(0, 0.7) * n), 0), len(samples) - n)
    cut = samples[start : start + n].copy()
    cut[:HOP] *= np.linspace(0, 1, HOP, dtype=np.float32)
    cut[-HOP:] *= np.linspace(1, 0, HOP, dtype=np.float32)
    return DrySound(cut, sound.labels)


def lull(samples: Samples) -> Samples | None:
    """The quietest half second of a recording, as a loop without a seam: its room, without its sound.

    None where nothing is 15 dB quieter than the loudest half second, or only digital silence is.
    """
    n, step = RATE // 2, RATE // 20
    if len(samples) < 3 * n:
        return None
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - n, step)
    power = (energy[starts + n] - energy[starts]) / n
    audible = np.flatnonzero(power > 1e-9)
    if not len(audible):
        return None
    best = int(audible[np.argmin(power[audible])])
    if power[best] > power.max() * 10**-1.5:
        return None
    quiet = samples[starts[best] : starts[best] + n]
    fade = n // 4
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    loop: Samples = quiet[:-fade] - quiet.mean()
    loop[:fade] = loop[:fade] * ramp + (quiet[-fade:] - quiet.mean()) * (1 - ramp)
    return loop


def sound_labels(corpus: Corpus, clips: list[Clip]) -> list[Label]:
    """The labels that a model taught with these clips can score: theirs, but silence and what says nothing;
    the synthesised, and the crowds that they can be mixed to."""
    present = {clip.label for clip in clips} | set(MAKERS)
    present |= {crowd for crowd, voices in CROWDS.items() if present & set(voices)}
    own = [label for label in corpus.labels if label.name in present - {QUIET, UNLABELLED}]
    known = {label.name for label in own}
    return own + [Label(name, phrase, kind) for name, (phrase, kind) in PHRASES.items() if name not in known]
