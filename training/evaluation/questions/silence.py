"""Is nothing said of what deserves silence? An hour each of quiet, of noise, and of a dull background."""

import zlib
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ...sound.taxonomy import QUIET
from ..captioned import Said, captions_of
from ..context import Context, Stage
from ..metrics.words import related
from ..sounds import streams

NOISES = ("white noise, -50 dBFS", "white noise, -30 dBFS", "pink noise, -40 dBFS", "mains hum, -45 dBFS")
BACKGROUNDS = {"room tone": QUIET, "fan": "fan", "babble": "crowd_chatter", "traffic": "traffic"}
"""Held-out clips of a label, looped: what is said of these may be true."""


class Quiet(NamedTuple):
    """A sound to sit through."""

    name: str
    split: str
    duration_s: float
    seed: int


def examine(context: Context) -> dict[str, Any]:
    """Captions an hour of each sound, what they said, and how many were not true of it."""
    present = {clip.label for clip in context.corpus.clips if clip.split == context.split}
    names = ["digital silence", *NOISES, *(name for name, label in BACKGROUNDS.items() if label in present)]
    items = [Quiet(name, context.split, 3600 * context.hours, context.seed) for name in names]
    heard = context.each(sit_through, items, "listening to silence and noise")
    return {item.name: _figures(item, said, context.hours) for item, said in zip(items, heard, strict=True)}


def sit_through(stage: Stage, quiet: Quiet) -> list[Said]:
    """What is said of so much of it; a second of it is in memory at a time."""
    return captions_of(stage.model, streams.lasting(stream(stage, quiet), quiet.duration_s), stage.names)


def stream(stage: Stage, quiet: Quiet) -> streams.Stream:
    """The sound of this name, without end."""
    rng = np.random.default_rng([quiet.seed, zlib.crc32(quiet.name.encode())])
    if quiet.name == "digital silence":
        return streams.silence()
    if quiet.name in BACKGROUNDS:
        label = BACKGROUNDS[quiet.name]
        clips = [c for c in stage.corpus.clips if c.label == label and c.split == quiet.split]
        return streams.looped([stage.corpus.audio(clip) for clip in clips], rng)
    kind, level = quiet.name.rsplit(", ", 1)
    make = {"white noise": streams.white, "pink noise": streams.pink, "mains hum": streams.hum}[kind]
    return make(rng, float(level.removesuffix(" dBFS")))


def _figures(quiet: Quiet, said: list[Said], hours: float) -> dict[str, Any]:
    """New captions and their texts; one is untrue where it names a sound that isn't the background."""
    new = [one for one in said if one.kind == "new"]
    true = related(BACKGROUNDS.get(quiet.name, QUIET))
    return {
        "hours": hours,
        "captions": len(new),
        "captions_an_hour": len(new) / hours if hours else float("nan"),
        "untrue": sum(not one.named & true for one in new),
        "said": dict(Counter(one.text for one in said).most_common()),
    }
