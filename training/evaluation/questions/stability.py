"""How soon is a sound captioned, and does its sentence stay? Clear onsets, and steady sounds for minutes."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ....runtime.audio import RATE
from ...data.corpus import Clip
from ..captioned import Said, captions_of, frame_levels, loud_level, onset
from ..context import Context, Stage
from ..sounds import streams
from .naming import Uttered, utter

STEADY = ("rain", "fan", "vacuum_cleaner", "music")
STEADY_S = 300.0
CLIPS_EACH = 2
CLEAR_DB = -40.0
"""A clear sound's loud level, dBFS, at the least ..."""
CLEAR_RISE_DB = -10.0
"""... of which it is this near within its first 320 ms."""
RISE = RATE * 32 // 100


class Steady(NamedTuple):
    """One recording, looped for so long."""

    clip: Clip
    duration_s: float


def examine(context: Context) -> dict[str, Any]:
    """Delays and updates over the split's clips, then updates of steady sounds."""
    said = utter(context)
    items = [
        Steady(clip, STEADY_S)
        for label in STEADY
        for clip in longest([clip for clip in context.clips if clip.label == label], CLIPS_EACH)
    ]
    heard = context.each(sit_through, items, "listening to steady sounds")
    return {
        "clear single sounds": delays([u for u in said if is_clear(context, u.clip)]),
        "all clips": delays(said),
        f"steady for {STEADY_S / 60:g} min": [
            {"label": item.clip.label, "clip": item.clip.id, **steadiness(one)}
            for item, one in zip(items, heard, strict=True)
        ],
    }


def is_clear(context: Context, clip: Clip) -> bool:
    """One labelled sound, loud enough, that begins at once."""
    sound = context.corpus.audio(clip)
    loud = loud_level(sound)
    begin = onset(sound)
    rising = frame_levels(sound[begin : begin + RISE])
    return (
        len(clip.labels) == 1
        and loud >= CLEAR_DB
        and bool(len(rising))
        and float(rising.max()) >= loud + CLEAR_RISE_DB
    )


def delays(said: list[Uttered]) -> dict[str, float]:
    """Seconds of sound from the onset (by its energy) to the first caption, and to the first right one.

    updates_a_caption: revisions of the captions, on average.
    """
    first = [u.delay_s for u in said if u.delay_s is not None]
    right = [
        (next(one.at for one in u.said if one.named & set(u.clip.labels)) - u.onset) / RATE
        for u in said
        if any(one.named & set(u.clip.labels) for one in u.said)
    ]
    kinds = Counter(one.kind for u in said for one in u.said)
    return {
        "clips": float(len(said)),
        "spoken": float(len(first)),
        **{f"first_{name}_s": value for name, value in _spread(first).items()},
        **{f"first_right_{name}_s": value for name, value in _spread(right).items()},
        "updates_a_caption": kinds["update"] / max(kinds["new"], 1),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"median": float("nan"), "p90": float("nan")}
    return {"median": float(np.median(seconds)), "p90": float(np.quantile(seconds, 0.9))}


def longest(clips: list[Clip], count: int) -> list[Clip]:
    """The longest clips, each of another recording: the fewer seams, the steadier the sound."""
    recordings: dict[str, Clip] = {}
    for clip in sorted(clips, key=lambda clip: clip.start - clip.stop):
        recordings.setdefault(clip.recording, clip)
    return list(recordings.values())[:count]


def sit_through(stage: Stage, steady: Steady) -> list[Said]:
    """What is said of a clip that goes on."""
    loop = streams.looped([stage.corpus.audio(steady.clip)], np.random.default_rng(0))
    return captions_of(stage.model, streams.lasting(loop, steady.duration_s), stage.names)


def steadiness(said: list[Said]) -> dict[str, Any]:
    """Captions and revisions; one caption without any is what a sound that stays the same deserves."""
    kinds = Counter(one.kind for one in said)
    return {
        "captions": kinds["new"],
        "updates": kinds["update"],
        "said": [one.text for one in said],
    }
