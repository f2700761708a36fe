"""Stage "head": the trunk stands still, and what reads the sounds from its embeddings is fitted again.

Trained together, trunk and head come to know the training recordings by heart. A head fitted from nothing
to embeddings that no longer move, and held back, names new recordings better. Two losses hold it:
- streams: binary cross-entropy of each chunk of composed streams, as the encoder was taught: what silence
  is, what a crowded room is, and what a score means;
- clips: cross-entropy of each clip, alone, as it was recorded and in other takes: which of all sounds it
  is. A clip's logit is the mean of its three best, near what the edge takes for evidence. Half of the time
  only its beginning has been heard, as when the first sentence is said.
"""

from collections.abc import Callable, Sequence
from itertools import islice, product
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from msgspec import Meta
from numpy.random import Generator
from torch import Tensor, nn

from ..runtime.audio import CHUNK_SAMPLES, RATE, Samples
from . import augment
from .data import Clip
from .distil import RARE, Batches
from .frontend import LogMel
from .kinds import SYNTHETIC_SHARE
from .models.convnext import CausalConvNeXt
from .run import Run, team
from .scenes import Composer, Stream

STREAMS, CHUNKS = 16, 32
"""Streams heard side by side, and the chunks between two cuts."""
BATCH = 16
"""Clips of like length heard at once."""
BEST = 3
"""Chunks that a clip's logit is the mean of."""
BEGUN = (4, 10)
"""Chunks that have been heard of a clip's beginning, from its onset on: at least and at most."""
ONSET_DB = -20.0
"""A clip begins with the first chunk that is this near to its loud ones."""
HISS = 3e-4
"""Deviation of the noise under a clip: about -70 dBFS, so that its end is not digital silence."""


class HeadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The head stage of a recipe."""

    hours: Annotated[float, Meta(gt=0)] = 6.0
    """Composed sound."""
    clear: Annotated[float, Meta(ge=0, le=1)] = 0.6
    warnings: Annotated[float, Meta(ge=0, le=1)] = 0.15
    """Shares of scenes, as in the encoder's stages."""
    clips: Annotated[float, Meta(ge=0)] = 6.0
    """Weight of the clips' loss beside the streams'."""
    takes: Annotated[int, Meta(ge=1)] = 4
    """How often each clip is heard: first as recorded, then with another speed, room and microphone."""
    begun: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """How often only the beginning of a clip is judged."""
    silence: Annotated[float, Meta(gt=0)] = 6.0
    """Weight of a chunk in which nothing sounds, beside one of sound: what is invented is heard all night."""
    decay: Annotated[float, Meta(ge=0)] = 6e-3
    """Weight of the squared coefficients, for embeddings of deviation one."""
    made: Annotated[float, Meta(ge=0)] = 0.1
    """Of it, what holds the sounds that are mostly synthesised: no two of them are the same recording."""
    steps: Annotated[int, Meta(ge=1)] = 200
    learning_rate: Annotated[float, Meta(gt=0)] = 0.02
    seed: int = 1


class Streamed(NamedTuple):
    """What the trunk hears of streams: (n, width) normalised embeddings, (n, sounds) targets and weights."""

    embeddings: Tensor
    heard: Tensor
    weight: Tensor


class Alone(NamedTuple):
    """What it hears of whole clips: (n, chunks, width), (n, chunks) which are sound, (n,) label and onset.

    onset: the chunk in which the clip's sound begins.
    others: (n, sounds) what the clip holds besides or may hold: it is no rival of its label.
    """

    embeddings: Tensor
    mask: Tensor
    label: Tensor
    others: Tensor
    onset: Tensor

    def heard_for(self, rows: Tensor, chunks: Tensor) -> Tensor:
        """(n, chunks) the mask of these rows where so many chunks have been heard since the onset."""
        at = torch.arange(self.mask.shape[1])
        return self.mask[rows] & (at < (self.onset[rows] + chunks)[:, None])


