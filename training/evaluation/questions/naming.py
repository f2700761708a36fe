"""Do the captions name the sound? Of held-out clips, each heard in a quiet room.

A second of the room comes before each clip, two after it. Scores are of words: the sounds that a
caption names against the sounds that the clip is labelled with.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ....runtime.audio import RATE
from ....runtime.model.manifest import Calibration
from ....runtime.options import Captions
from ....runtime.saying.wording import leaves_open
from ....runtime.session import Model
from ...data.corpus import Clip
from ...data.licences import may_ship
from ...sound.taxonomy import QUIET
from ..captioned import BEFORE, Said, captions_of, in_room, onset
from ..context import Context, Stage
from ..metrics.intervals import share_interval
from ..metrics.words import related

ENOUGH = 8
"""A class with fewer clips tells nothing by itself."""
SAY_ALL = Captions(confidence=0.0, hedge=0.0)
"""Options under which every sentence is said, to learn how often it is right."""


SHARES = {
    "spoken": "spoken of", "recall": "recall", "recall_closed": "leaving nothing open",
    "first_right": "first right", "first_open": "left open", "kin": "or kin",
}  # fmt: skip
"""Of the figures of `naming` those that tables show, and how a table's head has them."""


class Uttered(NamedTuple):
    """What was said of one clip, in order of saying, and where the clip began to sound."""

    clip: Clip
    onset: int
    said: list[Said]

    @property
    def delay_s(self) -> float | None:
        """Seconds of sound from the onset to the first caption."""
        return (self.said[0].at - self.onset) / RATE if self.said else None

    @property
    def recalled(self) -> bool:
        """Whether some caption names the clip's sound."""
        return any(one.named & set(self.clip.labels) for one in self.said)

    @property
    def first_right(self) -> bool:
        """Whether the first caption does."""
        return bool(self.said and self.said[0].named & set(self.clip.labels))


@cache
def utter(context: Context) -> list[Uttered]:
    """Caption each held-out clip as heard in a quiet room; once, whichever parts ask for it."""
    return context.each(_utter, context.clips, "captioning held-out clips")


def utter_freely(context: Context, clips: Sequence[Clip]) -> list[Uttered]:
    """The same with nothing held back."""
    return context.each(_utter_freely, clips, "captioning held-out clips, nothing held back")


def utter_scores(context: Context, clips: Sequence[Clip]) -> list[Uttered]:
    """The same with nothing held back; a caption's confidence is its sound's score, not yet calibrated."""
    return context.each(_utter_scores, clips, "captioning held-out clips, nothing held back")


def _utter(stage: Stage, clip: Clip, options: Captions | None = None) -> Uttered:
    sound = stage.corpus.audio(clip)
    said = captions_of(stage.model, [in_room(clip, sound)], stage.names, options)
    return Uttered(clip, BEFORE + onset(sound), said)


def _utter_freely(stage: Stage, clip: Clip) -> Uttered:
    return _utter(stage, clip, SAY_ALL)


def _utter_scores(stage: Stage, clip: Clip) -> Uttered:
    return _utter_freely(stage._replace(model=_credulous(stage.model)), clip)


def _credulous(model: Model) -> Model:
    """The model with the identity calibration."""
    thresholds = msgspec.structs.replace(model.thresholds, calibration=Calibration())
    return dataclasses.replace(model, thresholds=thresholds)


def naming(said: Sequence[Uttered]) -> dict[str, float]:
    """How often captions name the clip's sound.

    spoken: clips with a caption. recall: clips whose sound some caption names. first_right: of the clips
    with a caption, those whose first names it. kin: as first_right, a related sound counting too. A guess
    between two sounds names both: first_open: of the clips with a caption, those whose first is one;
    recall_closed: recall by all other captions alone.
    """
    spoken = [u for u in said if u.said]
    right = [u for u in said if u.first_right]
    kin = [u for u in spoken if any(u.said[0].named & related(label) for label in u.clip.labels)]
    recalled = [u for u in said if u.recalled]
    closed = [u._replace(said=[one for one in u.said if not leaves_open(one.text)]) for u in said]
    delays = [u.delay_s for u in spoken if u.delay_s is not None]
    return {
        "clips": float(len(said)),
        "spoken": _share(len(spoken), len(said)),
        "recall": _share(len(recalled), len(said)),
        "first_right": _share(len(right), len(spoken)),
        "kin": _share(len(kin), len(spoken)),
        "first_open": _share(sum(leaves_open(u.said[0].text) for u in spoken), len(spoken)),
        "recall_closed": _share(sum(u.recalled for u in closed), len(said)),
        "captions_a_clip": _share(sum(one.kind == "new" for u in said for one in u.said), len(said)),
        "delay_median_s": float(np.median(delays)) if delays else float("nan"),
    }


