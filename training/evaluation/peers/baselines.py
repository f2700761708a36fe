"""What a captioner has to beat: templates, of a tagger's scores or its own; training captions.

Each is given the best of itself: what can be tuned is tuned on validation scenes, once for each score.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....runtime.errors import DataError
from ...data.corpus import Label
from ...sound import templates as captions
from ..metrics import text
from .mn04 import Named

GRID = tuple(np.round(np.arange(0.02, 0.96, 0.02), 2).tolist())
"""Thresholds that are tried."""
SCALES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Factors on each class's own threshold that are tried."""
USUAL = 20
"""So many of the most frequent captions are tried."""

NEIGHBOURS = 8
"""Training scenes whose captions are asked for their consensus."""

SIGNAL_CLASSES = {
    "smoke_alarm": "Smoke detector, smoke alarm",
    "co_alarm": "Smoke detector, smoke alarm",
    "doorbell": "Doorbell",
    "phone_ring": "Telephone bell ringing",
    "alarm_clock": "Alarm clock",
    "intercom_buzzer": "Buzzer",
    "appliance_beep": "Beep, bleep",
    "kettle": "Whistle",
    "car_alarm": "Car alarm",
    "checkout_beep": "Beep, bleep",
    "reversing_beep": "Reversing beeps",
}
"""Nearest AudioSet class of the synthesised signals, for those that a corpus's labels.csv does not hold."""


class Answers(NamedTuple):
    """What a system says of scenes: a sentence for each, and all the labels that it named in each."""

    sentences: list[str]
    named: list[frozenset[str]]


class Scenes(NamedTuple):
    """Scenes as a system may see them, and what is true of them.

    tags: per scene (windows, classes) scores. semantic: (scenes, d_text). references: of each scene,
    none where nothing can be heard; events: what can.
    """

    tags: list[NDArray[np.float32]]
    semantic: NDArray[np.float32] | None
    references: list[tuple[str, ...]]
    labels: list[frozenset[str]]


Score = Callable[[Answers, Scenes], float]


def cider(answers: Answers, scenes: Scenes) -> float:
    """Mean CIDEr-D over the scenes in which something can be heard."""
    spoken = [i for i, some in enumerate(scenes.references) if some]
    return float(
        text.cider_d(
            [text.tokenise(answers.sentences[i]) for i in spoken],
            [[text.tokenise(one) for one in scenes.references[i]] for i in spoken],
        ).mean()
    )


class Templates:
    """A tagger's scores, turned into the sentences that our own captions are made of.

    A class is heard in a window where its score reaches its threshold. Of each window the two best are
    named; of a scene, the two best of all windows, "while" or "then" by the windows in which they are heard.
    """

    def __init__(self, labels: Sequence[Label], rows: Sequence[int]) -> None:
        """rows: for each column of the tags, the label that it stands for."""
        self.labels, self._rows = labels, rows

    def answer(self, tags: Sequence[NDArray[np.float32]], thresholds: NDArray[np.float64]) -> Answers:
        """thresholds: (classes,)."""
        sentences, named = [], []
        for scores in tags:
            over = scores >= thresholds
            # By how much a class is above its threshold, so that a modest one is not always outdone.
            excess = np.where(over, scores / np.maximum(thresholds, 1e-6), 0.0)
            heard = [
                captions.SegmentEvent(self._rows[c], int(where[0]), int(where[-1]), float(excess[:, c].max()))
                for c in np.flatnonzero(over.any(0)).tolist()
                for where in [np.flatnonzero(over[:, c])]
            ]
            sentences.append(captions.sentence(heard, self.labels))
            best = np.argsort(-excess, axis=1, kind="stable")[:, :2]
            named.append(
                frozenset(
                    self.labels[self._rows[c]].name
                    for window, pair in enumerate(best.tolist())
                    for c in pair
                    if over[window, c]
                )
            )
        return Answers(sentences, named)

    def tune(self, scenes: Scenes, score: Score) -> tuple[NDArray[np.float64], str]:
        """The thresholds that score best on these scenes, and in words how they were found.

        One threshold for all classes, or each its own (best for its own F1) times a common factor. Which of
        the two is better is told by scenes that it was not fitted to: each half of them in turn.
        """
        halves = [list(range(half, len(scenes.tags), 2)) for half in (0, 1)]
        worth = {}
        for name, fit in (("one", self._one), ("each", self._each)):
            worth[name] = sum(
                score(self.answer(theirs.tags, fit(some_of(scenes, ours), score)), theirs)
                for ours, theirs in (
                    (halves[0], some_of(scenes, halves[1])),
                    (halves[1], some_of(scenes, halves[0])),
                )
            )
        if worth["each"] > worth["one"]:
            return self._each(scenes, score), "one for each class"
        return self.tune_one(scenes, score)

    def tune_one(self, scenes: Scenes, score: Score) -> tuple[NDArray[np.float64], str]:
        """The one threshold for all classes that scores best on these scenes, and in words what it is."""
        thresholds = self._one(scenes, score)
        return thresholds, f"{thresholds[0]:.2f} for all classes"

    def _one(self, scenes: Scenes, score: Score) -> NDArray[np.float64]:
        options = [np.full(len(self._rows), value) for value in GRID]
        return max(options, key=lambda at: score(self.answer(scenes.tags, at), scenes))

    def _each(self, scenes: Scenes, score: Score) -> NDArray[np.float64]:
        peaks = np.array([tags.max(0) for tags in scenes.tags])  # (scenes, classes)
        thresholds = np.zeros(len(self._rows))
        for column, row in enumerate(self._rows):
            true = np.array([self.labels[row].name in labels for labels in scenes.labels])
            said = peaks[:, column, None] >= np.array(GRID)  # (scenes, thresholds)
            right = (said & true[:, None]).sum(0)
            # Two scenes of doubt, so that a class which hardly occurs is not named at any breath.
            value = 2 * right / (said.sum(0) + true.sum() + 2)
            thresholds[column] = GRID[int(len(GRID) - 1 - np.argmax(value[::-1]))]
        options = [np.clip(thresholds * scale, 0.01, 0.99) for scale in SCALES]
        return max(options, key=lambda at: score(self.answer(scenes.tags, at), scenes))


