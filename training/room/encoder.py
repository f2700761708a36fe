"""Stage "encoder": the streaming encoder learns what sounds now, and what a teacher hears.

Endless streams of scenes run through the net as they will on the edge, its state carried from one segment
to the next, so that it is trained in the regime it lives in. Losses per 320 ms chunk:
- sounds: binary cross-entropy on the labels that sound (their times are known, the scenes being ours);
- vectors: mean squared error to the teacher's 384 numbers, standardised. It hears the very same mixture
  (but for the microphone), at a third of a step's cost. A teacher that hears what the student hears,
  patiently, teaches best (Beyer et al. 2022, "a good teacher is patient and consistent");
- judgement: what the teacher's own classifier makes of the student's vectors, against what it makes of its
  own. The squared error counts all 384 directions alike; this one those that tell sounds apart (Yang et al.
  2021, "Knowledge distillation via softmax regression representation learning").
"""

import time
from collections.abc import Callable, Iterator
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
from ..frontend import LogMel
from ..models.convnext import CausalConvNeXt, stochastic_depth
from ..run_folder import Average, Run, cosine, decayed, team, time_left
from ..sound import augment
from ..sound.compose import Composer, Stream
from .teacher import WIDTH, Teacher


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
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    vectors: Annotated[float, Meta(ge=0)] = 5.0
    """Weight of the loss to the teacher's vectors."""
    judgement: Annotated[float, Meta(ge=0)] = 0.0
    """Weight of the loss to what the teacher's classifier makes of them."""
    clear: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of scenes that hold one clear sound."""
    warnings: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of scenes that hold an alarm, or what could be taken for one, over household noise."""
    filter_db: Annotated[float, Meta(ge=0)] = 6.0
    """How much microphones and rooms colour a stream."""
    drop_path: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Stochastic depth: how often the last block is left out."""
    bfloat16: bool = False
    """Multiply in bfloat16, where the processor can: 1.3 times as fast on AVX-512."""
    seed: int = 1


JUDGED = 8
"""Chunks whose mean vector is judged: 2.6 s. The classifier was made for means; on single chunks it errs."""
RARE = -4.5
"""Logit of a sound at random: about one chunk in ninety."""


class Distiller(nn.Module):
    """The encoder and the head that only training needs."""

    def __init__(self, encoder: CausalConvNeXt) -> None:
        super().__init__()
        self.encoder = encoder
        self.vectors = nn.Linear(encoder.width, WIDTH)

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
    progress: Callable[[float, str], None] = lambda done, what: None,
    *,
    is_new: bool = True,
) -> None:
    """Train in place; resumes from the run's last checkpoint; leaves the averaged weights in the encoder.

    Without a teacher only the labels teach. An encoder that is not new keeps its statistics and its head.
    Under torchrun every process hears streams of its own and gradients are averaged.
    """
    workers = team()
    torch.manual_seed(settings.seed)
    front_end = LogMel(encoder.mels)
    model = Distiller(encoder).to(workers.device)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.4 times as fast
    stored = run.resume()
    begin = int(stored["step"]) if stored else 0
    # A resumed run draws new scenes: repeating the first ones would teach them twice.
    entropy = [settings.seed, begin, *([workers.rank] if workers.rank else [])]
    seeds = np.random.SeedSequence(entropy).spawn(settings.batch + 1)
    streams = [
        Stream(composer, np.random.default_rng(seed), settings.chunks, settings.clear, settings.warnings)
        for seed in seeds[:-1]
    ]
    rng = np.random.default_rng(seeds[-1])
    optimiser = torch.optim.AdamW(
        decayed(model, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98), fused=True
    )
    if stored:
        model.load_state_dict(stored["model"])
        optimiser.load_state_dict(stored["optimiser"])
        scale = stored["scale"]
    else:
        scale = _statistics(encoder if is_new else None, front_end, teacher, streams)
    workers.share(*model.state_dict().values(), scale)
    average = Average(model, settings.average)
    if stored:
        average.weights = {name: value.to(workers.device) for name, value in stored["average"].items()}
    microphones = Microphones(rng, settings.batch, encoder.mels, settings.filter_db)
    stochastic_depth(encoder, settings.drop_path)
    model.train()
    encoder.bn0.eval()  # its statistics are the data's, once: a stream has no batch
    state = encoder.initial_state(settings.batch)
    is_half = settings.bfloat16 or workers.device.type == "cuda"
    began = shown = time.monotonic()
    since = begin
    # A process composes what comes next: a thread would hold the interpreter while the net learns.
    batches = DataLoader(Batches(streams), batch_size=None, num_workers=1)
    for step, batch in zip(range(begin, settings.steps), batches, strict=False):
        samples, heard, weight = batch
        with torch.no_grad():
            log_mel = microphones(front_end(samples)).to(workers.device)
            restart = torch.from_numpy(rng.random(settings.batch) < 0.1).to(workers.device)
            state = {
                name: (tensor * ~restart[:, None, None, None]).contiguous(memory_format=torch.channels_last)
                for name, tensor in state.items()
            }
        with torch.autocast(workers.device.type, torch.bfloat16, enabled=is_half):
            (embeddings, _), state = encoder.step(log_mel, state)
        embeddings = embeddings.float()
        state = {name: tensor.detach() for name, tensor in state.items()}
        loss = model.sounds_loss(embeddings, heard.to(workers.device), weight.to(workers.device))
        figures = {"sounds": loss.item()}
        if teacher:
            vectors = teacher.sequence(samples)[:, : settings.chunks]
            imitated = model.imitate(embeddings)
            near = F.mse_loss(imitated, ((vectors - scale[0]) / scale[1]).to(workers.device))
            loss = loss + settings.vectors * near
            figures["vectors"] = near.item()
            if settings.judgement:
                apart = judgement_loss(teacher.classify, imitated.cpu() * scale[1] + scale[0], vectors)
                loss = loss + settings.judgement * apart
                figures["judgement"] = apart.item()
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * cosine(step, settings.steps, settings.warmup)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own stub has none
        workers.average_gradients(model)
        nn.utils.clip_grad_norm_(model.parameters(), 3.0)
        optimiser.step()
        average.update(model, step)
        if not workers.leads:
            continue
        if (step + 1) % 25 == 0 or step + 1 == settings.steps:
            sound_s = (step + 1 - since) * settings.batch * settings.chunks * CHUNK_SAMPLES / RATE
            speed = sound_s / (time.monotonic() - shown)
            run.log(step + 1, loss=loss.item(), speed=speed, **figures)
            progress(
                (step + 1) / settings.steps,
                f"{run.stage}: loss {loss.item():.2f}, {speed:.0f} s of sound a second, "
                + time_left(began, begin, step + 1, settings.steps),
            )
            shown, since = time.monotonic(), step + 1
        if (step + 1) % 250 == 0 or step + 1 == settings.steps:
            run.save(
                step + 1,
                model=model.state_dict(),
                optimiser=optimiser.state_dict(),
                average=average.weights,
                scale=scale,
            )
            run.curves()
    model.load_state_dict(average.weights)
    model.cpu().eval()


class Batches(IterableDataset[tuple[Tensor, ...]]):
    """Endless (samples, heard, weight) of streams side by side."""

    def __init__(self, streams: list[Stream]) -> None:
        self.streams = streams

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for segments in zip(*self.streams, strict=True):
            parts = zip(*((samples, *targets) for samples, targets in segments), strict=True)
            yield tuple(torch.from_numpy(np.stack(part)) for part in parts)


@torch.no_grad()
def _statistics(
    encoder: CausalConvNeXt | None, front_end: LogMel, teacher: Teacher | None, streams: list[Stream]
) -> Tensor:
    """(2, 384) mean and deviation of the teacher's vectors.

    A new encoder's bn0 is set to the streams' mean and variance per mel bin, and its head to silence:
    most sounds are silent most of the time. Where the biases don't say so from the start, the embedding
    learns it instead, as one huge constant, and hears little else from then on.
    """
    samples = torch.from_numpy(np.stack([samples for stream in streams for samples, _ in islice(stream, 3)]))
    if encoder is not None:
        log_mel = torch.cat([front_end(row[None])[0] for row in samples])
        mean, variance = encoder.bn0.running_mean, encoder.bn0.running_var
        assert mean is not None
        assert variance is not None
        mean.copy_(log_mel.mean(0))
        variance.copy_(log_mel.var(0) + 1.0)
        nn.init.constant_(encoder.head.bias, RARE)
    if teacher is None:
        return torch.stack([torch.zeros(WIDTH), torch.ones(WIDTH)])
    vectors = torch.cat([teacher.sequence(row[None])[0] for row in samples])
    return torch.stack([vectors.mean(0), vectors.std(0) + 1e-3])
