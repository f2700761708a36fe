"""mn04 on the same clips, judged by the same words: a public tagger as one would use it for captions.

It hears the last five seconds, once a second, and says its best class where that reaches a threshold.
An AudioSet class names the labels that give it as their nearest (`audioset_class` in labels.csv), and
those that share a clause with them; a label without a class gets one (`with_nearest`). The threshold is the
one that is best for it on the validation clips: the greatest harmonic mean of recall and of being right when
first speaking.
"""

import csv
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....runtime.audio import RATE, Samples
from ....runtime.errors import DataError
from ...data.corpus import Clip, Corpus, Label, Split, belongs
from ...sound.templates import sayable
from ..captioned import BEFORE, Said, onset
from ..context import Context, Stage
from ..questions.naming import Uttered, naming, summary
from ..questions.rooms import AS_RECORDED, Hearing, compose

if TYPE_CHECKING:
    from torch import Tensor

    from ...room.teacher import Teacher

WINDOW, STRIDE = 5 * RATE, RATE
OTHER_HALF: dict[Split, Split] = {"choose": "check", "check": "choose"}
"""Half of validation that is scored -> the half that a peer is tuned on."""


Named = dict[int, frozenset[str]]
"""AudioSet class -> the labels that its word names."""


class Tagged(NamedTuple):
    """A clip's windows as the tagger hears them: (windows, 527) scores, 0 to 1."""

    clip: Clip
    onset: int
    scores: NDArray[np.float32]


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
    """mn04's naming, as four rules say it, each with thresholds of its own.

    best window: its best class of the whole clip. known classes: the best of those that our labels have.
    as it goes: the same, said whenever the best of a window is another; the one to hold captions against.
    a threshold a class: the same, each class held against a threshold of its own. Where a half of validation
    is scored they are tuned on the other half, else on all of it.
    """
    val = tag(context, weights, as_recorded(dataclasses.replace(context, split="val", most=None)))
    names = class_names(context.folder, weights)
    names = share_clauses(with_nearest(names, val, context.corpus.labels), context.corpus)
    heard = {one.clip.id: one for one in val}
    new = [hearing for hearing in as_recorded(context) if hearing.clip.id not in heard]
    heard |= {one.clip.id: one for one in tag(context, weights, new)}
    held_out = [heard[clip.id] for clip in context.clips]
    half = OTHER_HALF.get(context.split, "val")
    tuned_on = [one for one in val if belongs(one.clip, half)]
    taught = frozenset(context.model.labels.names)
    figures: dict[str, Any] = {}
    for rule, say in RULES.items():
        threshold = best_threshold(tuned_on, names, say)
        said = [say(one, threshold, names) for one in held_out]
        figures[rule] = {"threshold": threshold, **summary(said, taught)}
    thresholds = class_thresholds(tuned_on, names)
    said = [as_it_goes(one, thresholds, names) for one in held_out]
    figures["a threshold a class"] = {"threshold": float("nan"), **summary(said, taught)}
    return figures


def as_recorded(context: Context) -> list[Hearing]:
    """The held-out clips, each in a quiet room."""
    return [Hearing(clip, AS_RECORDED, context.split, context.seed) for clip in context.clips]


def with_nearest(names: Named, tagged: Sequence[Tagged], labels: Sequence[Label]) -> Named:
    """And of each label that no class of AudioSet's 527 names, the class that rises most where it sounds.

    Seven labels have "(no exact AudioSet class)" instead of one, others a class that the tagger was not
    taught. On validation clips: the peer is given the best of itself.
    """
    known = frozenset().union(*names.values())
    peaks = np.stack([one.scores.max(0) for one in tagged])  # (clips, classes)
    found = dict(names)
    for name in (label.name for label in labels if label.name not in known):
        sounds = np.array([name in one.clip.labels for one in tagged])
        if sounds.any() and not sounds.all():
            nearest = int(np.argmax(peaks[sounds].mean(0) - peaks[~sounds].mean(0)))
            found[nearest] = found.get(nearest, frozenset()) | {name}
    return found


def share_clauses(names: Named, corpus: Corpus) -> Named:
    """What a class names, in words: labels that are said by one clause can't be told apart."""
    alike = [frozenset(labels) for labels in sayable(corpus.labels).values()]
    return {i: labels.union(*(group for group in alike if group & labels)) for i, labels in names.items()}


def tag(context: Context, weights: Path, hearings: Sequence[Hearing]) -> list[Tagged]:
    """mn04's scores of each window of each clip, wherever it is heard."""
    items = [(hearing, weights) for hearing in hearings]
    return context.each(_tag, items, "mn04 on the same clips")


