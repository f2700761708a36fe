"""mn04 on the same clips, judged by the same words: a public tagger as one would use it for captions.

It hears the last five seconds, once a second, and says its best class where that reaches a threshold.
An AudioSet class names the labels that give it as their nearest (`audioset_class` in labels.csv), and
those that share a clause with them. The threshold is the one that is best for it on the validation
clips: the greatest harmonic mean of recall and of being right when first speaking.
"""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ....runtime.audio import RATE, Samples
from ....runtime.errors import DataError
from ...data.corpus import Clip, Corpus
from ...sound.templates import sayable
from ..captioned import BEFORE, Said, in_room, onset
from ..context import Context, Stage
from ..questions.naming import Uttered, naming, summary

if TYPE_CHECKING:
    from torch import Tensor

    from ...room.teacher import Teacher

WINDOW, STRIDE = 5 * RATE, RATE


Named = dict[int, frozenset[str]]
"""AudioSet class -> the labels that its word names."""


class Tagged(NamedTuple):
    """The best class of each window of a clip, and its score: of all 527, and of those known to us."""

    clip: Clip
    onset: int
    best: list[tuple[int, float]]
    known: list[tuple[int, float]]


@cache
def open_peer(folder: Path) -> "Teacher":
    """mn04, on one thread as we are."""
    import torch

    from ...room.teacher import Teacher

    torch.set_num_threads(1)
    return Teacher(folder)


def class_names(corpus_folder: Path, weights: Path) -> Named:
    """AudioSet class -> the labels that it names. Raises DataError where labels.csv tells no classes."""
    with (weights / "labels.csv").open(newline="", encoding="utf-8") as file:
        index = {row["display_name"]: int(row["index"]) for row in csv.DictReader(file)}
    named: dict[int, set[str]] = {}
    with (corpus_folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row.get("audioset_class") in index:
                named.setdefault(index[row["audioset_class"]], set()).add(row["label"])
    if not named:
        raise DataError(
            f"{corpus_folder / 'labels.csv'} names no AudioSet class",
            why="a tagger's classes can't be held against its labels",
            fix="add a column audioset_class, or leave --peer out",
        )
    return {i: frozenset(labels) for i, labels in named.items()}


def examine(context: Context, weights: Path) -> dict[str, Any]:
    """mn04's naming, as three rules say it, each with its own threshold.

    best window: its best class of the whole clip. known classes: the best of those that our labels have.
    as it goes: the same, said whenever the best of a window is another; the one to hold captions against.
    """
    names = share_clauses(class_names(context.folder, weights), context.corpus)
    val = tag(context, weights, dataclasses.replace(context, split="val", most=None).clips, names)
    heard = {one.clip.id: one for one in val}
    new = tag(context, weights, [clip for clip in context.clips if clip.id not in heard], names)
    heard |= {one.clip.id: one for one in new}
    held_out = [heard[clip.id] for clip in context.clips]
    taught = frozenset(context.model.labels.names)
    figures: dict[str, Any] = {}
    for rule, say in RULES.items():
        threshold = best_threshold(val, names, say)
        said = [say(one, threshold, names) for one in held_out]
        figures[rule] = {"threshold": threshold, **summary(said, taught)}
    return figures


def share_clauses(names: Named, corpus: Corpus) -> Named:
    """What a class names, in words: labels that are said by one clause can't be told apart."""
    alike = [frozenset(labels) for labels in sayable(corpus.labels).values()]
    return {i: labels.union(*(group for group in alike if group & labels)) for i, labels in names.items()}


def tag(context: Context, weights: Path, clips: Sequence[Clip], names: Named) -> list[Tagged]:
    """mn04's best class of each window of each clip."""
    items = [(clip, weights, tuple(sorted(names))) for clip in clips]
    return context.each(_tag, items, "mn04 on the same clips")


def _tag(stage: Stage, item: tuple[Clip, Path, tuple[int, ...]]) -> Tagged:
    clip, weights, known = item
    sound = stage.corpus.audio(clip)
    scores = open_peer(weights).scores(windows(in_room(clip, sound)))
    best = [(int(row.argmax()), float(row.max())) for row in scores]
    among = np.array(known)
    ours = [(int(among[row[among].argmax()]), float(row[among].max())) for row in scores]
    return Tagged(clip, BEFORE + onset(sound), best, ours)


def windows(samples: Samples) -> "Tensor":
    """(windows, 160,000): the last five seconds, each second from the fifth on."""
    import torch

    if len(samples) < WINDOW:
        samples = np.concatenate([np.zeros(WINDOW - len(samples), np.float32), samples])
    ends = range(WINDOW, len(samples) + 1, STRIDE)
    return torch.from_numpy(np.stack([samples[end - WINDOW : end] for end in ends]))


def best_window(tagged: Tagged, threshold: float, names: Named) -> Uttered:
    """One word for the clip: the best of all classes, which may be none that we know."""
    return _utter(tagged, [max(_numbered(tagged.best), key=_score)], threshold, names)


def best_known(tagged: Tagged, threshold: float, names: Named) -> Uttered:
    """One word for the clip: the best of the classes that our labels have."""
    return _utter(tagged, [max(_numbered(tagged.known), key=_score)], threshold, names)


def as_it_goes(tagged: Tagged, threshold: float, names: Named) -> Uttered:
    """A word whenever the best class that we know is another than the one said last."""
    return _utter(tagged, _numbered(tagged.known), threshold, names)


Rule = Callable[[Tagged, float, Named], Uttered]
RULES: dict[str, Rule] = {
    "best window": best_window,
    "known classes": best_known,
    "as it goes": as_it_goes,
}


def best_threshold(tagged: Sequence[Tagged], names: Named, say: Rule) -> float:
    """The threshold that serves a rule best on these clips, in steps of 0.02."""
    return max((i / 50 for i in range(1, 48)), key=lambda at: _worth([say(one, at, names) for one in tagged]))


def _worth(said: Sequence[Uttered]) -> float:
    """The harmonic mean of recall and of being right at first."""
    row = naming(said)
    if not row["spoken"] or not row["recall"] + row["first_right"]:
        return 0.0
    return 2 * row["recall"] * row["first_right"] / (row["recall"] + row["first_right"])


def _numbered(best: list[tuple[int, float]]) -> list[tuple[int, int, float]]:
    """(window, class, score)."""
    return [(window, *one) for window, one in enumerate(best)]


def _score(one: tuple[int, int, float]) -> float:
    return one[2]


def _utter(tagged: Tagged, words: list[tuple[int, int, float]], threshold: float, names: Named) -> Uttered:
    said: list[Said] = []
    last: int | None = None
    for window, sound, score in words:
        if score >= threshold and sound != last:
            last = sound
            named = names.get(sound, frozenset())
            said.append(Said(WINDOW + window * STRIDE, "new", str(sound), "", score, named))
    return Uttered(tagged.clip, tagged.onset, said)
