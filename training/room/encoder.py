"""Stage "encoder": the streaming encoder learns what sounds now, and what a teacher hears.

Endless streams of scenes run through the net as they will on the edge, its state carried from one segment
to the next, so that it is trained in the regime it lives in. Losses per 320 ms chunk:
- sounds: binary cross-entropy on the labels that sound (their times are known, the scenes being ours);
- vectors: mean squared error to the teacher's 384 numbers, standardised. It hears the very same mixture
  (but for the microphone), at a third of a step's cost. A teacher that hears what the student hears,
  patiently, teaches best (Beyer et al. 2022, "a good teacher is patient and consistent"). Where a sound is
  across a room the teacher stands beside it, for it would itself be misled by echoes and noise (as Watanabe
  et al. 2017, "Student-teacher network learning with enhanced features", teach speech);
- judgement: what the teacher's own classifier makes of the student's vectors, against what it makes of its
  own. The squared error counts all 384 directions alike; this one those that tell sounds apart (Yang et al.
  2021, "Knowledge distillation via softmax regression representation learning").
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Annotated

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from msgspec import Meta
from numpy.random import Generator
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from ...runtime.audio import CHUNK_SAMPLES, RATE
from ..distributed import Team, team
from ..frontend import LogMel
from ..loop import Loss, Progress, Stage, channels_last, cosine, decayed, fit, is_half
from ..models.convnext import CausalConvNeXt, stochastic_depth
from ..models.mobilenet import WIDTH
from ..run_folder import Run
from ..sound import augment
from ..sound.compose import Composer, Shares, Stream
from .teacher import Teacher


class EncoderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The encoder stage of a recipe."""

    steps: Annotated[int, Meta(ge=1)] = 3700
    batch: Annotated[int, Meta(ge=1)] = 10
    """Streams heard side by side."""
    chunks: Annotated[int, Meta(ge=1)] = 20
    """Chunks of 320 ms between two steps of the optimiser; the state goes on, the gradient doesn't."""
    learning_rate: Annotated[float, Meta(gt=0)] = 2e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 0.05
    warmup: Annotated[int, Meta(ge=0)] = 200
    least_rate: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the learning rate that is left in the end. 1: it stays, and wherever such a stage is stopped
    its averaged weights are of use."""
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    vectors: Annotated[float, Meta(ge=0)] = 5.0
    """Weight of the loss to the teacher's vectors."""
    judgement: Annotated[float, Meta(ge=0)] = 0.0
    """Weight of the loss to what the teacher's classifier makes of them."""
    clear: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of scenes that hold one clear sound."""
    warnings: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of scenes that hold an alarm, or what could be taken for one, over household noise."""
    homes: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the others that are one sound across a room, mostly over noise."""
    filter_db: Annotated[float, Meta(ge=0)] = 6.0
    """How much microphones and rooms colour a stream."""
    drop_path: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Stochastic depth: how often the last block is left out."""
    bfloat16: bool = False
    """Multiply in bfloat16 on a CPU too, where it can by itself: 1.3 times as fast."""
    seed: int = 1


JUDGED = 8
"""Chunks whose mean vector is judged: 2.6 s. The classifier was made for means; on single chunks it errs."""
RARE = -4.5
"""Logit of a sound at random: about one chunk in ninety."""
FIRST_SEGMENTS, FITTED_SEGMENTS = 3, 30
"""Of each stream, from which statistics are taken; and the line to the teacher's vectors."""
SETTLED = 4
"""Chunks after a start from nothing that say little."""
RIDGE = 0.1
"""Of that line, in mean squares of an embedding's numbers."""
RESTARTED = 0.1
"""Share of streams that forget what they heard before a segment, as after the edge's start."""


class Distiller(nn.Module):
    """The encoder and the head that only training needs."""

    def __init__(self, encoder: CausalConvNeXt) -> None:
        super().__init__()
        self.encoder = encoder
        self.vectors = nn.Linear(encoder.width, WIDTH)
        self.scale: Tensor
        """(2, 384): mean and deviation of the teacher's vectors."""
        self.register_buffer("scale", torch.stack([torch.zeros(WIDTH), torch.ones(WIDTH)]))

    def sounds_loss(self, embeddings: Tensor, heard: Tensor, weight: Tensor) -> Tensor:
        """embeddings (B, k, width); heard, weight (B, k, sounds). Summed over sounds, mean over chunks."""
        logits = self.encoder.classify(embeddings)
        return F.binary_cross_entropy_with_logits(logits, heard, weight, reduction="none").sum(-1).mean()

    def imitate(self, embeddings: Tensor) -> Tensor:
        """(B, k, width) -> (B, k, 384), the teacher's vectors, standardised."""
        vectors: Tensor = self.vectors(self.encoder.norm(embeddings))
        return vectors


