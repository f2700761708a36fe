"""The fair peer: a public net's vectors, and a straight line from them to our labels, fitted to our clips.

It is used as one would use it: it hears the last five seconds, once a second, and says its best label, where
it is sure enough of it, whenever that is another than the one said last. mn04 gives 384 numbers every 320 ms,
YAMNet 1,024 every 480 ms; a window's mean, standardised, is what a multinomial logistic regression reads. It
learns from the training clips that a model may learn from, room tones among them: of those it says nothing.
How strongly it is held back, and from what score on it speaks, is chosen on half of the validation clips'
recordings, by the measure that mn04's own classes are given.

A sound of any kind can be asked about: `Peer.judge` of `vectors` of `windows` of its samples gives times,
labels and scores, and `utter` what is said of clips in a room or over noise.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ....runtime.audio import RATE, Samples
from ...data.corpus import Clip, Corpus
from ...data.licences import may_ship
from ...papers import ears
from ...papers.ears import Ear
from ...sound.taxonomy import QUIET, UNLABELLED
from ...sound.templates import sayable
from ..captioned import BEFORE, Said, in_room, onset
from ..context import Context, Stage
from ..questions.naming import Uttered, summary
from ..questions.probe import Matrix, fit_logistic
from ..questions.rooms import PLACES, Hearing, compose, figures_of
from .mn04 import GRID, OTHER_HALF, as_recorded, worth

WINDOW, STRIDE = 5 * RATE, RATE
TAUGHT_STRIDE = 2
"""Of a training clip's windows every other one is learnt from."""
DECAY = 1e-3
DECAYS = (3e-4, DECAY, 3e-3)
"""Ridges of the regression, per window, to choose from."""
EARS: dict[str, Callable[[Path], Ear]] = {"mn04": ears.mn04, "yamnet": ears.yamnet}
"""Name -> what opens it, from the folder that holds the public nets' folders."""


Alike = dict[str, frozenset[str]]
"""Label -> those that its clause may stand for."""


class Line(NamedTuple):
    """A fitted line: (width,) mean and deviation of vectors, (labels, width) weights, (labels,) biases."""

    labels: tuple[str, ...]
    mean: Matrix
    deviation: Matrix
    weights: Matrix
    bias: Matrix

    def logits(self, vectors: Matrix) -> Matrix:
        """(windows, width) -> (windows, labels)."""
        return np.asarray((vectors - self.mean) / self.deviation @ self.weights.T + self.bias, np.float32)


class Heard(NamedTuple):
    """Windows of clips: (windows, width) vectors, and (windows,) which clip each is of."""

    vectors: Matrix
    clip: NDArray[np.int64]


class Judged(NamedTuple):
    """What a peer takes the last five seconds for: its best label, and how sure it is of it, 0 to 1."""

    at: int
    """The sample of the sound at which it says so."""
    label: str
    score: float


class Asked(NamedTuple):
    """A clip, the sample at which it begins to sound, and (windows, width) vectors of where it was heard."""

    clip: Clip
    onset: int
    vectors: Matrix


class Peer(NamedTuple):
    """A line that has learnt when to speak."""

    ear: str
    line: Line
    threshold: float

    def judge(self, heard: Matrix) -> list[Judged]:
        """(windows, width) vectors of a sound's windows -> the best label of each."""
        scores = softmax(self.line.logits(heard))
        best = scores.argmax(1)
        return [
            Judged(WINDOW + window * STRIDE, self.line.labels[label], float(scores[window, label]))
            for window, label in enumerate(best.tolist())
        ]

    def say(self, asked: Asked, alike: Alike) -> Uttered:
        """What it says as it goes."""
        said: list[Said] = []
        for at, label, score in self.judge(asked.vectors):
            if score >= self.threshold and label != QUIET and (not said or said[-1].text != label):
                said.append(Said(at, "new", label, label, score, alike.get(label, frozenset({label}))))
        return Uttered(asked.clip, asked.onset, said)


def windows(samples: Samples) -> list[Samples]:
    """The last five seconds, each second from the fifth on, (160,000,) each."""
    if len(samples) < WINDOW:
        samples = np.concatenate([np.zeros(WINDOW - len(samples), np.float32), samples])
    return [samples[end - WINDOW : end] for end in range(WINDOW, len(samples) + 1, STRIDE)]


def vectors(ear: Ear, sounds: Sequence[Samples]) -> Matrix:
    """(windows, width) mean vector of each."""
    return np.stack([ear.hear(sound).mean(0) for sound in sounds]).astype(np.float32)


