"""Is nothing said of what deserves silence? Of quiet, noise, hum, and dull backgrounds, an hour each."""

import zlib
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...data.corpus import Clip, Split
from ...sound.taxonomy import QUIET
from ..captioned import Said, captions_of
from ..context import Context, Stage
from ..metrics.words import related
from ..sounds import streams
from ..sounds.backgrounds import room_tone

NOISES = ("white noise, -50 dBFS", "white noise, -30 dBFS", "pink noise, -40 dBFS", "mains hum, -45 dBFS")
HUMS = {
    f"{name} in a room, {level:g} dBFS": (hz, partials, level)
    for name, hz, partials in (("50 Hz hum", 50, 4), ("60 Hz hum", 60, 4), ("120 Hz buzz", 120, 20))
    for level in (-60.0, -50.0, -40.0, -30.0, -20.0)
}
"""What mains do to a fridge, a transformer, a lamp: Hz, how many multiples of it, dBFS; over room tone."""
TONE_DB = -62.0
BACKGROUNDS = {"room tone": QUIET, "babble": "crowd_chatter", "traffic": "traffic"}
"""Held-out clips of a label, looped: what is said of these may be true."""
FAN, FANS = "fan", 5
"""So many recordings of fans, each looped by itself."""


class Quiet(NamedTuple):
    """A sound to sit through."""

    name: str
    split: Split
    duration_s: float
    seed: int
    clip: Clip | None = None
    """The recording that goes on, where it is one alone."""


def examine(context: Context) -> dict[str, Any]:
    """Captions an hour of each sound, what they said, and how many were not true of it."""
    clips = context.corpus.split(context.split)
    present = {clip.label for clip in clips}
    names = ["digital silence", *NOISES, *(HUMS if QUIET in present else [])]
    names += [name for name, label in BACKGROUNDS.items() if label in present]
    ask = partial(Quiet, split=context.split, duration_s=3600 * context.hours, seed=context.seed)
    items = [ask(name) for name in names]
    items += [
        ask(f"{FAN}, {clip.id}", clip=clip) for clip in apart([c for c in clips if c.label == FAN], FANS)
    ]
    heard = context.each(sit_through, items, "listening to silence and noise")
    return {item.name: _figures(item, said, context.hours) for item, said in zip(items, heard, strict=True)}


def apart(clips: Sequence[Clip], count: int) -> list[Clip]:
    """So many clips, of as many recordings as there are: a second of one comes after the first of all."""
    numbers: Counter[str] = Counter()
    numbered: list[tuple[int, Clip]] = []
    for clip in clips:
        numbered.append((numbers[clip.recording], clip))
        numbers[clip.recording] += 1
    return [clip for _, clip in sorted(numbered, key=lambda one: one[0])[:count]]


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
        clips = [clip for clip in stage.corpus.split(quiet.split) if clip.label == label]
        return streams.looped([stage.corpus.audio(clip) for clip in clips], rng)
    if quiet.clip:
        return streams.looped([stage.corpus.audio(quiet.clip)], rng)
    if quiet.name in HUMS:
        hz, partials, level_db = HUMS[quiet.name]
        return streams.hum(room_tone(stage, quiet.split, rng, TONE_DB), level_db, hz, partials)
    kind, words = quiet.name.rsplit(", ", 1)
    level_db = float(words.removesuffix(" dBFS"))
    if kind == "mains hum":
        return streams.hum(streams.pink(rng, level_db), level_db)
    return {"white noise": streams.white, "pink noise": streams.pink}[kind](rng, level_db)


def _figures(quiet: Quiet, said: list[Said], hours: float) -> dict[str, Any]:
    """New captions and their texts; one is untrue where it names a sound that isn't the background."""
    new = [one for one in said if one.kind == "new"]
    true = related(quiet.clip.label if quiet.clip else BACKGROUNDS.get(quiet.name, QUIET))
    return {
        "hours": hours,
        "captions": len(new),
        "captions_an_hour": len(new) / hours if hours else float("nan"),
        "untrue": sum(not one.named & true for one in new),
        "said": dict(Counter(one.text for one in said).most_common()),
    }
