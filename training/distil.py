"""Stage "encoder": the streaming encoder learns what sounds now, and what a teacher hears.

Endless streams of scenes run through the net as they will on the edge, its state carried from one segment
to the next, so that it is trained in the regime it lives in. Losses per 320 ms chunk:
- sounds: binary cross-entropy on the labels that sound (their times are known, the scenes being ours);
- vectors: mean squared error to the teacher's 384 numbers, standardised;
- classes: cross-entropy to the teacher's 527 scores of the segment.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from ..runtime.audio import CHUNK_SAMPLES, RATE
from . import augment, teacher
from .frontend import LogMel
from .models.convnext import CausalConvNeXt
from .run import Average, Run, cosine, decayed
from .scenes import Composer, Segment, Stream


class EncoderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The encoder stage of a recipe."""

    steps: Annotated[int, Meta(ge=1)] = 6400
    batch: Annotated[int, Meta(ge=1)] = 10
    """Streams heard side by side."""
    chunks: Annotated[int, Meta(ge=1)] = 20
    """Chunks of 320 ms between two steps of the optimiser; the state goes on, the gradient doesn't."""
    learning_rate: Annotated[float, Meta(gt=0)] = 1.2e-3
    weight_decay: Annotated[float, Meta(ge=0)] = 0.05
    warmup: Annotated[int, Meta(ge=0)] = 200
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.999
    vectors: Annotated[float, Meta(ge=0)] = 1.0
    """Weight of the loss to the teacher's vectors."""
    classes: Annotated[float, Meta(ge=0)] = 0.1
    """Weight of the loss to the teacher's scores."""
    seed: int = 1


class Distiller(nn.Module):
    """The encoder and the two heads that only training needs."""

    def __init__(self, encoder: CausalConvNeXt) -> None:
        super().__init__()
        self.encoder = encoder
        self.vectors = nn.Linear(encoder.width, teacher.WIDTH)
        self.classes = nn.Linear(encoder.width, teacher.CLASSES)

    def losses(
        self,
        embeddings: Tensor,
        heard: Tensor,
        weight: Tensor,
        taught: Tensor,
        vectors: Tensor,
        scores: Tensor,
    ) -> dict[str, Tensor]:
        """embeddings (B, k, width); heard, weight (B, k, sounds).

        taught (b,): the rows that the teacher heard, and what it said: vectors (b, k, 384), scores (b, 527).
        """
        logits = self.encoder.classify(embeddings)
        sounds = F.binary_cross_entropy_with_logits(logits, heard, weight, reduction="none").sum(-1).mean()
        normed = self.encoder.norm(embeddings[taught])
        near = F.mse_loss(self.vectors(normed), vectors)
        classes = F.binary_cross_entropy_with_logits(
            self.classes(normed).mean(1), scores, reduction="none"
        ).sum(-1)
        return {"sounds": sounds, "vectors": near, "classes": classes.mean()}