def hear_taught(
    ear: Ear, corpus: Corpus, clips: Sequence[Clip],
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> Heard:  # fmt: skip
    """What a line is fitted to: of each clip, in a quiet room, every other window."""
    found = []
    for done, clip in enumerate(clips, 1):
        found.append(vectors(ear, windows(in_room(clip, corpus.audio(clip)))[::TAUGHT_STRIDE]))
        progress(done / len(clips), f"{ear.name} hears the clips")
    return Heard(np.concatenate(found), np.repeat(np.arange(len(found)), [len(each) for each in found]))


def fit_line(heard: Heard, labels: Sequence[str], decay: float = DECAY) -> Line:
    """labels: of each clip, by the numbers in `heard`."""
    names = tuple(sorted({labels[clip] for clip in heard.clip.tolist()}))
    index = {name: row for row, name in enumerate(names)}
    mean, deviation = heard.vectors.mean(0), heard.vectors.std(0) + np.float32(1e-6)
    target = np.array([index[labels[clip]] for clip in heard.clip.tolist()])
    normal = (heard.vectors - mean) / deviation
    return Line(names, mean, deviation, *fit_logistic(normal, target, len(names), decay))


def out_of_fold(
    heard: Heard, labels: Sequence[str], recordings: Sequence[str], names: Sequence[str], folds: int = 5
) -> Matrix:
    """(clips, names) logits of each clip, the mean of its windows', by lines that never heard its recording.

    A name that no other fold has is as unlikely as the least likely one.
    """
    fold = {name: at % folds for at, name in enumerate(sorted(set(recordings)))}
    of_clip = np.array([fold[name] for name in recordings])
    found = np.zeros((len(labels), len(names)), np.float32)
    for each in range(folds):
        theirs = of_clip[heard.clip] == each
        line = fit_line(Heard(heard.vectors[~theirs], heard.clip[~theirs]), labels)
        logits = line.logits(heard.vectors[theirs])
        wide = np.repeat(logits.min(1, keepdims=True), len(names), 1)
        known = [(column, names.index(name)) for column, name in enumerate(line.labels) if name in names]
        wide[:, [to for _, to in known]] = logits[:, [column for column, _ in known]]
        np.add.at(found, heard.clip[theirs], wide)
    windows_of = np.bincount(heard.clip, minlength=len(labels))
    return np.asarray(found / windows_of[:, None], np.float32)


def softmax(logits: Matrix) -> Matrix:
    """(…, labels) logits -> probabilities."""
    return torch.from_numpy(logits).softmax(-1).numpy()


def examine(context: Context) -> dict[str, Any]:
    """Naming by each peer of the split's clips, under its threshold and its ridge."""
    taught = frozenset(context.model.labels.names)
    return {
        f"{peer.ear}, a line": {
            "threshold": peer.threshold,
            **summary(utter(context, peer, as_recorded(context)), taught),
        }
        for peer in peers(context)
    }


def in_rooms(context: Context) -> dict[str, dict[str, Any]]:
    """Place -> what each peer makes there of the split's clips of sounds that the bundle was taught."""
    taught = frozenset(context.model.labels.names)
    clips = [clip for clip in context.clips if clip.label in taught]
    found: dict[str, dict[str, Any]] = {}
    for name, place in PLACES.items():
        hearings = [Hearing(clip, place, context.split, context.seed) for clip in clips]
        found[name] = {
            f"{peer.ear}, a line: the same": figures_of(utter(context, peer, hearings), place)
            for peer in peers(context)
        }
    return found


@cache
def peers(context: Context) -> list[Peer]:
    """Of mn04, and of YAMNet where it is beside mn04; fitted once, some minutes of one core each."""
    assert context.peer is not None
    corpus, folder = context.corpus, context.peer.parent
    taught = [clip for clip in corpus.split("train", may_ship) if clip.label != UNLABELLED]
    half = OTHER_HALF.get(context.split, "choose")
    chosen_on = dataclasses.replace(context, split=half, most=None)
    alike, found = _alike(context), []
    for name, open_ear in EARS.items():
        if name == "mn04" or (folder / ears.YAMNET_FOLDER).is_dir():
            heard = hear_taught(open_ear(folder), corpus, taught, context.progress)
            asked = hear(context, name, as_recorded(chosen_on))
            lines = [fit_line(heard, [clip.label for clip in taught], decay) for decay in DECAYS]
            options = [Peer(name, line, float(at)) for line in lines for at in GRID]
            values = [worth([peer.say(one, alike) for one in asked]) for peer in options]
            found.append(options[int(np.argmax(values))])
    return found


def utter(context: Context, peer: Peer, hearings: Sequence[Hearing]) -> list[Uttered]:
    """What a peer says of clips, wherever they are heard."""
    alike = _alike(context)
    return [peer.say(asked, alike) for asked in hear(context, peer.ear, hearings)]


def hear(context: Context, ear: str, hearings: Sequence[Hearing]) -> list[Asked]:
    """What a net makes of clips where they are heard."""
    assert context.peer is not None
    items = [(hearing, ear, context.peer.parent) for hearing in hearings]
    return context.each(_hear, items, f"{ear} on the same clips")


def _hear(stage: Stage, item: tuple[Hearing, str, Path]) -> Asked:
    hearing, ear, folder = item
    begin = BEFORE + onset(stage.corpus.audio(hearing.clip))
    return Asked(hearing.clip, begin, vectors(_open(ear, folder), windows(compose(stage, hearing))))


@cache
def _open(ear: str, folder: Path) -> Ear:
    torch.set_num_threads(1)
    return EARS[ear](folder)


def _alike(context: Context) -> Alike:
    return {name: frozenset(group) for group in sayable(context.corpus.labels).values() for name in group}