def _share(part: int, whole: int) -> float:
    """Not a number where there is nothing to have a share of."""
    return part / whole if whole else float("nan")


def intervals(said: Sequence[Uttered], over_classes: bool = False) -> dict[str, float]:
    """recall_low, recall_high, first_right_low, first_right_high: 95 %, over draws of whole recordings.

    over_classes: of the means over the clips' labels, instead of over the clips.
    """
    labels = sorted({u.clip.label for u in said})
    of_class = np.array([[u.clip.label == label for label in labels] for u in said], np.float64)
    member = of_class if over_classes else np.ones((len(said), 1))
    counts = {"recall": ([u.recalled for u in said], [True for _ in said])}
    counts["first_right"] = ([u.first_right for u in said], [bool(u.said) for u in said])
    found: dict[str, float] = {}
    for key, (part, whole) in counts.items():
        low, high = share_interval(
            np.array(part)[:, None] * member,
            np.array(whole)[:, None] * member,
            [u.clip.recording for u in said],
        )
        found |= {f"{key}_low": low, f"{key}_high": high}
    return found


def by_label(said: Sequence[Uttered]) -> dict[str, dict[str, float]]:
    """`naming` of each label's clips."""
    groups: dict[str, list[Uttered]] = {}
    for uttered in said:
        groups.setdefault(uttered.clip.label, []).append(uttered)
    return {label: naming(group) for label, group in sorted(groups.items())}


def mean_over_classes(classes: dict[str, dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over classes with 8 clips or more; a class never spoken of has no first."""
    large = [row for row in classes.values() if row["clips"] >= ENOUGH]
    means = {"classes": float(len(large))}
    for key in SHARES:
        known = [row[key] for row in large if not np.isnan(row[key])]
        means[key] = float(np.mean(known)) if known else float("nan")
    return means


def chance(clips: Sequence[Clip], taught: Sequence[Clip]) -> dict[str, float]:
    """What ignorance would score on the same clips: a random known label, and always the most frequent."""
    frequency = Counter(clip.label for clip in taught)
    most = frequency.most_common(1)[0][0]
    return {
        "uniform": 1.0 / len(frequency),
        "drawn_as_taught": float(
            np.mean([frequency[clip.label] / sum(frequency.values()) for clip in clips])
        ),
        "most_frequent": float(np.mean([most in clip.labels for clip in clips])),
    }


def summary(said: Sequence[Uttered], taught: frozenset[str]) -> dict[str, Any]:
    """`naming` over clips and over classes: of all, of the sounds taught, of the others, of the classes large
    enough; most with their `intervals`. What was not taught can't be named right: what is said of it, and is
    not kin, is wrong."""
    classes = by_label(said)
    known = [u for u in said if u.clip.label in taught]
    unknown = [u for u in said if not taught.intersection(u.clip.labels)]
    large = [u for u in said if classes[u.clip.label]["clips"] >= ENOUGH]
    mean = {**mean_over_classes(classes), **intervals(large, over_classes=True)}
    return {
        "clips": {**naming(said), **intervals(said)},
        "clips of sounds that it was taught": {**naming(known), **intervals(known)},
        **({"clips of sounds that it was not taught": naming(unknown)} if unknown else {}),
        f"clips of classes with {ENOUGH} or more": {**naming(large), **intervals(large)},
        f"mean over classes with {ENOUGH} or more": mean,
        "by label": classes,
    }


def examine(context: Context) -> dict[str, Any]:
    """Naming of the split's clips, beside chance."""
    taught = frozenset(context.model.labels.names)
    said = utter(context)
    shown = [clip for clip in context.corpus.split("train", may_ship) if clip.label != QUIET]
    return {
        **summary(said, taught),
        "chance": chance(context.clips, shown),
        "examples": [{"label": u.clip.label, "said": [one.text for one in u.said]} for u in said[::20]],
    }
