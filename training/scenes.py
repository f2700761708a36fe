"""Endless streams of real recordings, composed as a room would: quiet, single sounds, several at once.

A stream is made of scenes, with events whose times are known to the frame, so that an encoder can be
taught what sounds now, and a captioner what a listener has heard since a segment began.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..runtime.audio import CHUNK_SAMPLES, HOP, RATE, Samples
from . import augment
from .data import Clip, Corpus, Label
from .signals import MAKERS, PHRASES

QUIET = "room_tone"
"""A label that is no sound: its clips are backgrounds in which nothing is to be said."""

STEADY = frozenset(
    [
        "rain",
        "wind",
        "sea_waves",
        "stream",
        "crackling_fire",
        "water_tap",
        "shower",
        "boiling_bubbling",
        "vacuum_cleaner",
        "washing_machine",
        "dishwasher",
        "microwave",
        "fridge_hum",
        "fan",
        "frying_sizzle",
        "engine",
        "traffic",
        "airplane",
        "crowd_chatter",
        "cafe",
        "machine_hum",
        "music",
        "crickets",
        "clock_tick",
        "keyboard_typing",
        "speech",
        "man_speech",
        "woman_speech",
    ]
)
"""Labels that may lie under a scene as its background."""

RELATED = [
    {"speech", "man_speech", "woman_speech", "child_speech", "crowd_chatter", "cafe", "children_playing"},
    {"singing", "child_singing", "music"},
    {"alarm", "smoke_alarm", "co_alarm", "siren", "alarm_clock"},
    {"electronic_chime", "phone_ring", "doorbell", "appliance_beep", "alarm_clock", "bell"},
    {
        "music",
        "guitar",
        "piano",
        "violin",
        "cello",
        "double_bass",
        "flute",
        "clarinet",
        "saxophone",
        "trumpet",
        "drum",
    },
    {"water_tap", "washing_dishes", "shower", "pouring_water", "stream"},
    {"fan", "fridge_hum", "machine_hum", "microwave", "dishwasher", "washing_machine"},
    {"chainsaw", "power_saw", "power_drill"},
    {"explosion", "fireworks", "gunshot"},
]
"""Labels of which one does not deny another: where one is true, the others of its set are not taught."""

SYNTHETIC_SHARE = {
    "smoke_alarm": 0.6, "co_alarm": 1.0, "doorbell": 0.7, "phone_ring": 0.2,
    "alarm_clock": 0.3, "appliance_beep": 1.0, "reversing_beep": 1.0,
}  # fmt: skip
"""How often a signal of this label is synthesised rather than recorded."""

SHORTENED = 0.7
"""How many sounds are cut short: the first seconds tell most, and more sounds an hour teach more."""
FLOOR_DB = -35.0
"""Below its loudest moment by this much, an event is not sounding."""
MASKED_DB = -15.0
"""Below everything else by this much, an event can't be heard."""
PATIENCE = 4
"""Chunks (of 320 ms) that a pause inside one event may last."""


class Event(NamedTuple):
    """One sound of a scene: labels, the chunks in which it sounds, its level, foreground or not."""

    labels: tuple[int, ...]
    active: NDArray[np.bool_]
    level_db: float
    foreground: bool


class Scene(NamedTuple):
    """samples: (320 ms chunks x 10,240,) float32. Events' `active` have one entry a chunk."""

    samples: Samples
    events: list[Event]


class Targets(NamedTuple):
    """Per chunk: (chunks, sounds) 1 where a sound is heard, and the weight of saying so (0: not taught)."""

    heard: NDArray[np.float32]
    weight: NDArray[np.float32]