def templates(labels: Sequence[Label], named: Named, frequency: Counter[str]) -> tuple[Templates, list[int]]:
    """Templates for a tagger's classes, and the columns of its scores that they take.

    A class that is the nearest of several labels speaks of the one that training has most of.
    """
    index = {label.name: i for i, label in enumerate(labels)}
    columns, rows = [], []
    for column, candidates in sorted(named.items()):
        known = sorted(label for label in candidates if label in index)
        if known:
            columns.append(column)
            rows.append(index[max(known, key=lambda label: frequency[label])])
    if not columns:
        raise DataError("the tagger has no class that any of our labels is near to")
    return Templates(labels, rows), columns


def nearest_sentence(
    scenes: Scenes,
    sentences: Sequence[str],
    vectors: NDArray[np.float32],
    named: Callable[[str], frozenset[str]],
) -> Answers:
    """For each scene the training sentence whose vector is nearest to the scene's own.

    vectors: (sentences, d_text), each of length 1: of the sentences, or of the scenes that they are true of.
    """
    found = [sentences[i] for i in np.argmax(unit(scenes.semantic) @ vectors.T, axis=1)]
    return Answers(found, [named(one) for one in found])


def consensus(
    scenes: Scenes,
    taught: Scenes,
    named: Callable[[str], frozenset[str]],
    count: int = NEIGHBOURS,
) -> Answers:
    """Of the captions of the `count` nearest training scenes the one that the others agree with most.

    They agree by CIDEr-D, words weighed by how rare they are in training's captions (Devlin et al. 2015,
    "Exploring nearest neighbor approaches for image captioning"). taught: scenes that have a caption.
    """
    near = np.argsort(-(unit(scenes.semantic) @ unit(taught.semantic).T), axis=1, kind="stable")[:, :count]
    words = [[text.tokenise(one) for one in some[:1]] for some in taught.references]
    candidates = [words[i][0] for row in near for i in row.tolist()]
    others = [
        [words[j][0] for j in row.tolist() if j != i] or [words[i][0]] for row in near for i in row.tolist()
    ]
    agreed = text.cider_d(candidates, others, words).reshape(near.shape)
    best = near[np.arange(len(near)), agreed.argmax(1)]
    found = [taught.references[i][0] for i in best.tolist()]
    return Answers(found, [named(one) for one in found])


def unit(vectors: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """(n, d), each of length 1."""
    assert vectors is not None  # there is a decoder
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def most_frequent(
    val: Scenes,
    scenes: Scenes,
    sentences: Sequence[str],
    named: Callable[[str], frozenset[str]],
    score: Score,
) -> tuple[Answers, str]:
    """Of the most frequent training captions the one that scores best on validation scenes, said of all."""

    def always(sentence: str, count: int) -> Answers:
        return Answers([sentence] * count, [named(sentence)] * count)

    usual = [sentence for sentence, _ in Counter(one for one in sentences if one).most_common(USUAL)]
    best = max(usual, key=lambda sentence: score(always(sentence, len(val.references)), val))
    return always(best, len(scenes.references)), best


def some_of(scenes: Scenes, rows: Sequence[int]) -> Scenes:
    """These scenes of them."""
    return Scenes(
        [scenes.tags[i] for i in rows],
        None if scenes.semantic is None else scenes.semantic[list(rows)],
        [scenes.references[i] for i in rows],
        [scenes.labels[i] for i in rows],
    )
