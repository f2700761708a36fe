"""Captions of held-out scenes against references, beside the baselines', all by the same code in one run.

Scenes in which nothing can be heard have no reference: they count for events, not for text.
"""

import base64
import csv
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ....runtime.errors import DataError, InputMissingError
from ....runtime.hearing.frontend import FrontEnd
from ...data.corpus import HALVES, Corpus, Split
from ...prepare.plan import PLANS, Plan, open_plans
from ...sentence import Embed, sentence_model
from ...sound.bank import sound_labels
from ..context import Context, Stage
from ..metrics import text
from ..metrics.text_scores import PACKAGED_MODEL, score_text
from ..peers.baselines import (
    SIGNAL_CLASSES,
    Answers,
    Scenes,
    Score,
    Templates,
    cider,
    most_frequent,
    nearest_sentence,
    templates,
)
from ..peers.mn04 import class_names, open_peer, windows
from ..sounds.scenes import Classes, Known, Shown, Spec, Wording, caption, embeddings, join, make, micro_f1

OURS = "edgecap"
TUNING, TAUGHT = 0.5, 2.0
"""Scenes to tune baselines on, and training scenes to take captions from, for each scene scored."""
RESAMPLED = 1000
"""Draws of the bootstrap behind an interval."""
SPOKEN = "CIDEr-D where edgecap speaks"
EXAMPLES = 8
PICTURE_MELS = 64


class Task(NamedTuple):
    """A scene to be heard, and by whom: our session or the decoder alone, the tagger of these weights."""

    spec: Spec
    wording: Wording | None = None
    weights: Path | None = None
    columns: tuple[int, ...] = ()


class Outcome(NamedTuple):
    """What was heard of a scene. semantic: (d_text,), None without a decoder; tags: (windows, classes)."""

    known: Known
    shown: list[Shown]
    sentence: str
    semantic: NDArray[np.float32] | None
    tags: NDArray[np.float32]


def caption_scene(stage: Stage, task: Task) -> Outcome:
    """A scene through the session, the adapter and the tagger, as far as the task asks."""
    sounding = make(stage.corpus, task.spec)
    shown: list[Shown] = []
    sentence, semantic = "", None
    tags = np.zeros((1, len(task.columns)), np.float32)
    if task.wording == "said":
        shown = caption(stage, sounding.samples)
        sentence = join(shown)
    if stage.model.decoder is not None:
        segment = embeddings(stage.model, sounding)
        if task.wording == "free":
            best = stage.model.decoder.describe(segment, is_free=True)[0]
            sentence, semantic = " ".join(best.words), best.semantic
            shown = [Shown(sentence, stage.names(sentence), 0.0, len(sounding.samples) / RATE)]
        else:
            semantic = stage.model.decoder.adapter.run({"embeddings": segment[None]})["semantic"][0]
    if task.weights:
        tags = open_peer(task.weights).scores(windows(sounding.samples))[:, task.columns]
    return Outcome(sounding.known, shown, sentence, semantic, tags)


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
    columns = _tagger(context)[1] if context.peer else []
    ask = partial(Task, weights=context.peer, columns=tuple(columns))
    scored = specs(context, context.split, context.scenes, plans)
    # Nothing is tuned on what is scored.
    other_half: dict[Split, Split] = {"choose": "check", "check": "choose"}
    others = context.scenes if context.split == "val" else 0
    tuned_on = other_half.get(context.split, "val")
    tuning = specs(context, tuned_on, max(2, round(TUNING * context.scenes)), plans, skip=others)
    has_train = plans is None or (plans / "train" / PLANS).is_file()
    taught = specs(context, "train", round(TAUGHT * context.scenes), plans if has_train else None)
    return SceneOutcomes(
        context.each(
            caption_scene, [ask(spec, context.wording) for spec in scored], "captioning held-out scenes"
        ),
        context.each(caption_scene, [ask(spec) for spec in tuning], "hearing validation scenes"),
        context.each(caption_scene, [Task(spec) for spec in taught], "hearing training scenes"),
        scored,
        columns,
    )


@cache
def _tagger(context: Context) -> tuple[Templates, list[int]]:
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


