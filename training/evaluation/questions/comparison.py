"""Captions of held-out scenes against references, beside the baselines', all by the same code in one run.

Scenes in which nothing can be heard have no reference: they count for events, not for text.
"""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....runtime.audio import CHUNK_SAMPLES, Samples
from ....runtime.errors import DataError, InputMissingError
from ....runtime.hearing.frontend import FrontEnd
from ...data.corpus import Label
from ...prepare.plan import PLANS, open_plans
from ...sentence import Embed, sentence_model
from ...sound.bank import sound_labels
from ...sound.templates import sayable
from ..context import Context
from ..metrics import text
from ..metrics.text_scores import PACKAGED_MODEL, score_text
from ..peers.baselines import (
    Answers,
    Scenes,
    Score,
    Templates,
    cider,
    consensus,
    most_frequent,
    nearest_sentence,
    some_of,
    unit,
)
from ..sounds.outcomes import Outcome, SceneOutcomes, as_scenes, scene_outcomes, tagger
from ..sounds.scenes import Classes, make, micro_f1

OURS = "edgecap"
TEMPLATES = "edgecap's scores, templates"
RESAMPLED = 1000
"""Draws of the bootstrap behind an interval."""
SPOKEN = "CIDEr-D where edgecap speaks"
EXAMPLES = 8
PICTURE_MELS = 64


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
        of_mn04, _ = tagger(context)
        for aim, score in scores.items():
            thresholds, how = of_mn04.tune(tuning, score)
            systems.setdefault("mn04, templates", {})[aim] = of_mn04.answer(scored.tags, thresholds)
            notes.setdefault("mn04, templates", {})[aim] = f"thresholds: {how}"
    own = _own_templates(context)
    for aim, score in scores.items():
        thresholds, how = own.tune_one(_by_evidence(sounds.tuning), score)
        systems.setdefault(TEMPLATES, {})[aim] = own.answer([o.evidence for o in sounds.scored], thresholds)
        notes.setdefault(TEMPLATES, {})[aim] = how
    sentences = [outcome.known.references[0] for outcome in sounds.taught if outcome.known.references]
    every = [*sentences, *sayable(own.labels), *_planned(context, plans)]
    for name, answers in _nearest(scored, taught, every, embed, names).items():
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


def _own_templates(context: Context) -> Templates:
    """Templates of the bundle's own scores: its captions without a decoder."""
    known = {label.name: label for label in sound_labels(context.corpus, context.corpus.clips)}
    names = context.model.labels.names
    labels = [known.get(name) or Label(name, name, "") for name in names]
    return Templates(labels, range(len(labels)))


def _by_evidence(outcomes: Sequence[Outcome]) -> Scenes:
    return as_scenes(outcomes)._replace(tags=[outcome.evidence for outcome in outcomes])


def _planned(context: Context, plans: Path | None) -> list[str]:
    """Every caption of training's plans, where there are any."""
    if plans is None or not (plans / "train" / PLANS).is_file():
        return []
    return [caption for plan in open_plans(plans / "train") for caption in (plan.caption, *plan.others)]


def _nearest(
    scored: Scenes, taught: Scenes, sentences: list[str], embed: Embed, names: Callable[[str], frozenset[str]]
) -> dict[str, Answers]:
    """By our own embedding: the training sentence nearest in meaning, the nearest training scene's caption,
    and what the captions of the nearest scenes agree on.

    sentences: all that training has, of scenes that are heard here or not.
    """
    spoken = some_of(taught, [i for i, some in enumerate(taught.references) if some])
    if scored.semantic is None or spoken.semantic is None or not len(spoken.semantic):
        return {}
    distinct = sorted(set(sentences))
    captions = [some[0] for some in spoken.references]
    by_sound = nearest_sentence(scored, captions, unit(spoken.semantic), names)
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
        "consensus of the nearest training scenes": consensus(scored, spoken, names),
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
