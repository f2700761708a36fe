"""SEE's two stages on a frozen encoder, "semantic" and "decoder", as docs/readings.md reads them.

Stage 1 teaches the semantic enhancement encoder alone: its pooled output moves next to the caption's
sentence vector (InfoNCE) and knows the caption's words (cross-entropy). Stage 2 freezes it and teaches
the projection and the decoder to say the sentence, with spectrogram noise as augmentation.
"""

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Protocol

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ...runtime.errors import UsageError
from ..distributed import team
from ..loop import Judge, Loss, Progress, Stage, cosine, decayed, fit, is_half
from ..losses import aligned_words, bag_of_words, info_nce, next_token
from ..models.gpt import GptDecoder, Mix
from ..models.see import SemanticAdapter
from ..run_folder import Run
from ..sentence import Embed
from ..tokenizer import CaptionTokenizer
from .stream_features import Example

CPU = torch.device("cpu")


class Captioner(Protocol):
    """What the stages train: RoomCaptioner, or the paper's, on features that are frozen."""

    adapter: SemanticAdapter
    decoder: GptDecoder


class Examples(Protocol):
    """Where examples come from: Segments of composed streams, or a corpus's Features."""

    def batch(self, rng: Generator, size: int) -> list[Example]:
        """So many, drawn."""
        ...


class StageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of SEE's stages in a recipe."""

    steps: Annotated[int, Meta(ge=1)] = 2000
    epochs: Annotated[float, Meta(gt=0)] | None = None
    """In the place of steps: so many times every recording with each of its captions (SEE-10)."""
    batch: Annotated[int, Meta(ge=2)] = 64
    """Of all processes together: each computes its part of the same batch."""
    learning_rate: Annotated[float, Meta(gt=0)] = 5e-4
    least_rate: Annotated[float, Meta(ge=0)] = 0.0
    """To which the rate falls."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.02
    warmup: Annotated[int, Meta(ge=0)] = 200
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Label smoothing, stage 2 only."""
    aligned: bool = False
    """Stage 1's words by position instead of as a bag (SEE-4)."""
    contrastive: bool = True
    """Stage 1 learns InfoNCE beside the words: off shows what it is worth."""
    mixup: Annotated[float, Meta(ge=0)] = 0.0
    """Stage 2: alpha of the Beta distribution by which embeddings and words of two clips are blended."""
    bfloat16: bool = False
    """Multiply in bfloat16 on a CPU too, where it can by itself."""
    accumulate: Annotated[int, Meta(ge=1)] = 1
    """Batches to one step of the optimiser."""
    judge_every: Annotated[int, Meta(ge=1)] = 500
    """Stage 2, where there are validation recordings: steps between two looks at them."""
    seed: int = 1

    def for_pairs(self, pairs: int) -> "StageSettings":
        """With `epochs` as steps. pairs: of a recording and one of its captions."""
        if self.epochs is None:
            return self
        steps = math.ceil(self.epochs * pairs / (self.batch * self.accumulate))
        return msgspec.structs.replace(self, steps=steps, epochs=None)


class Batch(msgspec.Struct, frozen=True):
    """Segments of different lengths, padded; valid is True where an embedding is real."""

    embeddings: Tensor  # (B, n, width)
    valid: Tensor  # (B, n) bool
    spectrogram: Tensor | None  # (B, 8 n, mels); None where nobody needs it
    captions: list[str]
    free: list[bool]


def collate(examples: list[Example], device: torch.device = CPU) -> Batch:
    """Pad examples to the longest of them."""
    embeddings = [torch.from_numpy(example.embeddings).float() for example in examples]
    lengths = torch.tensor([len(row) for row in embeddings])
    spectra = [torch.from_numpy(e.spectrogram).float() for e in examples if e.spectrogram is not None]
    return Batch(
        pad_sequence(embeddings, batch_first=True).to(device),
        (torch.arange(int(lengths.max())) < lengths[:, None]).to(device),
        pad_sequence(spectra, batch_first=True).to(device) if len(spectra) == len(examples) else None,
        [example.caption for example in examples],
        [example.is_free for example in examples],
    )


