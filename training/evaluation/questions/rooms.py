"""Do the captions still name the sound in a real room: reverberant, far away, over the noise of a home?

The clips of `naming`, each in the same room and over the same noise for whatever bundle hears it: both are
drawn from the clip's id and the seed.
"""

import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from ....runtime.audio import Samples
from ...data.corpus import Clip, Split
from ...sound import augment
from ..captioned import BEFORE, captions_of, in_room, onset, sounding_power
from ..context import Context, Stage
from ..metrics.words import related
from ..sounds.backgrounds import household
from .naming import Uttered, intervals, naming

RT60_S = (0.3, 0.7)
"""Rooms to live in: in this range, evenly."""
DRR_DB = (-6.0, 3.0)
"""The direct sound over the room's: from across the room to a step away."""
FAR_DB = -15.0
LOUDEST = 0.95


class Place(NamedTuple):
    """How a clip is heard; snr_db: the sound over the noise, power while each sounds, None: no noise."""

    is_in_room: bool = False
    gain_db: float = 0.0
    snr_db: float | None = None


AS_RECORDED = Place()
PLACES = {
    "quiet, as recorded": AS_RECORDED,
    "in a room": Place(is_in_room=True),
    "in that room, 15 dB quieter": Place(is_in_room=True, gain_db=FAR_DB),
    **{f"over noise, {snr:+g} dB": Place(snr_db=snr) for snr in (20.0, 15.0, 10.0, 5.0, 0.0)},
    "in that room, over noise, +0 dB": Place(is_in_room=True, snr_db=0.0),
}


class Hearing(NamedTuple):
    """A clip to be heard in a place."""

    clip: Clip
    place: Place
    split: Split
    seed: int


def examine(context: Context) -> dict[str, Any]:
    """Of each place `naming` of all clips and of those of sounds taught; over noise the recall alone."""
    taught = frozenset(context.model.labels.names)
    figures: dict[str, Any] = {}
    for name, place in PLACES.items():
        items = [Hearing(clip, place, context.split, context.seed) for clip in context.clips]
        said = context.each(utter, items, name)
        figures[name] = {
            "clips": figures_of(said, place),
            "clips of sounds that it was taught": figures_of(
                [u for u in said if u.clip.label in taught], place
            ),
        }
    return figures


def figures_of(said: list[Uttered], place: Place) -> dict[str, float]:
    """`naming` of what was said there; what is first said over noise may be the noise's own name, so there
    only recall counts."""
    row = {**naming(said), **intervals(said)}
    if place.snr_db is None:
        return row
    return {key: value for key, value in row.items() if key == "clips" or key.startswith("recall")}


def utter(stage: Stage, hearing: Hearing) -> Uttered:
    """What is said of a clip in its place."""
    said = captions_of(stage.model, [compose(stage, hearing)], stage.names)
    return Uttered(hearing.clip, BEFORE + onset(stage.corpus.audio(hearing.clip)), said)


def compose(stage: Stage, hearing: Hearing) -> Samples:
    """(n,) the clip in its place: a second before it, two after, as `captioned.in_room` has it.

    The noise is of another label than the clip, and of none that could be said of it.
    """
    clip, place = hearing.clip, hearing.place
    sound = stage.corpus.audio(clip)
    if place.is_in_room:
        rng = _draw(hearing, 0)
        response = augment.room_response(rng, rng.uniform(*RT60_S), rng.uniform(*DRR_DB))
        sound = augment.reverberate(sound, response)
    sound = sound * np.float32(10 ** (place.gain_db / 20))
    samples = in_room(clip, sound)
    if place.snr_db is not None:
        own = frozenset[str]().union(*(related(label) for label in clip.labels))
        noise = household(stage, hearing.split, _draw(hearing, 1), len(samples), without=own)
        samples += noise * np.float32(np.sqrt(sounding_power(sound)) * 10 ** (-place.snr_db / 20))
    if place != AS_RECORDED:
        samples *= np.float32(min(1.0, LOUDEST / float(np.abs(samples).max())))
    return samples


def _draw(hearing: Hearing, what: int) -> Generator:
    """Numbers that the clip's id, the seed and what is drawn decide, and nothing else."""
    return np.random.default_rng([hearing.seed, zlib.crc32(hearing.clip.id.encode()), what])
