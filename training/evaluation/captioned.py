"""A bundle's captions of a sound, through the same session as the daemon's."""

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...runtime.audio import HOP, RATE, SILENT_DB, Samples
from ...runtime.events import Caption, captions
from ...runtime.model.bundle import Bundle
from ...runtime.options import Captions
from ...runtime.session import Model, Session
from ..data.corpus import Clip
from ..sound import augment
from .metrics.words import Names

BEFORE, AFTER = RATE, 2 * RATE
"""The room alone, before a clip and after it."""
ROOM_DB = -70.0
"""Noise floor of the quiet room in which a clip is heard, dBFS."""
BLOCK = RATE // 10
"""Samples of a block, as a microphone delivers them: 100 ms."""
LOUD = 0.95
"""A sound's loud level is that of this quantile of its 10 ms frames."""
ONSET_DB = -20.0
"""A sound begins with the first frame that is this near to its loud level."""


class Said(NamedTuple):
    """A caption as it appeared, or was revised, at this sample of the sound."""

    at: int
    kind: str
    id: str
    text: str
    confidence: float
    named: frozenset[str]


def open_model(path: str) -> Model:
    """The model of a bundle, by path or name."""
    return Model.load(Bundle.open(path))


def follow(
    model: Model, blocks: Iterable[Samples], options: Captions | None = None
) -> Iterator[tuple[int, Caption]]:
    """(position, event) of a sound of any length, pushed as a microphone would; nothing of it is kept."""
    session = Session(model, options)
    for block in blocks:
        for start in range(0, len(block), BLOCK):
            for event in captions(session.push(block[start : start + BLOCK])):
                yield session.position, event
    for event in captions(session.finish()):
        yield session.position, event


def caption_events(
    model: Model, samples: Samples, options: Captions | None = None
) -> list[tuple[int, Caption]]:
    """(position, event) of a recording, pushed as a microphone would: 100 ms at a time."""
    return list(follow(model, [samples], options))


def captions_of(
    model: Model, blocks: Iterable[Samples], names: Names, options: Captions | None = None
) -> list[Said]:
    """What is said of a sound: captions that appear and their revisions, not their ends."""
    return [
        Said(at, event.kind, event.id, event.text, event.confidence, names(event.text))
        for at, event in follow(model, blocks, options)
        if event.kind != "end"
    ]


def in_room(clip: Clip, sound: Samples) -> Samples:
    """A clip as heard in a quiet room, the same each time: a second before it, two after."""
    rng = np.random.default_rng(zlib.crc32(clip.id.encode()))
    samples = augment.noise(rng, BEFORE + len(sound) + AFTER) * np.float32(10 ** (ROOM_DB / 20))
    samples[BEFORE : BEFORE + len(sound)] += sound
    return samples


def frame_levels(samples: Samples) -> NDArray[np.float64]:
    """(n // 320,) dBFS of each 10 ms, not below -100."""
    whole = samples[: len(samples) // HOP * HOP].reshape(-1, HOP)
    return np.asarray(10 * np.log10(np.mean(np.square(whole, dtype=np.float64), axis=1) + 1e-10))


def loud_level(samples: Samples) -> float:
    """dBFS of a sound's louder moments: the 95th percentile of its 10 ms frames."""
    levels = frame_levels(samples)
    return float(np.quantile(levels, LOUD)) if len(levels) else SILENT_DB


def onset(samples: Samples) -> int:
    """The sample at which a sound begins: its first 10 ms within 20 dB of its loud level."""
    levels = frame_levels(samples)
    if not len(levels):
        return 0
    return HOP * int(np.argmax(levels >= float(np.quantile(levels, LOUD)) + ONSET_DB))


def sounding_power(samples: Samples, within_db: float = ONSET_DB) -> float:
    """Mean power of a sound's frames that are this near to its loud level: pauses don't make it quieter."""
    levels = frame_levels(samples)
    active = levels >= float(np.quantile(levels, LOUD)) + within_db
    return float(np.mean(10 ** (levels[active] / 10)))