def examine(context: Context) -> dict[str, Any]:
    """Scores on composed scenes, and on those of human captions where plans are given."""
    found = {"composed": compare(context, None)}
    if context.plans:
        if not (context.plans / context.split / PLANS).is_file():
            raise InputMissingError(
                f"{context.plans} holds no {context.split}/{PLANS}",
                fix=f"make it: edgecap prepare --split {context.split} -o {context.plans / context.split}",
            )
        found["human captions"] = compare(context, context.plans)
    return found


def compare(context: Context, plans: Path | None) -> dict[str, Any]:
    """Ours and every baseline on the same scenes: text, events, gains, examples."""
    sounds = scene_outcomes(context, plans)
    scored, tuning, taught = map(as_scenes, (sounds.scored, sounds.tuning, sounds.taught))
    classes = Classes(context.corpus.labels)
    names = context.stage.names
    embed = sentence_model(context.sentences)

    def event_f1(answers: Answers, scenes: Scenes) -> float:
        return micro_f1(classes.events(answers.named, scenes.labels))

    scores: dict[str, Score] = {"text": cider, "events": event_f1}
    ours = Answers(
        [outcome.sentence for outcome in sounds.scored],
        [frozenset[str]().union(*(one.named for one in outcome.shown)) for outcome in sounds.scored],
    )
    systems: dict[str, dict[str, Answers]] = {OURS: dict.fromkeys(scores, ours)}
    notes: dict[str, dict[str, str]] = {}
    if context.peer:
        tagger, _ = _tagger(context)
        for aim, score in scores.items():
            thresholds, how = tagger.tune(tuning, score)
            systems.setdefault("mn04, templates", {})[aim] = tagger.answer(scored.tags, thresholds)
            notes.setdefault("mn04, templates", {})[aim] = f"thresholds: {how}"
    sentences = [outcome.known.references[0] for outcome in sounds.taught if outcome.known.references]
    for name, answers in _nearest(scored, taught, sentences, embed, names).items():
        systems[name] = dict.fromkeys(scores, answers)
    for aim, score in scores.items():
        answers, said = most_frequent(tuning, scored, sentences, names, score)
        systems.setdefault("most frequent caption", {})[aim] = answers
        notes.setdefault("most frequent caption", {})[aim] = said
    table = {
        name: {
            **_text(context, by_aim["text"], scored, embed),
            "events": classes.scores(classes.events(by_aim["events"].named, scored.labels)),
            "notes": notes.get(name, {}),
        }
        for name, by_aim in systems.items()
    }
    empty = [bool(outcome.shown) for outcome in sounds.scored if not outcome.known.labels]
    return {
        "scenes": len(sounds.scored),
        "scenes with nothing to hear": len(empty),
        "of these spoken of": sum(empty),
        "spoken of": float(np.mean([bool(outcome.shown) for outcome in sounds.scored])),
        "wording": context.wording,
        "systems": table,
        "gains": {
            name: _gains(systems[OURS], by_aim, scored, classes)
            for name, by_aim in systems.items()
            if name != OURS
        },
        "examples": _examples(context, sounds, systems),
    }


def _nearest(
    scored: Scenes, taught: Scenes, sentences: list[str], embed: Embed, names: Callable[[str], frozenset[str]]
) -> dict[str, Answers]:
    """By our own embedding: the training sentence nearest in meaning, and the nearest training scene's."""
    if scored.semantic is None or taught.semantic is None or not sentences:
        return {}
    distinct = sorted(set(sentences))
    spoken = [i for i, some in enumerate(taught.references) if some]
    vectors = taught.semantic[spoken]
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    by_sound = nearest_sentence(scored, sentences, vectors, names)
    meanings = embed(distinct).numpy()
    if meanings.shape[1] != scored.semantic.shape[1]:
        raise DataError(
            f"the sentence model gives {meanings.shape[1]} numbers, the bundle {scored.semantic.shape[1]}",
            why="the bundle was trained with another sentence model",
            fix="name that one with --sentences",
        )
    return {
        "nearest training sentence": nearest_sentence(scored, distinct, meanings, names),
        "caption of the nearest training scene": by_sound,
    }


def _text(context: Context, answers: Answers, scenes: Scenes, embed: Embed) -> dict[str, Any]:
    spoken = [i for i, some in enumerate(scenes.references) if some]
    name = context.sentences.name if context.sentences else PACKAGED_MODEL
    found = score_text(
        [answers.sentences[i] for i in spoken], [scenes.references[i] for i in spoken], embed, name,
        context.assets,
    )  # fmt: skip
    return {"text": found.scores, "absent": found.absent}


