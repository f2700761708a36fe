"""Attention-based retrieval at our scale: heads on frozen vectors of planned scenes, and its small table.

scenes heard by an ear, sentences by MiniLM -> heads (models/retrieval.py), NT-Xent or supervised
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.model.bundle import Bundle
from .. import made_from
from ..data.corpora import Name
from ..data.corpus import Split, open_corpus
from ..loop import Loss, Progress, Stage, fit
from ..losses import nt_xent, supervised_contrastive
from ..models.checkpoint import write_json, write_tensors
from ..models.retrieval import Attention, Retrieval, RetrievalConfig
from ..models.sizes import Size
from ..run_folder import Run
from .order import Order, given
from .retrieval_questions import EDGE, InText, Questions, label_scores, semantic
from .scenes import Scenes, Sentences, padded
from .shelf import Shelf
from .trial import ONCE, Claim, Scores, Trial

LONGEST = 32
"""Steps of a scene that are attended to: 10 s of ours."""
SCORED_AT_ONCE = 256


class RetrievalRecipe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="retrieval"
):
    """Everything that decides a retriever, besides the sounds. The defaults are the paper's."""

    name: str
    version: str
    licence: str
    audio: Literal["cnn14", "ours", "mn04", "yamnet"] = "cnn14"
    """cnn14 is trained along, on waveforms of `corpora`; the others are frozen, on planned scenes."""
    corpora: tuple[Name, ...] = ("clotho",)
    text: str = "bert-base-uncased"
    """Trained along, from the folder of weights; "": the packaged MiniLM, frozen."""
    attended: Size = 1024
    width: Size = 1024
    attention: Attention = "self"
    loss: Literal["nt-xent", "supervised"] = "supervised"
    matches: Literal["clip", "says"] = "clip"
    """K(m), what else in a batch is a match: the clip's other captions, as in the paper; or every scene that
    was understood to say the same, which planned scenes know."""
    epochs: Annotated[float, Meta(gt=0)] = 50
    """Of (clip, caption) pairs (RET-3)."""
    decay_epochs: Annotated[float, Meta(gt=0)] = 20
    """The rate falls to a tenth each time."""
    batch: Annotated[int, Meta(ge=2)] = 60
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-4
    temperature: Annotated[float, Meta(gt=0)] = 0.07
    clip: Annotated[float, Meta(gt=0)] = 2.0
    """The gradient's greatest norm (RET-3)."""
    seed: int = 1


class Pairs(msgspec.Struct, frozen=True):
    """A batch: frames (B, t, D) with valid (B, t), sentence vectors (B, d), and which rows match (B, B)."""

    frames: Tensor
    valid: Tensor
    sentences: Tensor
    same: Tensor


def steps_of(recipe: RetrievalRecipe, pairs: int) -> int:
    """Steps that the recipe's epochs are of so many pairs."""
    return max(1, round(recipe.epochs * pairs / recipe.batch))