def train_semantic(
    model: Captioner, segments: Examples, tokenizer: CaptionTokenizer, embed: Embed, run: Run,
    settings: StageSettings, progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """Stage 1: the adapter's semantic encoder, entry and heads learn; the encoder is not touched.

    Negatives are the whole batch's, of all processes.
    """
    known: dict[str, Tensor] = {}
    workers = team()
    _place(model, workers.device)

    def loss(batch: Batch) -> Loss:
        everyones = workers.gathered(batch.captions)
        new = sorted(set(everyones) - known.keys())
        if new:
            known.update(zip(new, embed(new), strict=True))
        texts = torch.stack([known[caption] for caption in everyones]).to(batch.embeddings.device)
        same = torch.tensor([[a == b for b in everyones] for a in batch.captions]).to(texts.device)
        first = workers.rank * len(batch.captions)
        text = texts[first : first + len(batch.captions)]
        tokens = tokenizer.encode(batch.captions, model.decoder.config.max_tokens).to(text.device)
        adapted = model.adapter(batch.embeddings, batch.valid)
        contrastive = info_nce(adapted.semantic.float(), texts, same, first=first)
        if settings.aligned:
            words = aligned_words(model.adapter.words(adapted.encoded).float(), tokens, adapted.valid)
        else:
            words = bag_of_words(model.adapter.words(adapted.pooled).float(), tokens)
        near = (adapted.semantic * text).sum(1).mean()
        return contrastive * settings.contrastive + words, {
            "contrastive": contrastive.detach(),
            "words": words.detach(),
            "cosine": near.detach(),
        }

    model.adapter.requires_grad_(True).train()
    model.adapter.projection.requires_grad_(False)
    _train(model.adapter, segments, run, settings, loss, progress)
    _place(model, CPU)


def train_decoder(
    model: Captioner, segments: Examples, tokenizer: CaptionTokenizer, run: Run, settings: StageSettings,
    progress: Progress = lambda done, what: None, *, score: Callable[[], float] | None = None,
) -> None:  # fmt: skip
    """Stage 2: the projection and the decoder learn; encoder and semantic encoder are frozen.

    Without a semantic encoder there was no stage 1, and the entry layer learns here. score: of the captioner
    as it stands, on validation recordings; the weights with the greatest are left.
    """
    speaker = nn.ModuleDict({"projection": model.adapter.projection, "decoder": model.decoder})
    if model.adapter.encoder is None:
        speaker["entry"] = model.adapter.entry
    _place(model, team().device)

    def loss(batch: Batch) -> Loss:
        tokens = tokenizer.encode(batch.captions, model.decoder.config.max_tokens, batch.free).to(
            batch.valid.device
        )
        embeddings, valid, mix = blend(batch, settings.mixup)
        adapted = model.adapter(embeddings, valid, batch.spectrogram)
        logits = model.decoder(tokens[:, :-1], adapted.memory, adapted.valid, mix).float()
        value = next_token(logits, tokens, settings.smoothing)
        right = (logits.argmax(-1) == tokens[:, 1:])[tokens[:, 1:] > 0].float().mean()
        return value, {"tokens_right": right}

    model.adapter.requires_grad_(False).train_memory()
    speaker.requires_grad_(True).train()
    judge = Judge(score=score, every=settings.judge_every) if score else None
    _train(speaker, segments, run, settings, loss, progress, judge)
    model.adapter.eval()
    _place(model, CPU)


def _place(model: Captioner, device: torch.device) -> None:
    model.adapter.to(device)
    model.decoder.to(device)


def blend(batch: Batch, alpha: float) -> tuple[Tensor, Tensor, Mix | None]:
    """Mixup as in the DCASE 2024 baseline: embeddings, which are real, and what to do to the words' vectors.

    Each clip takes a share of another, at most a half and the same for the whole batch; what it is to say
    stays its own.
    """
    if not alpha:
        return batch.embeddings, batch.valid, None
    other = torch.randperm(len(batch.embeddings), device=batch.embeddings.device)
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    share = max(share, 1 - share)

    def mix(x: Tensor) -> Tensor:
        return share * x + (1 - share) * x[other]

    return mix(batch.embeddings), batch.valid | batch.valid[other], mix


def _train(
    module: nn.Module, segments: Examples, run: Run, settings: StageSettings,
    loss: Callable[[Batch], Loss], progress: Progress, judge: Judge | None = None,
) -> None:  # fmt: skip
    """What both stages share. A GPU always computes in bfloat16; processes draw alike, and share a batch."""
    workers = team()
    if settings.batch % workers.size:
        raise UsageError(
            f"a batch of {settings.batch} can't be shared by {workers.size} processes",
            fix="start a number of them that divides it",
        )
    half = is_half(workers.device, settings.bfloat16)

    def batches(begin: int) -> Iterator[Batch]:
        torch.manual_seed(settings.seed + begin + 1_000_003 * workers.rank)
        rng = np.random.default_rng([settings.seed, begin])
        while True:
            yield collate(list(workers.part(segments.batch(rng, settings.batch))), workers.device)

    def in_half(batch: Batch) -> Loss:
        with torch.autocast(workers.device.type, torch.bfloat16, enabled=half):
            return loss(batch)

    groups = decayed(module, settings.weight_decay)
    fit(module, batches, in_half, Stage(
        steps=settings.steps,
        optimiser=torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98)),
        schedule=cosine(settings.steps, settings.warmup, settings.least_rate / settings.learning_rate),
        average=settings.average, clip=1.0, accumulate=settings.accumulate, judge=judge, run=run,
        workers=workers, progress=progress,
    ))  # fmt: skip
    module.requires_grad_(False)