def train_head(
    encoder: CausalConvNeXt, composer: Composer, clips: Sequence[Clip], run: Run, settings: HeadSettings,
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> None:  # fmt: skip
    """Fit the encoder's head in place; the trunk, and so every embedding, stays. A finished run is loaded."""
    with team().leader_first():
        stored = run.resume()
        if stored is None:
            streamed = hear_streams(encoder, composer, settings, progress)
            alone = hear_alone(encoder, composer, clips, progress, takes=settings.takes)
            made = [composer.index[name] for name, share in SYNTHETIC_SHARE.items()
                    if share >= 0.5 and name in composer.index]  # fmt: skip
            head = fit(streamed, alone, settings, made, run)
            run.save(settings.steps, head=head.state_dict())
            run.curves()
            stored = {"head": head.state_dict()}
    encoder.head.load_state_dict(stored["head"])


@torch.inference_mode()
def hear_streams(
    encoder: CausalConvNeXt, composer: Composer, settings: HeadSettings,
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> Streamed:  # fmt: skip
    """Hours of fresh streams, the encoder's state carried through."""
    seeds = np.random.SeedSequence([settings.seed, 11]).spawn(STREAMS)
    streams = [
        Stream(composer, np.random.default_rng(seed), CHUNKS, settings.clear, settings.warnings)
        for seed in seeds
    ]
    front_end, state = LogMel(encoder.mels), encoder.initial_state(STREAMS)
    cuts = max(1, round(settings.hours * 3600 * RATE / (STREAMS * CHUNKS * CHUNK_SAMPLES)))
    parts: list[tuple[Tensor, ...]] = []
    for done, (samples, heard, weight) in enumerate(islice(Batches(streams), cuts), 1):
        (embeddings, _), state = encoder.step(front_end(samples), state)
        known = heard.flatten(0, 1).bool(), weight.flatten(0, 1).bool()
        parts.append((encoder.norm(embeddings).flatten(0, 1).half(), *known))
        progress(done / cuts, "head: listening to composed streams")
    return Streamed(*(torch.cat(part).clone() for part in zip(*parts, strict=True)))


@torch.inference_mode()
def hear_alone(
    encoder: CausalConvNeXt, composer: Composer, clips: Sequence[Clip],
    progress: Callable[[float, str], None] = lambda done, what: None, *, takes: int = 1,
) -> Alone:  # fmt: skip
    """Each clip from a fresh state, after a chunk of hiss; the first take of all of them, then the next."""
    known = [clip for clip in clips if clip.label in composer.index]
    known.sort(key=lambda clip: clip.stop - clip.start)  # neighbours are heard together
    rng, front_end = np.random.default_rng(0), LogMel(encoder.mels)
    heard: list[tuple[Tensor, int]] = []  # embeddings, and how many of them are of the clip
    onsets: list[int] = []
    for take, at in product(range(takes), range(0, len(known), BATCH)):
        sounds = [composer.corpus.audio(clip) for clip in known[at : at + BATCH]]
        if take:
            sounds = [_retake(rng, sound) for sound in sounds]
        lengths = [1 - -len(sound) // CHUNK_SAMPLES for sound in sounds]
        samples = rng.normal(0, HISS, (len(sounds), max(lengths) * CHUNK_SAMPLES)).astype(np.float32)
        for row, sound in zip(samples, sounds, strict=True):
            row[CHUNK_SAMPLES : CHUNK_SAMPLES + len(sound)] += sound
        onsets += [1 + _onset(sound) for sound in sounds]
        log_mel = front_end(torch.from_numpy(samples))
        if take:
            curves = augment.filter_curves(rng, len(sounds), encoder.mels)
            log_mel = (log_mel + torch.from_numpy(curves)[:, None]).clamp_min(-100.0)
        embeddings, _ = encoder(log_mel)
        heard += zip(encoder.norm(embeddings).half(), lengths, strict=True)
        progress(len(heard) / (takes * len(known)), "head: listening to clips")
    longest = max(length for _, length in heard)
    embeddings = torch.zeros(len(heard), longest, encoder.width, dtype=torch.float16)
    mask = torch.zeros(len(heard), longest, dtype=torch.bool)
    for at, (vectors, length) in enumerate(heard):
        embeddings[at, :length] = vectors[:length]
        mask[at, :length] = True
    label = torch.tensor([composer.index[clip.label] for clip in known])
    others = torch.from_numpy(np.stack([composer.related[i] for i in label.tolist()])).bool()
    for row, clip in enumerate(known):
        others[row, [composer.index[name] for name in clip.labels if name in composer.index]] = True
        others[row, label[row]] = False
    return Alone(embeddings, mask, label.repeat(takes), others.repeat(takes, 1), torch.tensor(onsets))


def _onset(sound: Samples) -> int:
    """The chunk in which a sound begins."""
    chunks = np.pad(sound, (0, -len(sound) % CHUNK_SAMPLES)).reshape(-1, CHUNK_SAMPLES)
    power = np.mean(np.square(chunks), axis=1)
    return int(np.argmax(power >= np.quantile(power, 0.95) * 10 ** (ONSET_DB / 10)))


def _retake(rng: Generator, sound: Samples) -> Samples:
    """The same sound, a little faster or slower, nearer or farther, every other time in a room."""
    sound = augment.change_speed(sound, rng.uniform(0.9, 1.1)) * np.float32(10 ** (rng.uniform(-18, 3) / 20))
    if rng.random() < 0.5:
        sound = augment.reverberate(sound, augment.room_response(rng))
    return sound


def fit(
    streamed: Streamed,
    alone: Alone,
    settings: HeadSettings,
    made: Sequence[int] = (),
    run: Run | None = None,
) -> nn.Linear:
    """The head for embeddings as they come, from zero weights and rare sounds. made: sounds held less."""
    torch.manual_seed(settings.seed)
    mean, deviation = streamed.embeddings.float().mean(0), streamed.embeddings.float().std()
    width, sounds = streamed.embeddings.shape[1], streamed.heard.shape[1]
    head = nn.Linear(width, sounds)
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, RARE)
    held = torch.full((sounds, 1), settings.decay)
    held[list(made)] *= settings.made
    optimiser = torch.optim.Adam(head.parameters(), lr=settings.learning_rate)
    for step in range(settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - step / settings.steps)
        some = torch.randint(len(streamed.embeddings), (min(4096, len(streamed.embeddings)),))
        logits = head((streamed.embeddings[some].float() - mean) / deviation)
        taught = F.binary_cross_entropy_with_logits(
            logits, streamed.heard[some].float(), streamed.weight[some].float(), reduction="none"
        )
        is_silent = ~streamed.heard[some].any(1)
        figures = {"streams": (taught.sum(1) * torch.where(is_silent, settings.silence, 1.0)).mean()}
        few = torch.randperm(len(alone.label))[:768]
        begun = torch.randint(BEGUN[0], BEGUN[1] + 1, few.shape)
        whole = torch.rand(few.shape) >= settings.begun
        mask = alone.heard_for(few, begun.masked_fill(whole, alone.mask.shape[1]))
        logits = head((alone.embeddings[few].float() - mean) / deviation)
        logits = logits.masked_fill(~mask[..., None], 3 * RARE)
        best = logits.topk(min(BEST, logits.shape[1]), dim=1).values.mean(1)
        figures["clips"] = F.cross_entropy(
            best.masked_fill(alone.others[few], float("-inf")), alone.label[few]
        )
        loss = figures["streams"] + settings.clips * figures["clips"]
        loss = loss + (held * head.weight.square()).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own stub has none
        optimiser.step()
        if run and ((step + 1) % 20 == 0 or step + 1 == settings.steps):
            run.log(step + 1, **{name: value.item() for name, value in figures.items()})
    with torch.no_grad():
        head.weight.div_(deviation)
        head.bias.sub_(head.weight @ mean)
    return head
