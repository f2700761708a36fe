"""BLAT's tables at our scale: what tags are to a captioner, and its sentences to towers; unseen labels.

Three tables: "blat:captions", "blat:pairs" and "blat:unseen".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.corpus import Split
from ..evaluation.metrics.text import cider_d, tokenise
from ..loop import Progress
from ..models.blat import Towers
from ..room.teacher import Teacher
from .blat import BlatRecipe, Paired, indicator, mean_average_precision
from .blat_small import (
    describe,
    figures_of,
    pair_batches,
    pooled,
    raise_towers,
    tag_names,
    tags_of,
    teach,
)
from .ears import MN04_FOLDER
from .scenes import Scenes, Vectors
from .shelf import Shelf
from .trial import ONCE, Claim, Trial

Scores = Mapping[str, NDArray[np.float64]]
SCORED = 600
"""Held-out scenes that are captioned."""
PAIRS = (500, 1500, 5000)
"""So many scenes with captions; all the others have tags only."""
UNSEEN, CLIPS = 15, 8
"""Labels that are left out of captions, tags and pairs; clips of each that are asked about."""
BELIEVED = 0.2
"""mn04's score above which a class is one of a scene's tags; of none, its first is."""
FOUND = 0.8
"""Recall at which false alerts are counted."""


def captions_table(shelf: Shelf, recipe: BlatRecipe, split: Split, steps: int | None = None) -> Trial:
    """Table 3 in small: captions without tags, with mn04's, with the true ones."""
    train, asked = shelf.scenes("train", [recipe.ear]), shelf.scenes(split, [recipe.ear]).some(SCORED)
    labels = tag_names(shelf.corpus)
    teacher = Teacher(shelf.weights / MN04_FOLDER)
    references = [[tokenise(one) for one in (plan.caption, *plan.others)] for plan in asked.plans]

    def tags(row: str, scenes: Scenes) -> tuple[list[tuple[int, ...]], int]:
        if row == "no tags":
            return [()] * len(scenes.plans), 1
        if row == "mn04's tags":
            return believed(teacher, scenes.heard[recipe.ear]), 527
        return tags_of(scenes.plans, labels), len(labels)

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Scores:
        told, classes = tags(row, train)
        heard = train.heard[recipe.ear]
        taught = teach(recipe, train.plans, heard, told, classes, seed, None, steps, progress)
        said = describe(taught, asked.heard[recipe.ear], tags(row, asked)[0], recipe.beam)
        return {
            "CIDEr-D": cider_d([tokenise(one) for one in said], references),
            f"vocabulary{ONCE}": np.array([len({word for one in said for word in one.split()})], np.float64),
        }

    claims = [
        Claim("true tags", "no tags", "CIDEr-D", "0.804 over 0.712"),
        Claim("mn04's tags", "no tags", "CIDEr-D"),
        Claim("true tags", "mn04's tags", "CIDEr-D"),
    ]
    rows = {row: msgspec.to_builtins(recipe) for row in ("no tags", "mn04's tags", "true tags")}
    return Trial(
        paper="blat-captions", rows=rows, score=score, claims=claims, groups=asked.alike(),
        causes={"steps": steps or 0, "heard": shelf.heard(("train", split), [recipe.ear])},
    )  # fmt: skip


def believed(teacher: Teacher, vectors: Vectors) -> list[tuple[int, ...]]:
    """mn04's own tags of each scene: the classes that it believes, its first where it believes none."""
    means = torch.stack([torch.from_numpy(one).float().mean(0) for one in vectors])
    scores = torch.sigmoid(teacher.classify(means))
    return [
        tuple(torch.nonzero(row > min(BELIEVED, float(row.max()) - 1e-6))[:, 0].tolist()) for row in scores
    ]