def _tag(stage: Stage, item: tuple[Hearing, Path]) -> Tagged:
    hearing, weights = item
    begin = BEFORE + onset(stage.corpus.audio(hearing.clip))
    scores = open_peer(weights).scores(windows(compose(stage, hearing)))
    return Tagged(hearing.clip, begin, scores)


def windows(samples: Samples) -> "Tensor":
    """(windows, 160,000): the last five seconds, each second from the fifth on."""
    import torch

    if len(samples) < WINDOW:
        samples = np.concatenate([np.zeros(WINDOW - len(samples), np.float32), samples])
    ends = range(WINDOW, len(samples) + 1, STRIDE)
    return torch.from_numpy(np.stack([samples[end - WINDOW : end] for end in ends]))


Threshold = float | NDArray[np.float64]
"""One, or (classes,) one each."""
Over = NDArray[np.floating]
"""(windows, classes) scores, in thresholds."""
Rule = Callable[[Tagged, Threshold, Named], Uttered]


def best_window(tagged: Tagged, threshold: Threshold, names: Named) -> Uttered:
    """One word for the clip: the best of all classes, which may be none that we know."""
    over = tagged.scores / threshold
    return _utter(tagged, over, names, [int(over.max(1).argmax())])


def best_known(tagged: Tagged, threshold: Threshold, names: Named) -> Uttered:
    """One word for the clip: the best of the classes that our labels have."""
    over = _known(tagged.scores / threshold, names)
    return _utter(tagged, over, names, [int(over.max(1).argmax())])


def as_it_goes(tagged: Tagged, threshold: Threshold, names: Named) -> Uttered:
    """A word whenever the best class that we know is another than the one said last."""
    over = _known(tagged.scores / threshold, names)
    return _utter(tagged, over, names, range(len(over)))


RULES: dict[str, Rule] = {
    "best window": best_window,
    "known classes": best_known,
    "as it goes": as_it_goes,
}
GRID = np.arange(1, 48) / 50
"""Thresholds that are tried."""
SCALES = (1.0, 0.7, 1.4, 0.5, 2.0, 0.35, 2.8)
"""Factors on all classes' own thresholds that are tried; of equals the first."""


def best_threshold(tagged: Sequence[Tagged], names: Named, say: Rule) -> float:
    """The threshold that serves a rule best on these clips, in steps of 0.02."""
    options: list[float] = GRID.tolist()
    return max(options, key=lambda at: worth([say(one, at, names) for one in tagged]))


def class_thresholds(tagged: Sequence[Tagged], names: Named) -> NDArray[np.float64]:
    """(classes,) each the one with the greatest F1 of its own labels on these clips, times a common factor.

    Two clips of doubt are added to each, so that a class which hardly occurs is not named at any breath.
    """
    peaks = np.stack([one.scores.max(0) for one in tagged])
    thresholds = np.ones(peaks.shape[1])
    for column, labels in names.items():
        true = np.array([bool(labels & {*one.clip.labels}) for one in tagged])
        said = peaks[:, column, None] >= GRID
        value = 2 * (said & true[:, None]).sum(0) / (said.sum(0) + true.sum() + 2)
        thresholds[column] = GRID[len(GRID) - 1 - int(np.argmax(value[::-1]))]
    options = [np.clip(thresholds * scale, 0.01, 0.99) for scale in SCALES]
    return max(options, key=lambda at: worth([as_it_goes(one, at, names) for one in tagged]))


def worth(said: Sequence[Uttered]) -> float:
    """The harmonic mean of recall and of being right at first."""
    row = naming(said)
    if not row["spoken"] or not row["recall"] + row["first_right"]:
        return 0.0
    return 2 * row["recall"] * row["first_right"] / (row["recall"] + row["first_right"])


def _known(over: Over, names: Named) -> Over:
    """With nothing left of the classes that no label has."""
    known = np.zeros_like(over)
    columns = sorted(names)
    known[:, columns] = over[:, columns]
    return known


def _utter(tagged: Tagged, over: Over, names: Named, windows: Iterable[int]) -> Uttered:
    """What is said of these windows."""
    said: list[Said] = []
    last: int | None = None
    for window in windows:
        best = int(over[window].argmax())
        if over[window, best] >= 1 and best != last:
            last, score = best, float(tagged.scores[window, best])
            named = names.get(best, frozenset())
            said.append(Said(WINDOW + window * STRIDE, "new", str(best), "", score, named))
    return Uttered(tagged.clip, tagged.onset, said)