def judgement_loss(classify: Callable[[Tensor], Tensor], imitated: Tensor, vectors: Tensor) -> Tensor:
    """Divergence of the scores of what is imitated from the teacher's. Both (B, k, 384), raw.

    classify: the teacher's, (..., 384) -> (..., classes) logits. Bernoulli Kullback-Leibler, summed over
    classes, mean over windows.
    """
    judged = min(JUDGED, vectors.shape[1])
    whole = vectors.shape[1] // judged * judged
    student, right = (
        classify(part[:, :whole].reshape(len(part), -1, judged, WIDTH).mean(2))
        for part in (imitated, vectors)
    )
    scores = right.sigmoid()
    least = F.binary_cross_entropy_with_logits(right, scores, reduction="none")
    return (F.binary_cross_entropy_with_logits(student, scores, reduction="none") - least).sum(-1).mean()


class Microphones:
    """What the net hears but the teacher doesn't: each stream's own filter, sometimes missing a band."""

    def __init__(self, rng: Generator, batch: int, mels: int, depth_db: float) -> None:
        self._rng, self._depth_db = rng, depth_db
        self._curves = torch.from_numpy(augment.filter_curves(rng, batch, mels, depth_db))

    def __call__(self, log_mel: Tensor) -> Tensor:
        """(B, T, mels) in dB -> the same, filtered; a stream keeps its filter for five segments or so."""
        batch, _, mels = log_mel.shape
        changed = torch.from_numpy(self._rng.random(batch) < 0.2)
        fresh = torch.from_numpy(augment.filter_curves(self._rng, batch, mels, self._depth_db))
        self._curves = torch.where(changed[:, None], fresh, self._curves)
        log_mel = (log_mel + self._curves[:, None]).clamp_min(-100.0)
        for row in np.flatnonzero(self._rng.random(batch) < 0.3):
            low = int(self._rng.integers(mels - 8))
            log_mel[row, :, low : low + int(self._rng.integers(2, 9))] = -100.0
        return log_mel


def train_encoder(
    encoder: CausalConvNeXt,
    composer: Composer,
    teacher: Teacher | None,
    run: Run,
    settings: EncoderSettings,
    progress: Progress = lambda done, what: None,
    *,
    is_new: bool = True,
) -> None:
    """Train in place; resumes from the run's last checkpoint; leaves the averaged weights in the encoder.

    Without a teacher only the labels teach. An encoder that is not new keeps its statistics and its head.
    Under torchrun every process hears streams of its own and gradients are averaged.
    """
    workers = team()
    torch.manual_seed(settings.seed)
    model = Distiller(encoder).to(workers.device)
    channels_last(encoder)
    stochastic_depth(encoder, settings.drop_path)
    learning(model)
    lesson, front_end = Lesson(model, teacher, settings, workers), LogMel(encoder.mels)
    shares = Shares(settings.warnings, settings.homes, settings.clear)

    def batches(begin: int) -> Iterable[tuple[Tensor, ...]]:
        entropy = [settings.seed, begin, *([workers.rank] if workers.rank else [])]
        seeds = np.random.SeedSequence(entropy).spawn(settings.batch + 1)
        streams = [
            Stream(composer, np.random.default_rng(seed), settings.chunks, shares) for seed in seeds[:-1]
        ]
        if not begin:
            _set_statistics(model, front_end, teacher, streams, is_new)
        lesson.begin(np.random.default_rng(seeds[-1]))
        # A process composes what comes next, and its teacher hears it: a thread would hold the interpreter
        # while the net learns.
        return DataLoader(Heard(Batches(streams), front_end, teacher), batch_size=None, num_workers=1)

    groups = decayed(model, settings.weight_decay)
    fit(model, batches, lesson, Stage(
        steps=settings.steps,
        optimiser=torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True),
        schedule=cosine(settings.steps, settings.warmup, settings.least_rate),
        average=settings.average, clip=3.0,
        sound_s=settings.batch * settings.chunks * CHUNK_SAMPLES / RATE,
        run=run, workers=workers, progress=progress,
    ))  # fmt: skip
    model.cpu()


def learning(model: Distiller) -> None:
    """In training mode, but for bn0: its statistics are the data's, once; a stream has no batch."""
    model.train()
    model.encoder.bn0.eval()