def pairs_table(shelf: Shelf, recipe: BlatRecipe, split: Split, steps: int | None = None) -> Trial:
    """Table 4 in small: towers from scratch, and on sentences written for tagged scenes first."""
    train, asked = shelf.scenes("train", [recipe.ear]), shelf.scenes(split, [recipe.ear])
    labels = tag_names(shelf.corpus)
    tags, heard = tags_of(train.plans, labels), train.heard[recipe.ear]
    sound = pooled(heard)
    assert recipe.towers is not None
    towers = recipe.towers
    real_stage, synthetic_stage = recipe.real_stage, recipe.synthetic_stage
    # As many steps for few scenes as for all: an epoch of 500 teaches no language.
    stage = recipe.captioner_stage
    long = steps or round(stage.epochs * len(train.captions(others=True)[0]) / stage.batch)

    def written(
        count: int, chosen: Sequence[int], seed: int, folder: Path, progress: Progress
    ) -> dict[int, str]:
        """Row -> sentence, by a captioner of the chosen rows, for every scene whose tags it knows."""
        path = folder.parent / f"written-{count}-{seed}-{long}.json"
        if path.exists():
            return msgspec.json.decode(path.read_bytes(), type=dict[int, str])
        plans, some = [train.plans[i] for i in chosen], [heard[i] for i in chosen]
        few = [tags[i] for i in chosen]
        taught = teach(recipe, plans, some, few, len(labels), seed, None, long, progress)
        rows = [i for i in range(len(heard)) if taught.known.issuperset(tags[i])]
        said = describe(taught, [heard[i] for i in rows], [tags[i] for i in rows], 1)
        found = dict(zip(rows, said, strict=True))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(found))
        return found

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Scores:
        name, _, kind = row.partition(" pairs, ")
        count = min(int(name), len(heard))
        chosen = np.random.default_rng([seed, count]).permutation(len(heard))[:count].tolist()
        real = _real(train, chosen, sound, shelf, real_stage.batch, seed)
        stages = [(real_stage, real)]
        if kind == "scratch, as long":
            stages = [(replace(real_stage, steps=synthetic_stage.steps + real_stage.steps), real)]
        if kind in ("fine-tuned", "synthetic alone"):
            found = written(count, chosen, seed, folder, progress)
            rows = np.array(list(found), np.int64)
            text = shelf.sentences(list(found.values()))
            synthetic = pair_batches(sound, rows, text, synthetic_stage.batch, seed)
            stages = [(synthetic_stage, synthetic), *(stages if kind == "fine-tuned" else [])]
        model = raise_towers(towers, stages, seed, progress)
        return figures_of(model, asked, recipe.ear, shelf.sentences)

    kinds = ("scratch", "scratch, as long", "synthetic alone", "fine-tuned")
    settings = {**msgspec.to_builtins(recipe), "captioner_steps": long}
    rows = {f"{count} pairs, {kind}": settings for count in PAIRS for kind in kinds}
    claims = [
        Claim(f"{count} pairs, fine-tuned", f"{count} pairs, {kind}", "R@10", published)
        for count, published in zip(PAIRS, ("T→A 85.1 over 82.4 (AudioCaps)", "", ""), strict=True)
        for kind in ("scratch", "scratch, as long")
    ]
    return Trial(
        paper="blat-pairs", rows=rows, score=score, claims=claims, groups=asked.alike(),
        causes={"steps": steps or 0, "heard": shelf.heard(("train", split), [recipe.ear])},
    )  # fmt: skip


def _real(
    train: Scenes, chosen: Sequence[int], sound: Tensor, shelf: Shelf, batch: int, seed: int
) -> Callable[[int], Iterator[Paired]]:
    """Batches of the chosen scenes with people's captions."""
    texts, of = train.captions(others=True)
    taken = np.isin(of, np.array(chosen))
    said = [text for text, is_taken in zip(texts, taken, strict=True) if is_taken]
    return pair_batches(sound, of[taken], shelf.sentences(said), batch, seed)