def excerpt(rng: Generator, sound: Samples, length_s: float) -> Samples:
    """So many seconds of a sound, around a moment drawn by its loudness; faded in and out over 10 ms."""
    n = int(length_s * RATE)
    if len(sound) <= n:
        return sound
    power = np.mean(sound[: len(sound) // HOP * HOP].reshape(-1, HOP) ** 2, axis=1) ** 0.5 + 1e-9
    moment = HOP * int(rng.choice(len(power), p=power / power.sum()))
    start = min(max(moment - int(rng.uniform(0, 0.7) * n), 0), len(sound) - n)
    cut = sound[start : start + n].copy()
    cut[:HOP] *= np.linspace(0, 1, HOP, dtype=np.float32)
    cut[-HOP:] *= np.linspace(1, 0, HOP, dtype=np.float32)
    return cut


def sound_labels(corpus: Corpus, clips: list[Clip]) -> list[Label]:
    """The labels that a model taught with these clips can score: theirs, but silence, and the synthesised."""
    present = {clip.label for clip in clips} | set(MAKERS)
    own = [label for label in corpus.labels if label.name in present and label.name != QUIET]
    known = {label.name for label in own}
    return own + [Label(name, phrase, kind) for name, (phrase, kind) in PHRASES.items() if name not in known]


Segment = tuple[Samples, Targets]
"""A cut of a stream: (chunks x 10,240,) samples and what sounds in each chunk."""


class Composer:
    """Makes scenes from clips, at random but reproducibly: the same generator gives the same scenes."""

    def __init__(self, corpus: Corpus, clips: list[Clip], labels: list[Label]) -> None:
        self.corpus, self.labels = corpus, labels
        self.index = {label.name: i for i, label in enumerate(labels)}
        self.pools: dict[str, dict[str, list[Clip]]] = {}
        for clip in clips:
            self.pools.setdefault(clip.label, {}).setdefault(clip.recording, []).append(clip)
        self.quiet = [
            clip for pool in (self.pools.pop(QUIET, {}),) for group in pool.values() for clip in group
        ]
        names = sorted(set(self.pools) | set(MAKERS))
        weights = np.array([self._weight(name) for name in names])
        self.names, self.weights = names, weights / weights.sum()
        self.steady = [name for name in names if name in STEADY]
        self.related = np.zeros((len(labels), len(labels)), bool)
        for group in RELATED:
            members = [self.index[name] for name in group if name in self.index]
            self.related[np.ix_(members, members)] = True
        np.fill_diagonal(self.related, False)

    def _weight(self, name: str) -> float:
        # Rare labels are heard more often than their share, but three recordings can't carry a twelfth.
        return float(np.sqrt(min(len(self.pools.get(name, {})), 40) + (25 if name in SYNTHETIC_SHARE else 0)))

    def pick(self, rng: Generator, name: str) -> tuple[Samples, tuple[int, ...]]:
        """A sound of this label, dry, up to 10 s, and the indices of all that it is labelled with."""
        if name not in self.pools or rng.random() < SYNTHETIC_SHARE.get(name, 0.0):
            samples, label = MAKERS[name](rng)
            return samples, (self.index[label],)
        recordings = self.pools[name]
        group = recordings[list(recordings)[int(rng.integers(len(recordings)))]]
        clip = group[int(rng.integers(len(group)))]
        samples = self.corpus.audio(clip)
        if rng.random() < 0.4:
            samples = augment.change_speed(samples, rng.uniform(0.88, 1.14))
        return samples, tuple(self.index[name] for name in clip.labels if name in self.index)

    def scene(self, rng: Generator) -> Scene:
        """The next few seconds of a room: 3 to 11 s, sometimes with nothing in them."""
        chunks = int(rng.uniform(3, 11) * RATE / CHUNK_SAMPLES)
        n = chunks * CHUNK_SAMPLES
        samples = np.zeros(n, np.float32)
        events: list[Event] = []
        response = augment.room_response(rng) if rng.random() < 0.4 else None
        if rng.random() < 0.85:
            samples += augment.noise(rng, n) * np.float32(10 ** (rng.uniform(-80, -42) / 20))
        if self.quiet and rng.random() < 0.2:
            tone = self.corpus.audio(self.quiet[int(rng.integers(len(self.quiet)))])
            samples += np.resize(tone, n) * np.float32(10 ** (rng.uniform(-6, 12) / 20))
        if rng.random() < 0.08:
            if rng.random() < 0.5:  # loud but meaningless: noise that is no known sound
                samples += augment.noise(rng, n) * np.float32(10 ** (rng.uniform(-45, -22) / 20))
            return Scene(samples, events)
        count = int(rng.choice([1, 2, 3, 4], p=[0.3, 0.35, 0.22, 0.13]))
        if rng.random() < 0.3:
            name = self.steady[int(rng.integers(len(self.steady)))]
            sound, labels = self.pick(rng, name)
            sound = np.resize(sound, n)
            events.append(self._place(samples, sound, 0, labels, rng.uniform(-48, -26), False))
        for name in rng.choice(self.names, size=count, p=self.weights):
            sound, labels = self.pick(rng, str(name))
            if rng.random() < SHORTENED:
                sound = excerpt(rng, sound, rng.uniform(1.2, 4.5))
            elif name in STEADY and rng.random() < 0.5 and len(sound) < 8 * RATE:
                sound = np.resize(sound, int(rng.uniform(4, 12) * RATE))
            elif rng.random() < 0.25 and len(sound) < 4 * RATE:
                pause = np.zeros(int(rng.uniform(0.3, 1.2) * RATE), np.float32)
                sound = np.concatenate([sound, pause, sound])
            if response is not None:
                sound = augment.reverberate(sound, response)
            start = int(rng.uniform(0, max(n - min(len(sound), 3 * RATE), 1)))
            events.append(self._place(samples, sound, start, labels, rng.uniform(-42, -12), True))
        return Scene(np.clip(samples, -1.0, 1.0), events)

    def draw(self, rng: Generator, clear: float) -> Scene:
        """A scene with one clear sound, with this probability, or else a crowded or an empty one."""
        return self.single(rng) if rng.random() < clear else self.scene(rng)

    def single(self, rng: Generator) -> Scene:
        """One sound, near and clear, in a quiet room: 1.6 to 5 s, half of a second before it."""
        name = str(rng.choice(self.names, p=self.weights))
        sound, labels = self.pick(rng, name)
        sound = excerpt(rng, sound, rng.uniform(1.0, 4.0))
        if rng.random() < 0.2:
            sound = augment.reverberate(sound, augment.room_response(rng))
        start = int(rng.uniform(0.1, 0.6) * RATE)
        chunks = -(-(start + len(sound)) // CHUNK_SAMPLES) + int(rng.integers(0, 3))
        samples = augment.noise(rng, chunks * CHUNK_SAMPLES) * np.float32(10 ** (rng.uniform(-85, -55) / 20))
        event = self._place(samples, sound, start, labels, rng.uniform(-36, -12), True)
        return Scene(np.clip(samples, -1.0, 1.0), [event])

    def _place(
        self,
        mix: Samples,
        sound: Samples,
        start: int,
        labels: tuple[int, ...],
        level_db: float,
        foreground: bool,
    ) -> Event:
        """Add a sound to the mix at a level (dBFS of its sounding chunks) and tell where it sounds."""
        sound = sound[: len(mix) - start]
        track = np.zeros(len(mix), np.float32)
        track[start : start + len(sound)] = sound
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
        where = np.flatnonzero(active)
        for left, right in itertools.pairwise(where):
            if right - left <= PATIENCE:
                active[left:right] = True
        return Event(labels, active, level_db, foreground)

    def targets(self, scene: Scene) -> Targets:
        """What an encoder should say at each chunk of a scene."""
        chunks = len(scene.samples) // CHUNK_SAMPLES
        heard = np.zeros((chunks, len(self.labels)), np.float32)
        weight = np.ones_like(heard)
        total = sum((10 ** (e.level_db / 10) * e.active for e in scene.events), np.full(chunks, 1e-12))
        for event in scene.events:
            power = 10 ** (event.level_db / 10) * event.active
            masked = event.active & (power < (total - power) * 10 ** (MASKED_DB / 10))
            fading = ~event.active & (np.roll(event.active, 1) | np.roll(event.active, 2))
            for label in event.labels:
                heard[event.active & ~masked, label] = 1.0
                weight[masked | fading, label] = 0.0
                weight[np.ix_(event.active | fading, self.related[label])] = 0.0
        weight[heard > 0] = 1.0
        return Targets(heard, weight)


class Stream:
    """One endless stream, cut into segments of equal length whatever the scenes' lengths.

    clear: the share of scenes with one clear sound; the others are crowded, or empty.
    """

    def __init__(self, composer: Composer, rng: Generator, chunks: int, clear: float = 0.0) -> None:
        self.composer, self.rng, self.chunks, self.clear = composer, rng, chunks, clear

    def __iter__(self) -> Iterator[Segment]:
        samples = np.zeros(0, np.float32)
        heard = np.zeros((0, len(self.composer.labels)), np.float32)
        weight = heard.copy()
        while True:
            while len(heard) < self.chunks:
                scene = self.composer.draw(self.rng, self.clear)
                targets = self.composer.targets(scene)
                samples = np.concatenate([samples, scene.samples])
                heard = np.concatenate([heard, targets.heard])
                weight = np.concatenate([weight, targets.weight])
            cut = self.chunks * CHUNK_SAMPLES
            yield samples[:cut], Targets(heard[: self.chunks], weight[: self.chunks])
            samples, heard, weight = samples[cut:], heard[self.chunks :], weight[self.chunks :]
