"""BLAT's recipe and stages: a captioner that is told the tags, and two towers that learn what it writes.

Where clips come from differs: public corpora and AudioSet (blat_published.py), or scenes of ours
(blat_small.py).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor, nn

from ..data.corpora import Name
from ..distributed import team
from ..loop import Loss, Progress, Stage, cosine, fit, in_half
from ..losses import clip_contrastive, next_token
from ..models.blat import Blat, TagCaptioner, TaggedConfig, Towers, TowersConfig, bert_medium
from ..models.cnn14 import BlatCnn14
from ..models.sizes import Rate
from ..run_folder import Run
from .smoke import Rehearsal, random_tokens

FRAMES = 31
"""Of CNN14 to the captioner's clip: those of 10 s."""
WORDS = 4981
"""Of AudioCaps, with the specials."""


class CaptionerStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the captioner is trained. The defaults are the paper's, and its public recipe's."""

    epochs: Annotated[float, Meta(gt=0)] = 25
    batch: Annotated[int, Meta(ge=1)] = 64
    learning_rate: Annotated[float, Meta(gt=0)] = 5e-4
    last_rate: Annotated[float, Meta(gt=0)] = 5e-7
    warmup: Annotated[int, Meta(ge=0)] = 3000
    weight_decay: Annotated[float, Meta(ge=0)] = 1e-6
    smoothing: Rate = 0.1


class PairStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the towers are trained on pairs of sound and sentence."""

    steps: Annotated[int, Meta(ge=0)] = 200_000
    batch: Annotated[int, Meta(ge=2)] = 128
    """Unstated for the synthetic pairs (BLAT-1)."""
    learning_rate: Annotated[float, Meta(gt=0)] = 1e-4
    warmup: Annotated[int, Meta(ge=0)] = 0


class BlatRecipe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="blat"
):
    """Everything that decides BLAT, besides the sounds. The defaults are the paper's."""

    name: str
    version: str
    licence: str
    corpora: tuple[Name, ...] = ("audiocaps", "clotho")
    """With captions, each in a folder of its name beside audioset/; the captioner learns from the first."""
    text: str = "bert-medium"
    """The text tower's folder in the folder of weights; "": the packaged MiniLM, frozen."""
    ear: str = "mn04"
    """What hears prepared scenes, frozen (papers/ears.py), where there are no corpora."""
    captioner: TaggedConfig = TaggedConfig()
    captioner_stage: CaptionerStage = CaptionerStage()
    towers: TowersConfig | None = None
    """Towers over frozen features; None: CNN14 and BERT, trained along."""
    synthetic_stage: PairStage = PairStage()
    real_stage: PairStage = PairStage(steps=15_000)
    beam: Annotated[int, Meta(ge=1)] = 3
    seed: int = 1


class Spoken(NamedTuple):
    """The captioner's batch: frames (B, n, d), which are real, tags (B, classes), tokens (B, S)."""

    frames: Tensor
    valid: Tensor
    tags: Tensor
    tokens: Tensor


class Paired(NamedTuple):
    """The towers' batch: what `hear` and `read` take."""

    sound: tuple[Any, ...]
    text: Any