def train_encoder(
    encoder: CausalConvNeXt,
    composer: Composer,
    listener: teacher.Teacher,
    run: Run,
    settings: EncoderSettings,
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> None:
    """Train in place; resumes from the run's last checkpoint; leaves the averaged weights in the encoder."""
    torch.manual_seed(settings.seed)
    front_end = LogMel(encoder.mels)
    model = Distiller(encoder)
    stored = run.resume()
    begin = int(stored["step"]) if stored else 0
    # A resumed run draws new scenes: repeating the first ones would teach them twice.
    seeds = np.random.SeedSequence([settings.seed, begin]).spawn(settings.batch + 1)
    streams = [iter(Stream(composer, np.random.default_rng(seed), settings.chunks)) for seed in seeds[:-1]]
    rng = np.random.default_rng(seeds[-1])
    if stored is None:
        mean, variance = _log_mel_statistics(front_end, streams)
        encoder.bn0.running_mean.copy_(mean)  # type: ignore[union-attr]
        encoder.bn0.running_var.copy_(variance)  # type: ignore[union-attr]
        scale = _vector_statistics(listener, streams)
    else:
        scale = stored["scale"]
    optimiser = torch.optim.AdamW(
        decayed(model, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98)
    )
    average = Average(model, settings.average)
    if stored:
        model.load_state_dict(stored["model"])
        optimiser.load_state_dict(stored["optimiser"])
        average.weights = stored["average"]
    model.train()
    encoder.bn0.eval()  # its statistics are the data's, once: a stream has no batch
    state = encoder.initial_state(settings.batch)
    shown, since = time.monotonic(), begin
    curve = torch.from_numpy(augment.filter_curves(rng, settings.batch, encoder.mels))
    for step, (samples, heard, weight) in zip(range(begin, settings.steps), _ahead(streams), strict=False):
        with torch.no_grad():
            taught = torch.arange(
                step % 2, settings.batch, 2
            )  # the teacher costs a third: it hears every other
            vectors = listener.sequence(samples[taught])[:, : settings.chunks]
            scores = torch.sigmoid(listener.classify(vectors.mean(1)))
            log_mel = front_end(samples)
            changed = torch.from_numpy(rng.random(settings.batch) < 0.2)
            fresh = torch.from_numpy(augment.filter_curves(rng, settings.batch, encoder.mels))
            curve = torch.where(changed[:, None], fresh, curve)
            log_mel = (log_mel + curve[:, None]).clamp_min(-100.0)
            for row in np.flatnonzero(rng.random(settings.batch) < 0.3):  # a stripe of missing frequencies
                low = int(rng.integers(encoder.mels - 8))
                log_mel[row, :, low : low + int(rng.integers(2, 9))] = -100.0
            restart = torch.from_numpy(rng.random(settings.batch) < 0.1)
            state = {name: tensor * ~restart[:, None, None, None] for name, tensor in state.items()}
        (embeddings, _), state = encoder.step(log_mel, state)
        state = {name: tensor.detach() for name, tensor in state.items()}
        losses = model.losses(embeddings, heard, weight, taught, (vectors - scale[0]) / scale[1], scores)
        loss = losses["sounds"] + settings.vectors * losses["vectors"] + settings.classes * losses["classes"]
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * cosine(step, settings.steps, settings.warmup)
        optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 3.0)
        optimiser.step()
        average.update(model, step)
        if (step + 1) % 25 == 0:
            rate = (step + 1 - since) * settings.batch * settings.chunks * CHUNK_SAMPLES / RATE
            rate /= time.monotonic() - shown
            run.log(
                step + 1,
                loss=loss.item(),
                norm=norm.item(),
                speed=rate,
                **{k: v.item() for k, v in losses.items()},
            )
            progress(
                (step + 1) / settings.steps,
                f"encoder: loss {loss.item():.2f}, {rate:.0f} s of sound a second",
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
    model.eval()


def _ahead(streams: list[Iterator[Segment]]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of (samples, heard, weight), the next one composed by a thread while the net learns."""

    def compose() -> tuple[Tensor, Tensor, Tensor]:
        samples, targets = zip(*(next(stream) for stream in streams), strict=True)
        parts = samples, [t.heard for t in targets], [t.weight for t in targets]
        return tuple(torch.from_numpy(np.stack(part)) for part in parts)  # type: ignore[return-value]

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(compose)
        while True:
            batch, coming = coming.result(), thread.submit(compose)
            yield batch


@torch.no_grad()
def _log_mel_statistics(front_end: LogMel, streams: list[Iterator[Segment]]) -> tuple[Tensor, Tensor]:
    log_mel = torch.cat(
        [front_end(torch.from_numpy(next(stream)[0])[None])[0] for stream in streams for _ in range(3)]
    )
    return log_mel.mean(0), log_mel.var(0) + 1.0


@torch.no_grad()
def _vector_statistics(listener: teacher.Teacher, streams: list[Iterator[Segment]]) -> Tensor:
    vectors = torch.cat(
        [listener.sequence(torch.from_numpy(next(s)[0])[None])[0] for s in streams for _ in range(3)]
    )
    return torch.stack([vectors.mean(0), vectors.std(0) + 1e-3])
