"""Held-out scenes: what sounds in them is known to the frame, so that sentences can be held against it.

Composed scenes are made of the split's clips alone, as training's are of its own; their references are our
wording of what can be heard, in every order of the clauses that says the same. Planned scenes are those of
`edgecap prepare`, from the split's human captions; their references are those sentences.
A scene is heard as in a quiet room, a second of which comes before it and two after.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ....runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ....runtime.hearing.segment import EVIDENCE
from ....runtime.session import Model
from ...data.corpus import Corpus, Label, Split
from ...prepare.plan import Plan
from ...prepare.play_plan import Renderer
from ...room.stream_features import LEAST
from ...sound import augment
from ...sound import templates as captions
from ...sound.bank import sound_labels
from ...sound.compose import MASKED_DB, Composer, Scene, Shares
from ...sound.signals import PHRASES
from ..captioned import AFTER, BEFORE, ROOM_DB, caption_events
from ..context import Stage
from ..metrics.words import related
from ..questions.naming import ENOUGH

CLEAR = 0.5
"""The share of composed scenes with one clear sound, as in training."""
Wording = Literal["said", "free"]
"""said: what the session says. free: the decoder's own best beam for the whole scene, in people's
words where it learnt them, believed or not."""


class Spec(NamedTuple):
    """A scene before it is made: the plan of it, or the numbers that its generator starts from."""

    split: Split
    number: int
    seed: int
    plan: Plan | None = None


class Shown(NamedTuple):
    """A caption of a scene: its last text, all that its versions named, and how long it stood, in seconds."""

    text: str
    named: frozenset[str]
    start_s: float
    end_s: float


class Known(NamedTuple):
    """What is true of a scene: the sentences that say it, "" none; the labels of what can be heard."""

    references: tuple[str, ...]
    labels: frozenset[str]


class Sounding(NamedTuple):
    """A scene as it is heard: samples with the room around them, and what is true of them."""

    samples: Samples
    known: Known
    first: int
    """First chunk of the samples in which something sounds, and the one after the last."""
    last: int


@cache
def _composer(corpus: Corpus, split: Split) -> Composer:
    clips = corpus.split(split)
    return Composer(corpus, clips, sound_labels(corpus, clips))


@cache
def _renderer(corpus: Corpus) -> tuple[Renderer, list[Label]]:
    labels = sound_labels(corpus, corpus.clips)
    return Renderer(corpus, labels), labels


def make(corpus: Corpus, spec: Spec) -> Sounding:
    """The scene of a spec: the same spec gives the same samples, in any process."""
    if spec.plan:
        renderer, labels = _renderer(corpus)
        scene = renderer.scene(spec.plan)
        known = Known((spec.plan.caption, *spec.plan.others), truth(scene, labels).labels)
    else:
        composer = _composer(corpus, spec.split)
        splits = get_args(Split)
        rng = np.random.default_rng([spec.seed, splits.index(spec.split), spec.number])
        scene, labels = composer.draw(rng, Shares(clear=CLEAR)), composer.labels
        known = truth(scene, labels)
    rng = np.random.default_rng([spec.seed, spec.number])
    samples = augment.noise(rng, BEFORE + len(scene.samples) + AFTER) * np.float32(10 ** (ROOM_DB / 20))
    samples[BEFORE : BEFORE + len(scene.samples)] += scene.samples
    chunks = len(scene.samples) // CHUNK_SAMPLES
    active = np.any([np.zeros(chunks, bool), *(event.active for event in scene.events)], axis=0)
    where = np.flatnonzero(active) if active.any() else np.arange(chunks)
    first = (BEFORE + int(where[0]) * CHUNK_SAMPLES) // CHUNK_SAMPLES
    last = -(-(BEFORE + (int(where[-1]) + 1) * CHUNK_SAMPLES) // CHUNK_SAMPLES)
    return Sounding(samples, known, first, last)


def truth(scene: Scene, labels: Sequence[Label]) -> Known:
    """What can be heard in a scene, and the sentences that say so: not what the rest drowns."""
    chunks = len(scene.samples) // CHUNK_SAMPLES
    total = sum((10 ** (e.level_db / 10) * e.active for e in scene.events), np.full(chunks, 1e-12))
    heard: list[captions.SegmentEvent] = []
    names: set[str] = set()
    for event in scene.events:
        power = 10 ** (event.level_db / 10) * event.active
        audible = np.flatnonzero(event.active & (power >= (total - power) * 10 ** (MASKED_DB / 10)))
        if event.labels and len(audible) and len(audible) >= min(3, LEAST * event.active.sum()):
            heard.append(
                captions.SegmentEvent(event.labels[0], int(audible[0]), int(audible[-1]), event.level_db)
            )
            names.update(labels[label].name for label in event.labels)
    return Known(variants(captions.sentence(heard, labels)), frozenset(names))


def variants(sentence: str) -> tuple[str, ...]:
    """A sentence and those that say the same of two sounds; one of its clauses alone would not."""
    if ", then " in sentence:
        one, other = sentence.split(", then ")
        return sentence, f"{one} and then {other}", f"{other} after {one}"
    if " while " in sentence:
        one, other = sentence.split(" while ")
        return sentence, f"{other} while {one}", f"{one} and {other}"
    return (sentence,) if sentence else ()


def caption(stage: Stage, samples: Samples) -> list[Shown]:
    """What the session says of a scene, each caption as it stood at last, without "Possibly"."""
    shown: dict[str, Shown] = {}
    for at, event in caption_events(stage.model, samples):
        before = shown.get(event.id)
        start_s = before.start_s if before else at / RATE
        named = before.named if before else frozenset()
        shown[event.id] = Shown(plain(event.text), named | stage.names(event.text), start_s, at / RATE)
    return list(shown.values())


def plain(text: str) -> str:
    """A caption's sentence without its hedge: how sure it is, is not what it says."""
    rest = text.removeprefix("Possibly ")
    return f"{rest[:1].upper()}{rest[1:]}"


