"""SEE's two stages on a frozen encoder, "semantic" and "decoder", as docs/readings.md reads them.

Stage 1 teaches the semantic enhancement encoder alone: its pooled output moves next to the caption's
sentence vector (InfoNCE) and knows the caption's words (cross-entropy). Stage 2 freezes it and teaches
the projection and the decoder to say the sentence, with spectrogram noise as augmentation.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from .losses import bag_of_words, info_nce, next_token
from .models.room import RoomCaptioner
from .run import Average, Run, cosine, decayed
from .segments import Example, Segments
from .sentence import Embed
from .tokenizer import CaptionTokenizer


class StageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of SEE's stages in a recipe."""

    steps: Annotated[int, Meta(ge=1)] = 2000
    batch: Annotated[int, Meta(ge=2)] = 64
    learning_rate: Annotated[float, Meta(gt=0)] = 5e-4
    weight_decay: Annotated[float, Meta(ge=0)] = 0.02
    warmup: Annotated[int, Meta(ge=0)] = 200
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Label smoothing, stage 2 only."""
    seed: int = 1


class Batch(msgspec.Struct, frozen=True):
    """Segments of different lengths, padded; valid is True where an embedding is real."""

    embeddings: Tensor  # (B, n, width)
    valid: Tensor  # (B, n) bool
    spectrogram: Tensor  # (B, 8 n, mels)
    captions: list[str]


def collate(examples: list[Example]) -> Batch:
    """Pad examples to the longest of them."""
    embeddings = [torch.from_numpy(example.embeddings).float() for example in examples]
    lengths = torch.tensor([len(row) for row in embeddings])
    return Batch(
        pad_sequence(embeddings, batch_first=True),
        torch.arange(int(lengths.max())) < lengths[:, None],
        pad_sequence([torch.from_numpy(e.spectrogram).float() for e in examples], batch_first=True),
        [example.caption for example in examples],
    )


def train_semantic(
    model: RoomCaptioner, segments: Segments, tokenizer: CaptionTokenizer, embed: Embed, run: Run,
    settings: StageSettings, progress: Callable[[float, str], None] = lambda done, what: None,
) -> None:  # fmt: skip
    """Stage 1: the adapter's semantic encoder, entry and heads learn; the encoder is not touched."""
    known: dict[str, Tensor] = {}

    def loss(batch: Batch) -> tuple[Tensor, dict[str, float]]:
        new = sorted(set(batch.captions) - known.keys())
        if new:
            known.update(zip(new, embed(new), strict=True))
        text = torch.stack([known[caption] for caption in batch.captions])
        same = torch.tensor([[a == b for b in batch.captions] for a in batch.captions])
        tokens = tokenizer.encode(batch.captions, model.config.decoder.max_tokens)
        adapted = model.adapter(batch.embeddings, batch.valid)
        contrastive = info_nce(adapted.semantic, text, same)
        words = bag_of_words(model.adapter.words(adapted.pooled), tokens)
        near = (adapted.semantic * text).sum(1).mean()
        return contrastive + words, {
            "contrastive": contrastive.item(),
            "words": words.item(),
            "cosine": near.item(),
        }

    _train(model.adapter, [model.adapter.projection], segments, run, settings, loss, progress)


def train_decoder(
    model: RoomCaptioner, segments: Segments, tokenizer: CaptionTokenizer, run: Run, settings: StageSettings,
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> None:  # fmt: skip
    """Stage 2: the projection and the decoder learn; encoder and semantic encoder are frozen."""
    speaker = nn.ModuleDict({"projection": model.adapter.projection, "decoder": model.decoder})

    def loss(batch: Batch) -> tuple[Tensor, dict[str, float]]:
        tokens = tokenizer.encode(batch.captions, model.config.decoder.max_tokens)
        adapted = model.adapter(batch.embeddings, batch.valid, batch.spectrogram)
        logits = model.decoder(tokens[:, :-1], adapted.memory, adapted.valid)
        value = next_token(logits, tokens, settings.smoothing)
        right = (logits.argmax(-1) == tokens[:, 1:])[tokens[:, 1:] > 0].float().mean()
        return value, {"tokens_right": right.item()}

    model.adapter.train_memory()
    _train(speaker, [], segments, run, settings, loss, progress)
    model.adapter.eval()


def _train(
    module: nn.Module, frozen: list[nn.Module], segments: Segments, run: Run, settings: StageSettings,
    loss_of: Callable[[Batch], tuple[Tensor, dict[str, float]]], progress: Callable[[float, str], None],
) -> None:  # fmt: skip
    """The loop of both stages: draw, loss, step, average; log, save, resume."""
    stored = run.resume()
    begin = int(stored["step"]) if stored else 0
    torch.manual_seed(settings.seed + begin)
    rng: Generator = np.random.default_rng([settings.seed, begin])
    module.requires_grad_(True)
    for part in frozen:
        part.requires_grad_(False)
    optimiser = torch.optim.AdamW(
        decayed(module, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98)
    )
    average = Average(module, settings.average)
    if stored:
        module.load_state_dict(stored["model"])
        optimiser.load_state_dict(stored["optimiser"])
        average.weights = stored["average"]
    module.train()
    for step in range(begin, settings.steps):
        batch = collate(segments.batch(rng, settings.batch))
        value, figures = loss_of(batch)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * cosine(step, settings.steps, settings.warmup)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch's own stub has none
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        average.update(module, step)
        if (step + 1) % 25 == 0 or step + 1 == settings.steps:
            run.log(step + 1, loss=value.item(), **figures)
            progress((step + 1) / settings.steps, f"{run.stage}: loss {value.item():.3f}")
        if (step + 1) % 250 == 0 or step + 1 == settings.steps:
            run.save(
                step + 1, model=module.state_dict(), optimiser=optimiser.state_dict(), average=average.weights
            )
            run.curves()
    module.load_state_dict(average.weights)
    module.eval()
    module.requires_grad_(False)