def decay(recipe: RetrievalRecipe, steps: int) -> Any:
    """The rate's factor at a step: a tenth every `decay_epochs`."""
    return lambda step: 0.1 ** (step * recipe.epochs // (steps * recipe.decay_epochs))


def contrast(recipe: RetrievalRecipe, audio: Tensor, text: Tensor, same: Tensor) -> Tensor:
    """The recipe's loss of a batch."""
    if recipe.loss == "supervised":
        return supervised_contrastive(audio, text, same, recipe.temperature)
    return nt_xent(audio, text, recipe.temperature)


def pair_loss(model: Retrieval, recipe: RetrievalRecipe) -> Callable[[Pairs], Loss]:
    """The recipe's loss of the heads."""

    def loss(batch: Pairs) -> Loss:
        audio = model.audio(batch.frames, batch.valid)
        text = model.embed_text(batch.sentences)
        return contrast(recipe, audio, text, batch.same), {"cosine": (audio * text).sum(1).mean().detach()}

    return loss


def train_heads(
    recipe: RetrievalRecipe, scenes: Scenes, sentences: Sentences, run: Run | None,
    steps: int | None = None, progress: Progress = lambda done, what: None,
) -> Retrieval:  # fmt: skip
    """Heads on what an ear heard of the scenes, from nothing. steps: instead of the recipe's epochs."""
    torch.manual_seed(recipe.seed)
    vectors = scenes.heard[recipe.audio]
    texts, row_of = scenes.captions(others=True)
    said = sentences(texts)
    group = scenes.alike() if recipe.matches == "says" else np.arange(len(scenes.plans))
    model = Retrieval(RetrievalConfig(
        frames=vectors[0].shape[1], attended=recipe.attended, sentence=said.shape[1], width=recipe.width,
        attention=recipe.attention,
    ))  # fmt: skip
    steps = steps or steps_of(recipe, len(texts))

    def batches(begin: int) -> Iterator[Pairs]:
        rng = np.random.default_rng([recipe.seed, begin])
        while True:
            for rows in np.array_split(rng.permutation(len(texts)), max(1, len(texts) // recipe.batch)):
                clips = row_of[rows]
                frames, valid = padded([vectors[clip] for clip in clips], LONGEST)
                same = group[clips][:, None] == group[clips][None]
                yield Pairs(frames, valid, said[rows], torch.from_numpy(same))

    fit(model.train(), batches, pair_loss(model, recipe), Stage(
        steps=steps, optimiser=torch.optim.Adam(model.parameters(), recipe.learning_rate),
        schedule=decay(recipe, steps), clip=recipe.clip, run=run, progress=progress,
    ))  # fmt: skip
    return model


@torch.inference_mode()
def places(model: Retrieval, vectors: list[NDArray[np.float16]]) -> NDArray[np.float32]:
    """(scenes, width): where each scene lies."""
    found = []
    for start in range(0, len(vectors), SCORED_AT_ONCE):
        frames, valid = padded(vectors[start : start + SCORED_AT_ONCE], LONGEST)
        found.append(model.audio(frames, valid))
    return torch.cat(found).numpy()


def train_small(recipe: RetrievalRecipe, order: Order) -> Path:
    """Heads on prepared scenes, and what they find of the held-out split; returns the folder of the heads."""
    why = f"{recipe.name} learns from scenes and what encoders hear of them"
    plans = given(order.scenes, "--scenes", recipe.name, why)
    weights = given(order.weights, "--weights", recipe.name, why)
    corpus, bundle = open_corpus(order.corpus, order.cache, order.progress), Bundle.open(order.bundle)
    shelf = Shelf(corpus, plans, weights, bundle, order.output, progress=order.progress)
    taught, held = (shelf.scenes(split, (recipe.audio,)) for split in ("train", order.scored))
    causes = {"recipe": recipe, "heard": shelf.heard(("train",), (recipe.audio,))}
    made_from.claim(order.output / "heads", causes, anew=order.anew)
    model = train_heads(recipe, taught, shelf.sentences, Run(order.output, "heads"), progress=order.progress)
    folder = order.output / "model"
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(model, folder / "retrieval.safetensors")
    write_json(model.config, folder / "config.json")
    scores = Questions(shelf, held).score(places(model, held.heard[recipe.audio]), in_text(model))
    figures = {order.scored: {name.removesuffix(ONCE): float(each.mean()) for name, each in scores.items()}}
    write_json(figures, order.output / "scores.json")
    return folder


def in_text(model: Retrieval) -> InText:
    """Where a model puts sentence vectors."""
    return lambda vectors: model.embed_text(vectors).detach().numpy()


def table_rows(recipe: RetrievalRecipe) -> dict[str, RetrievalRecipe]:
    """Table I in small: no attention, graph, self, on ours and mn04; the supervised loss on ours."""
    changes: dict[str, dict[str, Any]] = {
        "none": {"attention": "none", "loss": "nt-xent"},
        "graph": {"attention": "graph", "loss": "nt-xent"},
        "self": {"attention": "self", "loss": "nt-xent"},
        "self, supervised, same clip": {"attention": "self", "loss": "supervised", "matches": "clip"},
        "self, supervised, same sounds": {"attention": "self", "loss": "supervised", "matches": "says"},
    }
    return {
        f"{ear}: {row}": msgspec.structs.replace(recipe, audio=ear, **change)
        for ear in EARS
        for row, change in changes.items()
        if ear == "ours" or change["loss"] == "nt-xent"  # which loss is asked once
    }


def small_table(shelf: Shelf, recipe: RetrievalRecipe, split: Split, steps: int | None = None) -> Trial:
    """Its rows beside what ships."""
    rows = table_rows(recipe)
    taught = shelf.scenes("train", EARS)
    questions = Questions(shelf, shelf.scenes(split, EARS))

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Scores:
        if row == SHIPPED:
            return questions.score(semantic(shelf, questions.scenes), lambda vectors: vectors.numpy())
        if row == LABELS:
            return questions.false_alerts(label_scores(shelf, questions))
        settings = msgspec.structs.replace(rows[row], seed=seed)
        model = train_heads(settings, taught, shelf.sentences, Run(folder, "heads"), steps, progress)
        return questions.score(places(model, questions.scenes.heard[settings.audio]), in_text(model))

    claims = []
    for ear in EARS:
        claims += [
            Claim(f"{ear}: graph", f"{ear}: none", "mAP10", "23.9 > 23.2"),
            Claim(f"{ear}: self", f"{ear}: graph", "mAP10", "24.3 > 23.9"),
            Claim(f"{ear}: self", f"{ear}: none", "mAP10", "24.3 > 23.2"),
        ]
    claims += [
        Claim("ours: self, supervised, same clip", "ours: self", "mAP10", "24.4 > 24.3"),
        Claim("ours: self, supervised, same sounds", "ours: self", "same sounds mAP@10"),
        Claim("ours: self", SHIPPED, EDGE),
        Claim("ours: self, supervised, same sounds", SHIPPED, EDGE),
    ]
    causes = {"steps": steps or 0, "heard": shelf.heard(("train", split), EARS)}
    settings = {row: msgspec.to_builtins(each) for row, each in rows.items()}
    return Trial(
        paper="retrieval", rows={**settings, SHIPPED: {}, LABELS: {}}, score=score, claims=claims,
        groups=questions.group, causes=causes,
    )  # fmt: skip


SHIPPED, LABELS = "the bundle's semantic", "the bundle's label scores"
"""Rows that nothing is taught for: the edge's search as it is, and alerts by labels."""
EARS = ("ours", "mn04")