def _gains(
    ours: dict[str, Answers], theirs: dict[str, Answers], scenes: Scenes, classes: Classes
) -> dict[str, dict[str, float]]:
    """Relative gain of ours in CIDEr-D and in event F1, with the middle 95 % of the bootstrap over scenes.

    And in CIDEr-D over the scenes alone that ours speaks of: the others tell what silence costs, not words.
    """
    spoken = [i for i, some in enumerate(scenes.references) if some]
    references = [[text.tokenise(one) for one in scenes.references[i]] for i in spoken]
    rng = np.random.default_rng(0)

    def text_of(system: dict[str, Answers]) -> NDArray[np.float64]:
        return text.cider_d([text.tokenise(system["text"].sentences[i]) for i in spoken], references)

    def events_of(system: dict[str, Answers]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        named, true = classes.events(system["events"].named, scenes.labels)
        return 2.0 * (named & true).sum(1), (named.sum(1) + true.sum(1)).astype(np.float64)

    one, other = text_of(ours), text_of(theirs)
    rows = rng.integers(len(one), size=(RESAMPLED, len(one)))
    (a, b), (c, d) = events_of(ours), events_of(theirs)
    draws = rng.integers(len(a), size=(RESAMPLED, len(a)))
    said = np.array([bool(ours["text"].sentences[i]) for i in spoken])
    gains = {}
    if said.any():
        some = rng.integers(said.sum(), size=(RESAMPLED, said.sum()))
        where = one[said], other[said]
        gains[SPOKEN] = _gain(where[0].mean(), where[1].mean(), *(part[some].mean(1) for part in where))
    return gains | {
        "CIDEr-D": _gain(one.mean(), other.mean(), one[rows].mean(1), other[rows].mean(1)),
        "event F1": _gain(
            a.sum() / max(b.sum(), 1),
            c.sum() / max(d.sum(), 1),
            a[draws].sum(1) / np.maximum(b[draws].sum(1), 1),
            c[draws].sum(1) / np.maximum(d[draws].sum(1), 1),
        ),
    }


def _gain(
    ours: float, theirs: float, drawn: NDArray[np.float64], against: NDArray[np.float64]
) -> dict[str, float]:
    relative = np.divide(drawn, against, out=np.full_like(drawn, np.inf), where=against > 0) - 1
    return {
        "ours": float(ours),
        "theirs": float(theirs),
        "gain": float(ours / theirs - 1) if theirs else float("nan"),  # nothing to be relative to
        "low": float(np.quantile(relative, 0.025, method="nearest")),
        "high": float(np.quantile(relative, 0.975, method="nearest")),
    }


def _examples(
    context: Context, sounds: SceneOutcomes, systems: dict[str, dict[str, Answers]]
) -> list[dict[str, Any]]:
    """Scenes evenly from the run, with what every system says of them and what they look like."""
    found = []
    for i in range(0, len(sounds.scored), max(1, len(sounds.scored) // EXAMPLES))[:EXAMPLES]:
        outcome = sounds.scored[i]
        samples = make(context.corpus, sounds.specs[i]).samples
        found.append(
            {
                "references": outcome.known.references,
                "labels": sorted(outcome.known.labels),
                "captions": [
                    {"text": one.text, "start_s": one.start_s, "end_s": one.end_s} for one in outcome.shown
                ],
                "systems": {name: by_aim["text"].sentences[i] for name, by_aim in systems.items()},
                "spectrogram": picture(samples),
            }
        )
    return found


def picture(samples: Samples) -> dict[str, Any]:
    """A log-mel spectrogram small enough for JSON: a row a mel bin, low first, a column each 40 ms.

    Bytes 0 to 100 are -100 to 0 dB.
    """
    front_end = FrontEnd(PICTURE_MELS)
    past, blocks = front_end.initial_state(), []
    for start in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
        log_mel, past = front_end.step(samples[start : start + CHUNK_SAMPLES], past)
        blocks.append(log_mel.reshape(-1, 4, PICTURE_MELS).mean(1))
    levels = np.clip(np.concatenate(blocks).T + 100, 0, 100).astype(np.uint8)
    return {
        "mels": PICTURE_MELS,
        "seconds": levels.shape[1] * 0.04,
        "levels": base64.b64encode(levels.tobytes()).decode(),
    }