def unseen_table(shelf: Shelf, recipe: BlatRecipe, split: Split, steps: int | None = None) -> Trial:
    """Zero-shot: fifteen labels in no caption, tag or pair; another draw of them for each seed.

    Top-1 and mAP among the fifteen of clips of theirs alone, and alerts on their words over all held-out
    scenes: beside the nearest label that is known, by MiniLM, and how likely a straight line thinks that.
    """
    train = shelf.scenes("train", [recipe.ear])
    others: tuple[Split, ...] = ("val",) if split == "val" else ("val", "test")
    held_out = [shelf.scenes(some, [recipe.ear]) for some in others]
    plans = [plan for scenes in held_out for plan in scenes.plans]
    heard = [one for scenes in held_out for one in scenes.heard[recipe.ear]]
    labels = tag_names(shelf.corpus)
    tags, asked_tags = tags_of(train.plans, labels), tags_of(plans, labels)
    sound, asked = pooled(train.heard[recipe.ear]), pooled(heard)
    hours = np.array([plan.chunks for plan in plans]) * 0.32 / 3600
    words = [label.replace("_", " ") for label in labels]
    assert recipe.towers is not None
    towers = recipe.towers

    def draw(seed: int) -> tuple[list[int], list[int]]:
        """Labels to leave out, and clips of theirs alone, as many of each."""
        rng = np.random.default_rng([seed, UNSEEN])
        alone = {
            label: [i for i, own in enumerate(asked_tags) if own == (label,)] for label in range(len(labels))
        }
        able = [label for label, rows in alone.items() if len(rows) >= CLIPS]
        left_out = sorted(rng.choice(able, min(UNSEEN, len(able)), replace=False).tolist())
        return left_out, [int(i) for x in left_out for i in rng.choice(alone[x], CLIPS, replace=False)]

    def raised(left_out: Sequence[int], seed: int, folder: Path, progress: Progress) -> Towers:
        """Towers that never met these labels, one for all rows of a seed."""
        path = folder.parent / f"towers-{seed}.pt"
        model = Towers(towers)
        if path.exists():
            model.load_state_dict(torch.load(path, weights_only=True))
            return model.eval()
        kept = [i for i, own in enumerate(tags) if not set(own) & set(left_out)]
        few, some = [train.plans[i] for i in kept], [train.heard[recipe.ear][i] for i in kept]
        told = [tags[i] for i in kept]
        taught = teach(recipe, few, some, told, len(labels), seed, None, steps, progress)
        said = shelf.sentences(describe(taught, some, told, 1))
        synthetic = pair_batches(sound, np.array(kept), said, recipe.synthetic_stage.batch, seed)
        real = _real(train, kept, sound, shelf, recipe.real_stage.batch, seed)
        stages = [(recipe.synthetic_stage, synthetic), (recipe.real_stage, real)]
        model = raise_towers(towers, stages, seed, progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), path)
        return model

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Scores:
        left_out, rows = draw(seed)
        with torch.no_grad():
            if row == NEAREST:
                scores = nearest_scores(shelf, sound, tags, left_out, words, asked)
            else:
                with torch.enable_grad():
                    model = raised(left_out, seed, folder, progress)
                prompt = "the sound of {}" if row == PROMPT else "{}"
                text = shelf.sentences([prompt.format(words[label]) for label in left_out])
                scores = (model.hear(asked) @ model.read(text).T).numpy()
        truth = np.repeat(np.arange(len(left_out)), CLIPS)
        right = truth[:, None] == np.arange(len(left_out))
        sounding = indicator(asked_tags, len(labels)).numpy()[:, left_out] > 0
        precision, false = alert_figures(scores, sounding, hours)
        return {
            "top-1 of 15": np.asarray(scores[rows].argmax(1) == truth, np.float64),
            f"mAP of 15{ONCE}": np.array([mean_average_precision(scores[rows], right)]),
            "alert AP": precision, f"false alerts an hour{ONCE}": np.array([np.median(false)]),
        }  # fmt: skip

    rows = {row: msgspec.to_builtins(recipe) for row in ("bare label", PROMPT, NEAREST)}
    claims = [
        Claim("bare label", NEAREST, "top-1 of 15"), Claim("bare label", NEAREST, "alert AP"),
        Claim(PROMPT, "bare label", "top-1 of 15"),
    ]  # fmt: skip
    return Trial(
        paper="blat-unseen", rows=rows, score=score, claims=claims,
        causes={"steps": steps or 0, "heard": shelf.heard(("train", *others), [recipe.ear])},
    )  # fmt: skip


PROMPT, NEAREST = "the sound of", "nearest known label"


def alert_figures(
    scores: NDArray[np.float32], sounding: NDArray[np.bool_], hours: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """scores, sounding (scenes, alerts) -> each alert's average precision, false ones an hour at FOUND."""
    precision, false = [], []
    for score, here in zip(scores.T, sounding.T, strict=True):
        precision.append(mean_average_precision(score[:, None], here[:, None]))
        at = np.quantile(score[here], 1 - FOUND, method="lower")
        false.append(((score >= at) & ~here).sum() / hours[~here].sum())
    return np.array(precision), np.array(false)


def nearest_scores(
    shelf: Shelf, sound: Tensor, tags: Sequence[Sequence[int]], left_out: Sequence[int], words: Sequence[str],
    asked: Tensor,
) -> NDArray[np.float32]:  # fmt: skip
    """(scenes, alerts): a straight line's score of the known label whose words are nearest to the alert's."""
    kept = [i for i, own in enumerate(tags) if not set(own) & set(left_out)]
    truth = indicator([tags[i] for i in kept], len(words))
    known = [label for label in range(len(words)) if truth[:, label].any()]
    places = shelf.sentences(list(words))
    nearest = [known[int((places[known] @ places[label]).argmax())] for label in left_out]
    with torch.enable_grad():
        line = fitted_line(sound[kept], truth)
    scores: NDArray[np.float32] = line(asked)[:, nearest].detach().numpy()
    return scores


def fitted_line(sound: Tensor, truth: Tensor, steps: int = 300) -> nn.Module:
    """Logits of each label from pooled vectors: standardised, one Linear, by Adam."""
    torch.manual_seed(0)
    line = nn.Sequential(
        nn.BatchNorm1d(sound.shape[1], affine=False), nn.Linear(sound.shape[1], truth.shape[1])
    )
    optimiser = torch.optim.Adam(line.parameters(), 3e-3, weight_decay=1e-4)
    for _ in range(steps):
        optimiser.zero_grad()
        loss: Tensor = nn.functional.binary_cross_entropy_with_logits(line(sound), truth)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own stub has none
        optimiser.step()
    return line.eval()