def warm_exponential(stage: CaptionerStage, steps: int) -> Callable[[int], float]:
    """Linear warm-up, then an exponential fall to the last rate."""
    warmup = min(stage.warmup, steps // 2)
    fall = math.log(stage.last_rate / stage.learning_rate)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return math.exp(fall * (step - warmup) / max(1, steps - warmup))

    return factor


def caption_loss(model: TagCaptioner, smoothing: float) -> Callable[[Spoken], Loss]:
    """Token cross-entropy with the tags told."""

    def loss(batch: Spoken) -> Loss:
        logits = model(batch.frames, batch.valid, batch.tags, batch.tokens)
        return next_token(logits.float(), batch.tokens, smoothing), {}

    return loss


def pair_loss(model: Blat | Towers) -> Callable[[Paired], Loss]:
    """Symmetric cross-entropy over the batch, halved."""

    def loss(batch: Paired) -> Loss:
        sound, text = model.hear(*batch.sound).float(), model.read(batch.text).float()
        return clip_contrastive(sound, text, model.times), {"cosine": (sound * text).sum(1).mean().detach()}

    return loss


def train_tagged(
    model: TagCaptioner, batches: Callable[[int], Iterator[Spoken]], steps: int, stage: CaptionerStage,
    run: Run | None, progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """The captioner, in place."""
    optimiser = torch.optim.Adam(model.parameters(), stage.learning_rate, weight_decay=stage.weight_decay)
    loss, schedule = caption_loss(model, stage.smoothing), warm_exponential(stage, steps)
    _fit(model, batches, loss, steps, optimiser, schedule, run, progress)


def train_pairs(
    model: Blat | Towers, batches: Callable[[int], Iterator[Paired]], stage: PairStage, run: Run | None,
    progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """The towers, in place, from where they stand."""
    optimiser = torch.optim.Adam(model.parameters(), stage.learning_rate)
    if stage.steps:
        schedule = cosine(stage.steps, stage.warmup)
        _fit(model, batches, pair_loss(model), stage.steps, optimiser, schedule, run, progress)


def _fit(
    module: nn.Module, batches: Callable[[int], Iterator[Any]], loss: Callable[[Any], Loss], steps: int,
    optimiser: torch.optim.Optimizer, schedule: Callable[[int], float], run: Run | None, progress: Progress,
) -> None:  # fmt: skip
    workers = team()

    module.to(workers.device).train()
    fit(module, batches, in_half(loss, workers.device), Stage(
        steps=steps, optimiser=optimiser, schedule=schedule, clip=1.0, run=run, workers=workers,
        progress=progress,
    ))  # fmt: skip


def indicator(tags: Sequence[Sequence[int]], classes: int) -> Tensor:
    """(clips, classes): one where a clip has a tag."""
    table = torch.zeros(len(tags), classes)
    for row, some in enumerate(tags):
        table[row, list(some)] = 1.0
    return table


def known_tags(tags: Sequence[Sequence[int]]) -> frozenset[int]:
    """All that any of these clips has: a clip with another one is not captioned."""
    return frozenset(tag for some in tags for tag in some)


def all_valid(frames: Tensor) -> Tensor:
    """(B, n) True."""
    return torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device)


def mean_average_precision(scores: NDArray[Any], right: NDArray[Any]) -> float:
    """scores, right (clips, classes) -> the mean over classes that have a clip."""
    order = np.argsort(-scores, axis=0, kind="stable")
    hits = np.take_along_axis(right, order, axis=0)
    precision = hits.cumsum(0) / np.arange(1, len(hits) + 1)[:, None]
    count = hits.sum(0)
    found = (precision * hits).sum(0)[count > 0] / count[count > 0]
    return float(found.mean()) if len(found) else 0.0


def smoke_blat(recipe: BlatRecipe) -> Iterator[Rehearsal]:
    """Captioner and towers at their own sizes, on random frames, samples and words."""
    config, stage = recipe.captioner, recipe.captioner_stage
    captioner = TagCaptioner(config, WORDS).train()

    def spoken(device: torch.device) -> Spoken:
        frames = torch.randn(stage.batch, FRAMES, config.input, device=device)
        tags = torch.zeros(stage.batch, config.tags, device=device)
        tags[:, :2] = 1.0
        tokens = random_tokens(device, stage.batch, 20, WORDS)
        return Spoken(frames, all_valid(frames), tags, tokens)

    yield Rehearsal("captioner", captioner, spoken, caption_loss(captioner, stage.smoothing), 1e-4)
    pairs = recipe.synthetic_stage
    towers: Blat | Towers
    if recipe.towers is not None:
        size = recipe.towers
        towers = Towers(size)

        def paired(device: torch.device) -> Paired:
            sound, text = (
                torch.randn(pairs.batch, width, device=device) for width in (size.audio, size.text)
            )
            return Paired((sound,), text)
    else:
        towers = Blat(BlatCnn14(), bert_medium())

        def paired(device: torch.device) -> Paired:
            samples = torch.randn(pairs.batch, 10 * 32_000, device=device) * 0.1
            pieces = torch.randint(1000, 30_000, (pairs.batch, 20), device=device)
            return Paired((samples,), {"input_ids": pieces, "attention_mask": torch.ones_like(pieces)})

    yield Rehearsal("pairs", towers.train(), paired, pair_loss(towers), pairs.learning_rate)