def join(shown: Sequence[Shown]) -> str:
    """One sentence for a scene, to hold against references that tell of the whole scene.

    The caption that stood longest; where the one that stood next to longest names something else, and both
    have one clause only, the two in order of their beginning: "a dog barks, then rain is falling".
    """
    longest = sorted(shown, key=lambda one: one.start_s - one.end_s)[:2]
    if not longest:
        return ""
    one, other = longest[0], longest[-1]
    is_simple = not any(joint in two.text for two in longest for joint in (" while ", ", then "))
    if not is_simple or one.named == other.named or one.text == other.text:
        return one.text
    first, second = sorted(longest, key=lambda two: two.start_s)
    return f"{first.text.rstrip('.')}, then {second.text[:1].lower()}{second.text[1:]}"


class Heard(NamedTuple):
    """What a bundle's encoder hears of a scene.

    embeddings: (n, width), at most the last L, from where it begins to sound to where it ends. evidence:
    (chunks, sounds) of all chunks up to there how sure each sound is, as the segmenter has it at first.
    """

    embeddings: NDArray[np.float32]
    evidence: NDArray[np.float32]


def hear(model: Model, sounding: Sounding) -> Heard:
    """The encoder hears what came before the scene, as it would live."""
    last = min(sounding.last, len(sounding.samples) // CHUNK_SAMPLES)
    heard = list(model.hearing().follow(sounding.samples[: last * CHUNK_SAMPLES]))
    vectors = np.stack([each.vector for each in heard[min(sounding.first, last - 1) :]][-model.window :])
    scores = np.stack([np.zeros_like(heard[0].scores)] * (EVIDENCE - 1) + [each.scores for each in heard])
    recent = np.sort(sliding_window_view(scores, EVIDENCE, axis=0), axis=2)
    agreeing = model.thresholds.segments.agreeing
    return Heard(vectors, np.asarray(recent[..., -agreeing:].mean(2), np.float32))


class Events(NamedTuple):
    """(scenes, classes) booleans: which classes captions name, and which can be heard."""

    named: NDArray[np.bool_]
    true: NDArray[np.bool_]


class Classes:
    """The sounds that captions tell apart: labels that share a clause are one class, named by the first."""

    def __init__(self, labels: Sequence[Label]) -> None:
        """labels: the corpus's; the synthesised signals that it lacks are known too."""
        known = {label.name for label in labels}
        made = [Label(name, phrase, kind) for name, (phrase, kind) in PHRASES.items() if name not in known]
        groups = captions.sayable([*labels, *made]).values()
        self._first = {label: group[0] for group in groups for label in group}
        self.names = tuple(dict.fromkeys(self._first.values()))
        self._index = {name: i for i, name in enumerate(self.names)}
        self._near = np.eye(len(self.names), dtype=bool)
        for name in self.names:
            for other in related(name):
                if other in self._first:
                    self._near[self._index[name], self._index[self._first[other]]] = True

    def events(self, named: Sequence[frozenset[str]], true: Sequence[frozenset[str]]) -> Events:
        """Of each scene, the labels that its captions name and those that can be heard in it."""
        return Events(self._rows(named), self._rows(true))

    def _rows(self, sets: Sequence[frozenset[str]]) -> NDArray[np.bool_]:
        rows = np.zeros((len(sets), len(self.names)), bool)
        for row, labels in zip(rows, sets, strict=True):
            row[[self._index[self._first[label]] for label in labels if label in self._first]] = True
        return rows

    def scores(self, events: Events) -> dict[str, Any]:
        """Precision, recall and F1 over all events (micro), their means over classes in 8 scenes or more
        (macro), of each class, and micro where a related sound counts too (kin)."""
        named, true = events
        right, invented, missed = (part.sum(0) for part in (named & true, named & ~true, true & ~named))
        by_class = {
            name: {
                **_scores(int(right[i]), int(invented[i]), int(missed[i])),
                "scenes": int(true[:, i].sum()),
            }
            for i, name in enumerate(self.names)
            if true[:, i].any() or named[:, i].any()
        }
        large = [row for row in by_class.values() if row["scenes"] >= ENOUGH]
        near = self._near.astype(np.int64)
        precision = float((named & (true @ near > 0)).sum() / max(named.sum(), 1))
        recall = float((true & (named @ near > 0)).sum() / max(true.sum(), 1))
        return {
            "micro": _scores(int(right.sum()), int(invented.sum()), int(missed.sum())),
            "macro": {
                key: float(np.mean([row[key] for row in large])) if large else float("nan")
                for key in ("precision", "recall", "f1")
            },
            "kin": {
                "precision": precision,
                "recall": recall,
                "f1": 2 * precision * recall / max(precision + recall, 1e-9),
            },
            "by class": by_class,
        }


def micro_f1(events: Events) -> float:
    """F1 over all events of all scenes."""
    return 2 * float((events.named & events.true).sum()) / max(int(events.named.sum() + events.true.sum()), 1)


def _scores(right: int, invented: int, missed: int) -> dict[str, float]:
    return {
        "precision": right / max(right + invented, 1),
        "recall": right / max(right + missed, 1),
        "f1": 2 * right / max(2 * right + invented + missed, 1),
    }