class Lesson:
    """The loss of streams' segments, one after the other: the encoder's state goes from each to the next."""

    def __init__(
        self, model: Distiller, teacher: Teacher | None, settings: EncoderSettings, workers: Team
    ) -> None:
        self._model, self._teacher, self._settings = model, teacher, settings
        self._device = workers.device
        self._is_half = is_half(workers.device, settings.bfloat16)

    def begin(self, rng: Generator) -> None:
        """Fresh streams, by microphones that are drawn."""
        batch, mels = self._settings.batch, self._model.encoder.mels
        self._rng = rng
        self._microphones = Microphones(rng, batch, mels, self._settings.filter_db)
        self._state = self._model.encoder.initial_state(batch)

    def __call__(self, batch: tuple[Tensor, ...]) -> Loss:
        """batch: of `Heard`."""
        log_mel, heard, weight, *vectors = batch
        model, settings, device = self._model, self._settings, self._device
        with torch.no_grad():
            log_mel = self._microphones(log_mel).to(device)
            restart = torch.from_numpy(self._rng.random(settings.batch) < RESTARTED).to(device)
            state = {
                name: (tensor * ~restart[:, None, None, None]).contiguous(memory_format=torch.channels_last)
                for name, tensor in self._state.items()
            }
        with torch.autocast(device.type, torch.bfloat16, enabled=self._is_half):
            (embeddings, _), state = model.encoder.step(log_mel, state)
        embeddings = embeddings.float()
        self._state = {name: tensor.detach() for name, tensor in state.items()}
        loss = model.sounds_loss(embeddings, heard.to(device), weight.to(device))
        figures = {"sounds": loss.detach()}
        if self._teacher is None:
            return loss, figures
        (right,) = vectors
        imitated = model.imitate(embeddings)
        mean, deviation = model.scale
        near = F.mse_loss(imitated, (right.to(device) - mean) / deviation)
        loss = loss + settings.vectors * near
        figures["vectors"] = near.detach()
        if settings.judgement:
            raw = (imitated * deviation + mean).cpu()
            apart = judgement_loss(self._teacher.classify, raw, right)
            loss = loss + settings.judgement * apart.to(device)
            figures["judgement"] = apart.detach()
        return loss, figures


class Batches(IterableDataset[tuple[Tensor, ...]]):
    """Endless (samples, near, heard, weight) of streams side by side."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for segments in zip(*self.streams, strict=True):
            parts = zip(*((s.samples, s.near, *s.targets) for s in segments), strict=True)
            yield tuple(torch.from_numpy(np.stack(part)) for part in parts)


class Heard(IterableDataset[tuple[Tensor, ...]]):
    """The same as the net and its teacher hear it: log-mel (B, T, mels), targets and weights (B, k, sounds),
    and with a teacher its vectors (B, k, 384)."""

    def __init__(self, batches: Batches, front_end: LogMel, teacher: Teacher | None) -> None:
        self._batches, self._front_end, self._teacher = batches, front_end, teacher

    @torch.no_grad()
    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for samples, near, heard, weight in self._batches:
            vectors = [self._teacher.sequence(near)[:, : heard.shape[1]]] if self._teacher else []
            yield (self._front_end(samples), heard, weight, *vectors)


@torch.no_grad()
def _set_statistics(
    model: Distiller, front_end: LogMel, teacher: Teacher | None, streams: list[Stream], is_new: bool
) -> None:
    """Mean and deviation of the teacher's vectors, and a new encoder's bn0 and bias, from the streams' first
    segments; of an encoder that goes on, what imitates the vectors.

    bn0 gets the mean and variance per mel bin; the head is set to silence: most sounds are silent most of the
    time. Where the biases don't say so from the start, the embedding learns it instead, as one huge constant,
    and hears little else from then on.
    """
    segments = FIRST_SEGMENTS if is_new else FITTED_SEGMENTS
    first = [segment for stream in streams for segment in islice(stream, segments)]
    samples = torch.from_numpy(np.stack([segment.samples for segment in first]))
    near = torch.from_numpy(np.stack([segment.near for segment in first]))
    if is_new:
        log_mel = torch.cat([front_end(row[None])[0] for row in samples])
        mean, variance = model.encoder.bn0.running_mean, model.encoder.bn0.running_var
        assert mean is not None
        assert variance is not None
        mean.copy_(log_mel.mean(0))
        variance.copy_(log_mel.var(0) + 1.0)
        nn.init.constant_(model.encoder.head.bias, RARE)
    if teacher:
        vectors = torch.cat([teacher.sequence(row[None])[:, : len(row) // CHUNK_SAMPLES] for row in near])
        model.scale.copy_(torch.stack([vectors.flatten(0, 1).mean(0), vectors.flatten(0, 1).std(0) + 1e-3]))
        if not is_new:
            model.eval()  # whole, without stochastic depth
            heard = torch.cat([model.encoder(front_end(row[None]))[0] for row in samples])
            _imitate_at_once(model, heard, vectors)
            learning(model)


def _imitate_at_once(model: Distiller, embeddings: Tensor, vectors: Tensor) -> None:
    """The straight line from embeddings (n, k, width) to vectors (n, k, 384), by least squares with a ridge.

    A line that began at random would first pull the encoder, which knows much, to wherever it points.
    """
    mean, deviation = model.scale
    x = model.encoder.norm(embeddings)[:, SETTLED:].flatten(0, 1)
    y = ((vectors - mean) / deviation)[:, SETTLED:].flatten(0, 1)
    centre = x.mean(0)
    moved = x - centre
    square = moved.T @ moved
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square))
    weight = torch.linalg.solve(square, moved.T @ (y - y.mean(0))).T
    model.vectors.weight.copy_(weight)
    model.vectors.bias.copy_(y.mean(0) - weight @ centre)
