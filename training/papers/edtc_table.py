"""EDTC's table 2 at our scale: single encoders, the three fused, with a TRANSLATOR, with its twin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray

from ..data.corpus import Split
from ..evaluation.metrics.text import cider_d, tokenise
from ..evaluation.metrics.words import Names, related
from ..loop import Progress
from ..models.edtc import Edtc, new_bart
from ..run_folder import Run
from ..tokenizer import PAD
from .edtc import (
    EdtcRecipe,
    Language,
    caption_clips,
    own_language,
    scene_batches,
    scene_clips,
    train_captioner,
)
from .scenes import Scenes
from .shelf import Shelf
from .trial import Claim, Trial

SCORED = 600
"""Held-out scenes that are captioned."""
THREE = ("mn04", "yamnet", "ours")
ALONE: dict[str, Any] = {"fuser": "none", "translator": "none"}
ROWS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "ours": (("ours",), ALONE),
    "YAMNet": (("yamnet",), ALONE),
    "mn04": (("mn04",), ALONE),
    "mean of three": (THREE, {"fuser": "mean", "translator": "none"}),
    "mn04 three times, FUSER": (("mn04",), {"translator": "none"}),
    "three, FUSER": (THREE, {"translator": "none"}),
    "three, FUSER, TRANSLATOR": (THREE, {"translator": "single"}),
    "three, FUSER, twin": (THREE, {"translator": "twin"}),
}
"""Row -> the encoders, and what of EDTC it has."""
WIDTHS = {"mn04": 384, "yamnet": 1024, "ours": 320}
CLAIMS = (
    Claim("three, FUSER", "mn04", "CIDEr-D", "0.463 over 0.426 of the best encoder alone"),
    Claim("three, FUSER", "mean of three", "CIDEr-D"),
    Claim("mn04 three times, FUSER", "mn04", "CIDEr-D", "0.454 over 0.426"),
    Claim("three, FUSER, TRANSLATOR", "three, FUSER", "CIDEr-D", "0.470 over 0.463"),
    Claim("three, FUSER, twin", "three, FUSER, TRANSLATOR", "CIDEr-D", "0.483 over 0.470"),
)


def recipe_of(recipe: EdtcRecipe, row: str, seed: int) -> EdtcRecipe:
    """A row as a recipe: the small one, with these encoders and parts."""
    ears, parts = ROWS[row]
    model = replace(recipe.model, inputs=tuple(WIDTHS[ear] for ear in ears), **parts)
    return replace(recipe, ears=ears, model=model, checks=0, seed=seed)


def raised(
    recipe: EdtcRecipe, scenes: Scenes, steps: int | None, run: Run, progress: Progress
) -> tuple[Edtc, Language]:
    """A row's captioner, taught with these scenes, and its words. steps: not the recipe's epochs."""
    torch.manual_seed(recipe.seed)
    clips = scene_clips(scenes, recipe.ears, recipe.model.steps)
    language = own_language(recipe, [said for captions in clips.captions for said in captions])
    assert language.tokenizer is not None
    model = Edtc(recipe.model, new_bart(recipe.model.bart, len(language.tokenizer)))
    model.standardise(clips.heard(range(len(clips.captions))))
    batches = scene_batches(clips, recipe, language, recipe.seed)
    per_epoch = max(1, len(clips.captions) // recipe.batch)
    if steps:
        recipe, per_epoch = replace(recipe, epochs=1), steps
    train_captioner(model, recipe, batches, per_epoch, PAD, run, lambda: 0.0, progress)
    return model, language


def small_table(shelf: Shelf, recipe: EdtcRecipe, split: Split, steps: int | None = None) -> Trial:
    """The table over a shelf's scenes: CIDEr-D to people's captions, and how well the sounds are named."""
    taught, held_out = shelf.scenes("train", THREE), shelf.scenes(split, THREE).some(SCORED)
    names = Names(shelf.corpus.labels)

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Mapping[str, NDArray[np.float64]]:
        settings = recipe_of(recipe, row, seed)
        model, language = raised(settings, taught, steps, Run(folder, "captioner"), progress)
        asked = scene_clips(held_out, settings.ears, settings.model.steps)
        said = caption_clips(model, asked, language.decode, settings.beam)
        references = [[tokenise(one) for one in captions] for captions in asked.captions]
        return {
            "CIDEr-D": cider_d([tokenise(one) for one in said], references),
            "event F1": event_f1(said, held_out, names),
        }

    causes = {"steps": steps or 0, "heard": shelf.heard(("train", split), THREE)}
    rows = {row: msgspec.to_builtins(recipe_of(recipe, row, 0)) for row in ROWS}
    return Trial(paper="edtc", rows=rows, score=score, claims=CLAIMS, groups=held_out.alike(), causes=causes)


def event_f1(said: list[str], scenes: Scenes, names: Names) -> NDArray[np.float64]:
    """Of each scene: named sounds against those that sound in it, a label's relatives not denied."""
    scores = np.zeros(len(said))
    for i, (sentence, plan) in enumerate(zip(said, scenes.plans, strict=True)):
        real = {sound.label for sound in plan.sounds}
        named = names(sentence)
        right = {label for label in named if related(label) & real}
        found = {label for label in real if related(label) & named}
        precision, recall = len(right) / max(1, len(named)), len(found) / len(real)
        scores[i] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return scores
