"""Attention-based retrieval at our scale: heads on frozen vectors of planned scenes, and its small table.

scenes heard by an ear, sentences by MiniLM -> heads (models/retrieval.py), NT-Xent or supervised
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.model.engine import Engine
from ...runtime.model.text import TextEncoder
from ..data.corpora import Name
from ..data.corpus import Label, Split
from ..evaluation.questions.retrieval import of_each_query
from ..loop import Loss, Progress, Stage, fit
from ..losses import nt_xent, supervised_contrastive
from ..models.convnext import CausalConvNeXt
from ..models.retrieval import Attention, Retrieval, RetrievalConfig
from ..room.warm_start import begin_from
from ..run_folder import Run
from .scenes import Scenes, Sentences, padded
from .shelf import Shelf
from .trial import ONCE, Claim, Scores, Trial

LONGEST = 32
"""Steps of a scene that are attended to: 10 s of ours."""
ALERTS = 20
"""Sounds that an alert is asked for in words."""
FOUND = 0.8
"""Recall at which false alerts are counted."""
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
    attended: Annotated[int, Meta(ge=1)] = 1024
    width: Annotated[int, Meta(ge=1)] = 1024
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

    def loss(batch: Pairs) -> Loss:
        audio = model.audio(batch.frames, batch.valid)
        text = model.embed_text(batch.sentences)
        return contrast(recipe, audio, text, batch.same), {"cosine": (audio * text).sum(1).mean().detach()}

    fit(model.train(), batches, loss, Stage(
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


class Questions:
    """What held-out scenes are asked, the same of every row: captions for their scene, words for alerts."""

    def __init__(self, shelf: Shelf, scenes: Scenes) -> None:
        self.scenes = scenes
        self.texts, self.row_of = scenes.captions(others=True)
        self.sentences = shelf.sentences(self.texts)
        self.edge = TextEncoder(shelf.bundle)
        distinct = sorted(set(self.texts))
        place = dict(zip(distinct, self.edge.embed(distinct), strict=True))
        self.on_edge = torch.from_numpy(np.stack([place[text] for text in self.texts]))
        alike = scenes.alike()
        self.group = alike[self.row_of]
        self.own = self.row_of[:, None] == np.arange(len(scenes.plans))[None]
        self.says = self.group[:, None] == alike[None]
        phrases = {label.name: label.phrase for label in shelf.corpus.labels}
        sounding = [{sound.label for sound in plan.sounds} for plan in scenes.plans]
        counted = {name: sum(name in some for some in sounding) for name in phrases}
        known = {label.label for label in shelf.bundle.labels} & counted.keys()
        usual = sorted(known, key=lambda name: (-counted[name], name))[:ALERTS]
        self.alerts = self.edge.embed([phrases[name] for name in usual])
        self.labels = usual
        self.sounds = np.array([[name in some for some in sounding] for name in usual])
        self.hours = np.array([plan.chunks for plan in scenes.plans]) * 0.32 / 3600

    def score(self, sounds: NDArray[np.float32], in_text: Any) -> dict[str, NDArray[np.float64]]:
        """Figures of scenes at `sounds` (scenes, d). in_text: sentence vectors (n, d_text) -> (n, d)."""
        queries, on_edge = in_text(self.sentences), in_text(self.on_edge)
        own = of_each_query(queries, sounds, self.own)
        scores = {"mAP10": own["mAP@10"]} | {name: own[name] for name in ("R@1", "R@5", "R@10")}
        scores["same sounds mAP@10"] = of_each_query(queries, sounds, self.says)["mAP@10"]
        scores["by the bundle's text encoder"] = of_each_query(on_edge, sounds, self.says)["mAP@10"]
        asked = in_text(torch.from_numpy(self.alerts))
        unit = sounds / np.linalg.norm(sounds, axis=1, keepdims=True)
        return scores | self.false_alerts(asked @ unit.T)

    def false_alerts(self, scores: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """scores (alerts, scenes) -> the median over alerts of false ones an hour where FOUND are found."""
        false = []
        for row, sounding in zip(scores, self.sounds, strict=True):
            at = np.quantile(row[sounding], 1 - FOUND, method="lower")
            false.append(((row >= at) & ~sounding).sum() / self.hours[~sounding].sum())
        return {f"false alerts an hour{ONCE}": np.array([np.median(false)])}


def small_table(shelf: Shelf, recipe: RetrievalRecipe, split: Split, steps: int | None = None) -> Trial:
    """Table I in small: no attention, graph, self, supervised; on ours and mn04; beside what ships."""
    changes: dict[str, dict[str, Any]] = {
        "none": {"attention": "none", "loss": "nt-xent"},
        "graph": {"attention": "graph", "loss": "nt-xent"},
        "self": {"attention": "self", "loss": "nt-xent"},
        "self, supervised, same clip": {"attention": "self", "loss": "supervised"},
        "self, supervised, same sounds": {"attention": "self", "loss": "supervised", "matches": "says"},
    }
    rows = {f"{ear}: {row}": {"audio": ear, **change} for ear in EARS for row, change in changes.items()}
    taught = shelf.scenes("train", EARS)
    questions = Questions(shelf, shelf.scenes(split, EARS))

    def score(row: str, seed: int, folder: Path, progress: Progress) -> Scores:
        if row == SHIPPED:
            return questions.score(semantic(shelf, questions.scenes), lambda vectors: vectors.numpy())
        if row == LABELS:
            return questions.false_alerts(label_scores(shelf, questions))
        settings = msgspec.structs.replace(recipe, seed=seed, **rows[row])
        model = train_heads(settings, taught, shelf.sentences, Run(folder, "heads"), steps, progress)

        def in_text(vectors: Tensor) -> NDArray[np.float32]:
            return model.embed_text(vectors).detach().numpy()

        return questions.score(places(model, questions.scenes.heard[settings.audio]), in_text)

    claims = []
    for ear in EARS:
        of = {row: f"{ear}: {row}" for row in changes}
        claims += [
            Claim(of["graph"], of["none"], "mAP10", "23.9 > 23.2"),
            Claim(of["self"], of["graph"], "mAP10", "24.3 > 23.9"),
            Claim(of["self"], of["none"], "mAP10", "24.3 > 23.2"),
        ]
    claims += [
        Claim("ours: self, supervised, same clip", "ours: self", "mAP10", "24.4 > 24.3"),
        Claim("ours: self, supervised, same sounds", "ours: self", "same sounds mAP@10"),
        Claim("ours: self", SHIPPED, "by the bundle's text encoder"),
        Claim("ours: self, supervised, same sounds", SHIPPED, "by the bundle's text encoder"),
    ]
    causes = {"recipe": recipe, "steps": steps or 0, "heard": shelf.heard(("train", split), EARS)}
    return Trial(
        paper="retrieval", rows={**rows, SHIPPED: {}, LABELS: {}}, score=score, claims=claims,
        groups=questions.group, causes=causes,
    )  # fmt: skip


SHIPPED, LABELS = "the bundle's semantic", "the bundle's label scores"
"""Rows that nothing is taught for: the edge's search as it is, and alerts by labels."""
EARS = ("ours", "mn04")


def semantic(shelf: Shelf, scenes: Scenes) -> NDArray[np.float32]:
    """(scenes, d_text): where the bundle's adapter puts each scene."""
    adapter = Engine("adapter", shelf.bundle.graph("adapter"), shelf.bundle.manifest.graphs["adapter"])
    heard = [vectors.astype(np.float32)[None] for vectors in scenes.heard["ours"]]
    return np.concatenate([adapter.run({"embeddings": one})["semantic"] for one in heard])


@torch.inference_mode()
def label_scores(shelf: Shelf, questions: Questions) -> NDArray[np.float32]:
    """(alerts, scenes): the best score that the bundle's encoder gives each alert's label."""
    bundle = shelf.bundle
    labels = [Label(label.label, label.phrase, label.category) for label in bundle.labels]
    encoder = CausalConvNeXt("atto", bundle.manifest.audio.mels, len(labels))
    begin_from(encoder, bundle, labels)
    wanted = [[label.name for label in labels].index(name) for name in questions.labels]
    heard = (torch.from_numpy(vectors).float() for vectors in questions.scenes.heard["ours"])
    best = [torch.sigmoid(encoder.eval().classify(one))[:, wanted].amax(0) for one in heard]
    return torch.stack(best, 1).numpy()
