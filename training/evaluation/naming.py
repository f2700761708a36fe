"""Do the captions name the sound? Of held-out clips, each heard in a quiet room.

A second of the room comes before each clip, two after it. Scores are of words: the sounds that a
caption names against the sounds that the clip is labelled with.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...runtime.audio import RATE
from ...runtime.config import Captions
from ...runtime.session import Model
from .. import augment
from ..captions import sayable
from ..data import Clip, Corpus, Label
from ..scenes import RELATED
from .hearing import Progress, caption_events

BEFORE, AFTER = RATE, 2 * RATE
ROOM_DB = -70.0
"""Noise floor of the quiet room in which a clip is heard, dBFS."""


class Uttered(NamedTuple):
    """What was said of one clip: for each caption, in order of saying, its text and what it names."""

    clip: Clip
    texts: list[str]
    named: list[frozenset[str]]
    confidences: list[float]
    delay: float | None
    """Seconds of sound from the clip's beginning to its first caption."""


class Names:
    """Finds in a sentence the sounds that it names: the longest clauses first, each word once."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._clauses = sorted(sayable(labels).items(), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> frozenset[str]:
        """Labels that a caption names; a clause that several labels share names them all."""
        rest = text.lower()
        found: set[str] = set()
        for clause, labels in self._clauses:
            if clause in rest:
                rest = rest.replace(clause, " ")
                found.update(labels)
        return frozenset(found)


def utter(
    model: Model, corpus: Corpus, clips: Sequence[Clip], names: Names, options: Captions | None = None,
    progress: Progress = lambda done, what: None,
) -> list[Uttered]:  # fmt: skip
    """Caption each clip as heard in a quiet room."""
    rng = np.random.default_rng(0)
    said: list[Uttered] = []
    for done, clip in enumerate(clips, 1):
        sound = corpus.audio(clip)
        samples = augment.noise(rng, BEFORE + len(sound) + AFTER) * np.float32(10 ** (ROOM_DB / 20))
        samples[BEFORE : BEFORE + len(sound)] += sound
        events = [(at, e) for at, e in caption_events(model, samples, options) if e.kind != "end"]
        texts = [event.text for _, event in events]
        delay = (events[0][0] - BEFORE) / RATE if events else None
        confidences = [event.confidence for _, event in events]
        said.append(Uttered(clip, texts, [names(text) for text in texts], confidences, delay))
        progress(done / len(clips), "captioning held-out clips")
    return said


def related(label: str) -> frozenset[str]:
    """The label and those that it does not deny: "someone is speaking" is true of a man who speaks."""
    return frozenset({label}.union(*(group for group in RELATED if label in group)))


def naming(said: Sequence[Uttered]) -> dict[str, float]:
    """How often captions name the clip's sound.

    spoken: clips with a caption. recall: clips whose sound some caption names. first_right: of the clips
    with a caption, those whose first names it. kin: as first_right, a related sound counting too.
    """
    spoken = [u for u in said if u.texts]
    right = [u for u in spoken if u.named[0] & set(u.clip.labels)]
    kin = [u for u in spoken if any(u.named[0] & related(label) for label in u.clip.labels)]
    recalled = [u for u in said if any(named & set(u.clip.labels) for named in u.named)]
    delays = [u.delay for u in spoken if u.delay is not None]
    return {
        "clips": float(len(said)),
        "spoken": len(spoken) / max(len(said), 1),
        "recall": len(recalled) / max(len(said), 1),
        "first_right": len(right) / max(len(spoken), 1),
        "kin": len(kin) / max(len(spoken), 1),
        "captions_a_clip": sum(len(u.texts) for u in said) / max(len(said), 1),
        "delay_median_s": float(np.median(delays)) if delays else float("nan"),
    }


def by_label(said: Sequence[Uttered]) -> dict[str, dict[str, float]]:
    """`naming` of each label's clips."""
    groups: dict[str, list[Uttered]] = {}
    for uttered in said:
        groups.setdefault(uttered.clip.label, []).append(uttered)
    return {label: naming(group) for label, group in sorted(groups.items())}


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
