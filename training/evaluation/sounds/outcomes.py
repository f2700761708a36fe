"""What is heard of held-out scenes, and of those that baselines are tuned on and take captions from."""

import csv
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....runtime.audio import RATE
from ....runtime.errors import DataError
from ...data.corpus import HALVES, Corpus, Split
from ...prepare.plan import PLANS, Plan, open_plans
from ...sound.bank import sound_labels
from ..context import Context, Stage
from ..peers.baselines import SIGNAL_CLASSES, Scenes, Templates, templates
from ..peers.mn04 import OTHER_HALF, class_names, open_peer, windows
from .scenes import Known, Shown, Spec, Wording, caption, hear, join, make

TUNING = 0.5
"""Scenes to tune baselines on for each scene scored."""


class Task(NamedTuple):
    """A scene to be heard, and by whom: our session or the decoder alone, the tagger of these weights."""

    spec: Spec
    wording: Wording | None = None
    weights: Path | None = None
    columns: tuple[int, ...] = ()
    keeps: bool = True
    """The evidence: of thousands of training scenes it would fill the memory, and nobody asks."""


class Outcome(NamedTuple):
    """What was heard of a scene. semantic: (d_text,), None without a decoder; tags: (windows, classes).

    evidence: (chunks, sounds) what the session goes by, where the scene is scored or tuned on.
    """

    known: Known
    shown: list[Shown]
    sentence: str
    semantic: NDArray[np.float32] | None
    tags: NDArray[np.float32]
    evidence: NDArray[np.float32]


def caption_scene(stage: Stage, task: Task) -> Outcome:
    """A scene through the session, the adapter and the tagger, as far as the task asks."""
    sounding = make(stage.corpus, task.spec)
    shown: list[Shown] = []
    sentence, semantic = "", None
    tags = np.zeros((1, len(task.columns)), np.float32)
    if task.wording == "said":
        shown = caption(stage, sounding.samples)
        sentence = join(shown)
    segment, evidence = hear(stage.model, sounding)
    if stage.model.decoder is not None:
        if task.wording == "free":
            best = stage.model.decoder.describe(segment, is_free=True)[0]
            sentence, semantic = " ".join(best.words), best.semantic
            shown = [Shown(sentence, stage.names(sentence), 0.0, len(sounding.samples) / RATE)]
        else:
            semantic = stage.model.decoder.adapter.run({"embeddings": segment[None]})["semantic"][0]
    if task.weights:
        tags = open_peer(task.weights).scores(windows(sounding.samples))[:, task.columns]
    return Outcome(sounding.known, shown, sentence, semantic, tags, evidence if task.keeps else evidence[:0])


def specs(context: Context, split: Split, count: int, plans: Path | None, skip: int = 0) -> list[Spec]:
    """So many scenes of a split, after the first `skip`: composed, or of the plans in plans/SPLIT. A half of
    val has those of val's plans that play nothing of the other half.

    Raises DataError where a plan takes a recording from another split.
    """
    if plans is None:
        return [Spec(split, number, context.seed) for number in range(skip, skip + count)]
    whole: Split = "val" if split in HALVES else split
    found = open_plans(plans / whole)
    _check_held_out(context.corpus, found, whole)
    if split in HALVES:
        half = {clip.id for clip in context.corpus.split(split)}
        found = [plan for plan in found if half.issuperset(_clips(plan))]
    order = np.random.default_rng([context.seed, 3]).permutation(len(found))
    return [Spec(split, int(i), context.seed, found[i]) for i in order[skip : skip + count]]


def _check_held_out(corpus: Corpus, plans: Sequence[Plan], split: Split) -> None:
    splits = {clip.id: clip.split for clip in corpus.clips}
    for plan in plans:
        for clip in _clips(plan):
            if splits.get(clip) != split:
                raise DataError(
                    f"the plan {plan.id} of the split {split} plays the clip {clip}",
                    why=f"that is of the split {splits.get(clip, 'of no corpus here')}",
                    fix=f"prepare the plans with --split {split}",
                )


def _clips(plan: Plan) -> list[str]:
    """The recordings that a plan plays."""
    return [piece.clip for sound in plan.sounds for piece in sound.pieces if piece.clip]


class SceneOutcomes(NamedTuple):
    """Outcomes of the scenes that are scored, of those that baselines are tuned on, and of training's."""

    scored: list[Outcome]
    tuning: list[Outcome]
    taught: list[Outcome]
    specs: list[Spec]
    columns: list[int]


@cache
def scene_outcomes(context: Context, plans: Path | None) -> SceneOutcomes:
    """All that an evaluation on scenes needs to hear, once, whichever parts ask for it."""
    columns = tagger(context)[1] if context.peer else []
    ask = partial(Task, weights=context.peer, columns=tuple(columns))
    scored = specs(context, context.split, context.scenes, plans)
    # Nothing is tuned on what is scored.
    others = context.scenes if context.split == "val" else 0
    tuned_on = OTHER_HALF.get(context.split, "val")
    tuning = specs(context, tuned_on, max(2, round(TUNING * context.scenes)), plans, skip=others)
    has_train = plans is None or (plans / "train" / PLANS).is_file()
    taught = specs(context, "train", context.taught, plans if has_train else None)
    return SceneOutcomes(
        context.each(
            caption_scene, [ask(spec, context.wording) for spec in scored], "captioning held-out scenes"
        ),
        context.each(caption_scene, [ask(spec) for spec in tuning], "hearing validation scenes"),
        context.each(caption_scene, [Task(spec, keeps=False) for spec in taught], "hearing training scenes"),
        scored,
        columns,
    )


@cache
def tagger(context: Context) -> tuple[Templates, list[int]]:
    """mn04's templates, and the columns of its scores that they take."""
    assert context.peer is not None
    labels = sound_labels(context.corpus, context.corpus.clips)
    named = dict(class_names(context.folder, context.peer))
    known = {label for group in named.values() for label in group}
    for column, extra in _signal_columns(context.peer).items():
        lacking = frozenset(extra) - known
        if lacking:
            named[column] = named.get(column, frozenset()) | lacking
    frequency = Counter(clip.label for clip in context.corpus.split("train"))
    return templates(labels, named, frequency)


def _signal_columns(weights: Path) -> dict[int, list[str]]:
    with (weights / "labels.csv").open(newline="", encoding="utf-8") as file:
        index = {row["display_name"]: int(row["index"]) for row in csv.DictReader(file)}
    columns: dict[int, list[str]] = {}
    for label, name in SIGNAL_CLASSES.items():
        columns.setdefault(index[name], []).append(label)
    return columns


def as_scenes(outcomes: Sequence[Outcome]) -> Scenes:
    """Outcomes as the baselines see them."""
    vectors = [outcome.semantic for outcome in outcomes if outcome.semantic is not None]
    return Scenes(
        [outcome.tags for outcome in outcomes],
        np.stack(vectors) if len(vectors) == len(outcomes) else None,
        [outcome.known.references for outcome in outcomes],
        [outcome.known.labels for outcome in outcomes],
    )
