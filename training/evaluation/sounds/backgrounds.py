"""What a home sounds like by itself: the room's own tone, and everyday noise, of a split's recordings."""

import numpy as np
from numpy.random import Generator

from ....runtime.audio import RATE, Samples
from ....runtime.errors import DataError
from ...data.corpus import Clip, Split
from ...sound.taxonomy import QUIET
from ..captioned import sounding_power
from ..context import Stage
from . import streams

HOUSEHOLD = (
    "speech", "man_speech", "woman_speech", "crowd_chatter", "music", "water_tap", "vacuum_cleaner", "dishes",
    "frying_sizzle", "washing_machine", "dishwasher", "fan", "microwave",
)  # fmt: skip
"""Labels of everyday noise: talk, a television's music, the kitchen, machines."""


def household(
    stage: Stage, split: Split, rng: Generator, n: int, without: frozenset[str] = frozenset()
) -> Samples:
    """(n,) of a held-out recording of everyday noise, looped, power 1 while it sounds.

    without: labels that it must not have. Raises DataError where the split has none left.
    """
    clips = [
        clip
        for clip in stage.corpus.split(split)
        if clip.label in HOUSEHOLD and not without.intersection(clip.labels)
    ]
    if not clips:
        raise _lacking(split, "everyday noise", HOUSEHOLD)
    clip = _one_label_equally(clips, rng)
    loop = streams.looped([stage.corpus.audio(clip)], rng)
    noise = np.concatenate(list(streams.lasting(loop, n / RATE)))[:n]
    return np.asarray(noise / np.sqrt(sounding_power(noise)), np.float32)


def _one_label_equally(clips: list[Clip], rng: Generator) -> Clip:
    label = rng.choice(sorted({clip.label for clip in clips}))
    pool = [clip for clip in clips if clip.label == label]
    return pool[int(rng.integers(len(pool)))]


def room_tone(stage: Stage, split: Split, rng: Generator, level_db: float) -> streams.Stream:
    """The split's quiet rooms, one faded into the next, each at this RMS, dBFS.

    Raises DataError where the split has none.
    """
    tones = [stage.corpus.audio(clip) for clip in stage.corpus.split(split) if clip.label == QUIET]
    if not tones:
        raise _lacking(split, "a quiet room", (QUIET,))
    gain = 10 ** (level_db / 20)
    return streams.looped([tone * np.float32(gain / np.sqrt(np.mean(tone**2))) for tone in tones], rng)


def _lacking(split: Split, what: str, labels: tuple[str, ...]) -> DataError:
    return DataError(
        f"the split {split} has no recording of {what}",
        why=f"that is one labelled {', '.join(labels)}",
        fix="take a corpus that has some, or leave this part out",
    )
