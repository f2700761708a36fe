"""EDTC's table 2 at our scale: single encoders, the three fused, with a TRANSLATOR, with its twin."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from .. import made_from
from ..data.corpus import Split
from ..evaluation.metrics.text import cider_d, tokenise
from ..evaluation.metrics.words import Names, related
from ..loop import Progress
from ..models.edtc import BartSizes, Edtc, EdtcConfig, new_bart
from ..run_folder import Run
from ..tokenizer import PAD
from .edtc import EdtcRecipe, caption_clips, own_language, scene_batches, scene_clips, train_captioner
from .scenes import Scenes
from .shelf import Shelf
from .trial import Claim, Trial

STEPS = 300
SIZES: dict[str, Any] = {
    "text": 384, "steps": 12, "width": 128, "heads": 4, "hidden": 512, "fusions": 2, "squeeze": 48,
    "encoders": 1, "decoders": 1, "kernel": 23,
    "bart": BartSizes(width=128, layers=2, heads=4, hidden=512, positions=64),
}  # fmt: skip
"""Of every row. Of 12 steps a kernel of 23 sees all, as one of 45 would."""
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


def recipe_of(row: str, seed: int, epochs: int) -> EdtcRecipe:
    """A row as a recipe."""
    ears, parts = ROWS[row]
    model = EdtcConfig(inputs=tuple(WIDTHS[ear] for ear in ears), **{**SIZES, **parts})
    return EdtcRecipe(
        name=f"edtc-{row}", version="0", licence="for research", ears=ears, bart="", text="", model=model,
        epochs=epochs, checks=0, learning_rate=7e-4, least_count=3, seed=seed,
    )  # fmt: skip


def trial(shelf: Shelf, split: Split, steps: int | None) -> Trial:
    """The table over a shelf's scenes: CIDEr-D to people's captions, and how well the sounds are named."""
    taught, held_out = shelf.scenes("train", THREE), shelf.scenes(split, THREE)
    names = Names(shelf.corpus.labels)

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Mapping[str, NDArray[np.float64]]:
        torch.manual_seed(seed)
        recipe = recipe_of(row, seed, 1)
        clips = scene_clips(taught, recipe.ears, recipe.model.steps)
        language = own_language(recipe, [said for captions in clips.captions for said in captions])
        assert language.tokenizer is not None
        model = Edtc(recipe.model, new_bart(recipe.model.bart, len(language.tokenizer)))
        batches = scene_batches(clips, recipe, language, seed)
        run = Run(folder, "captioner")
        train_captioner(model, recipe, batches, steps or STEPS, PAD, run, lambda: 0.0, progress)
        asked = scene_clips(held_out, recipe.ears, recipe.model.steps)
        said = caption_clips(model, asked, language, recipe.beam)
        references = [[tokenise(one) for one in captions] for captions in asked.captions]
        return {
            "CIDEr-D": cider_d([tokenise(one) for one in said], references),
            "event F1": event_f1(said, held_out, names),
        }

    return Trial(
        paper="edtc", rows={row: msgspec.to_builtins(recipe_of(row, 0, 1)) for row in ROWS}, score=score,
        claims=CLAIMS, groups=held_out.alike(),
        causes={"scenes": made_from.digest([plan.id for plan in held_out.plans]), "steps": steps or STEPS},
    )  # fmt: skip


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
