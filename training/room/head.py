"""Stage "head": the trunk stands still, and what reads the sounds from its embeddings is fitted again.

Trained together, trunk and head come to know the training recordings by heart. A head fitted from nothing
to embeddings that no longer move, and held back, names new recordings better. What it is fitted to:
- streams: binary cross-entropy of each chunk of composed streams, as the encoder was taught: what silence
  is, what a crowded room is, and what a score means;
- clips: cross-entropy of each clip, alone, as it was recorded and in other takes: which of all sounds it
  is. A clip's logit is the mean of its three best, near what the edge takes for evidence. Half of the time
  only its beginning has been heard, as when the first sentence is said;
- whether: binary cross-entropy of the same logits: whether it is each sound, whatever the others are;
- rooms, lasting: the same of quarter minutes of rooms in which nothing sounds, and of steady sounds that go
  on. Their best moments are judged: of a long night it is the odd moment that gets a caption.
"""

from collections.abc import Iterator, Sequence
from itertools import islice, product
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from msgspec import Meta
from numpy.random import Generator
from torch import Tensor, nn

from ...runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ..data.corpus import Clip
from ..distributed import team
from ..frontend import LogMel
from ..loop import Loss, Progress, Stage, fit, linear
from ..models.convnext import CausalConvNeXt
from ..run_folder import Run
from ..sound import augment
from ..sound.bank import DrySound
from ..sound.compose import Composer, Stream
from ..sound.taxonomy import SYNTHETIC_SHARE
from .encoder import RARE, Batches

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
STRETCH = 48
"""Chunks of a room or of a steady sound that are judged together: 15 s."""
ROOMS, CROWD_STRETCHES, HOURS = 16, 96, 6.0
"""Stretches of rooms in each stream, and of each crowd, where this many hours of streams are heard."""
NO_ROWS = torch.zeros(0, dtype=torch.int64)
HISS = 3e-4
"""Deviation of the noise under a clip: about -70 dBFS, so that its end is not digital silence."""


class HeadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The head stage of a recipe."""

    hours: Annotated[float, Meta(gt=0)] = HOURS
    """Composed sound."""
    clear: Annotated[float, Meta(ge=0, le=1)] = 0.6
    warnings: Annotated[float, Meta(ge=0, le=1)] = 0.15
    """Shares of scenes, as in the encoder's stages."""
    clips: Annotated[float, Meta(ge=0)] = 6.0
    """Weight of the clips' loss beside the streams'."""
    whether: Annotated[float, Meta(ge=0)] = 2.0
    rooms: Annotated[float, Meta(ge=0)] = 2.0
    lasting: Annotated[float, Meta(ge=0)] = 1.0
    """Weights of the other losses beside the streams'.

    Of trials on a frozen trunk: LOG, "What a night of nothing sounds like, to a head" (626 validation clips).
    """
    takes: Annotated[int, Meta(ge=1)] = 4
    """How often each clip is heard: first as recorded, then with another speed, room and microphone."""
    begun: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """How often only the beginning of a clip is judged."""
    silence: Annotated[float, Meta(gt=0)] = 6.0
    """Factor of the loss of a stream's chunk in which nothing sounds; one in which something does has 1.

    What is invented is heard all night. 1, 6 and 15 were tried: LOG, "A head fitted again".
    """
    decay: Annotated[float, Meta(ge=0)] = 6e-3
    """Ridge: the loss has decay * sum of w² over all coefficients, for embeddings of mean 0, deviation 1."""
    made: Annotated[float, Meta(ge=0)] = 0.1
    """Factor of `decay` for sounds that are synthesised at least half of the time: no two of those are the
    same recording, so there is nothing to learn by heart."""
    steps: Annotated[int, Meta(ge=1)] = 200
    learning_rate: Annotated[float, Meta(gt=0)] = 0.02
    seed: int = 1


class StreamEmbeddings(NamedTuple):
    """What the trunk hears of streams: (n, width) normalised embeddings, (n, sounds) targets and weights."""

    embeddings: Tensor
    heard: Tensor
    weight: Tensor


class ClipEmbeddings(NamedTuple):
    """What it hears of whole clips: (n, chunks, width), (n, chunks) which are sound, (n,) label and onset.

    onset: the chunk in which the clip's sound begins.
    others: (n, sounds) what the clip holds besides or may hold: it is no rival of its label.
    """

    embeddings: Tensor
    mask: Tensor
    label: Tensor
    others: Tensor
    onset: Tensor

    def mask_for(self, rows: Tensor, chunks: Tensor) -> Tensor:
        """(n, chunks) the mask of these rows where so many chunks have been heard since the onset."""
        at = torch.arange(self.mask.shape[1])
        return self.mask[rows] & (at < (self.onset[rows] + chunks)[:, None])


class Stretches(NamedTuple):
    """What it hears of what lasts: (n, 48, width), (n, sounds) which sound, and the weight of saying so."""

    embeddings: Tensor
    heard: Tensor
    weight: Tensor


class Taught(NamedTuple):
    """All that the head is fitted to."""

    streams: StreamEmbeddings
    clips: ClipEmbeddings
    rooms: Stretches
    lasting: Stretches


def train_head(
    encoder: CausalConvNeXt, composer: Composer, clips: Sequence[Clip], run: Run, settings: HeadSettings,
    progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """Fit the encoder's head in place; the trunk, and so every embedding, stays. A finished run is loaded.

    The leader fits it. What a run that was stopped had heard, the encoder hears again: that is most of the
    work, but fills gigabytes.
    """
    with team().leader_first():
        finished = run.folder / "head.pt"
        if not finished.exists():
            taught = Taught(
                stream_embeddings(encoder, composer, settings, progress),
                clip_embeddings(encoder, composer, clips, progress, takes=settings.takes),
                room_embeddings(encoder, composer, settings, progress),
                lasting_embeddings(encoder, composer, settings, progress),
            )
            made = composer.library.indices(name for name, share in SYNTHETIC_SHARE.items() if share >= 0.5)
            head = fit_head(taught, settings, made, run, progress)
            run.keep(finished.name, head.state_dict())
    encoder.head.load_state_dict(torch.load(finished, weights_only=True))


@torch.inference_mode()
def stream_embeddings(
    encoder: CausalConvNeXt, composer: Composer, settings: HeadSettings,
    progress: Progress = lambda done, what: None,
) -> StreamEmbeddings:  # fmt: skip
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
    return StreamEmbeddings(*(torch.cat(part).clone() for part in zip(*parts, strict=True)))


@torch.inference_mode()
def clip_embeddings(
    encoder: CausalConvNeXt, composer: Composer, clips: Sequence[Clip],
    progress: Progress = lambda done, what: None, *, takes: int = 1,
) -> ClipEmbeddings:  # fmt: skip
    """Each clip from a fresh state, after a chunk of hiss; the first take of all of them, then the next."""
    library = composer.library
    known = [clip for clip in clips if clip.label in library.index]
    known.sort(key=lambda clip: clip.stop - clip.start)  # neighbours are heard together
    rng, front_end = np.random.default_rng(0), LogMel(encoder.mels)
    heard: list[tuple[Tensor, int]] = []  # embeddings, and how many of them are of the clip
    onsets: list[int] = []
    for take, at in product(range(takes), range(0, len(known), BATCH)):
        sounds = [library.corpus.audio(clip) for clip in known[at : at + BATCH]]
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
    label = torch.tensor([library.index[clip.label] for clip in known])
    others = torch.from_numpy(np.stack([composer.related[i] for i in label.tolist()])).bool()
    for row, clip in enumerate(known):
        others[row, [*library.indices(clip.labels)]] = True
        others[row, label[row]] = False
    return ClipEmbeddings(
        embeddings, mask, label.repeat(takes), others.repeat(takes, 1), torch.tensor(onsets)
    )


@torch.inference_mode()
def room_embeddings(
    encoder: CausalConvNeXt, composer: Composer, settings: HeadSettings,
    progress: Progress = lambda done, what: None,
) -> Stretches:  # fmt: skip
    """An hour or so of rooms in which nothing sounds."""
    rng = np.random.default_rng([settings.seed, 12])
    stretches = max(1, round(ROOMS * settings.hours / HOURS))
    streams = [composer.library.rooms(rng, stretches * STRETCH * CHUNK_SAMPLES) for _ in range(STREAMS)]
    heard = _long_embeddings(encoder, streams, "head: listening to empty rooms", progress)
    heard = heard.reshape(-1, STRETCH, heard.shape[2])
    nothing = torch.zeros(len(heard), len(composer.labels))
    return Stretches(heard, nothing, torch.ones_like(nothing))


@torch.inference_mode()
def lasting_embeddings(
    encoder: CausalConvNeXt, composer: Composer, settings: HeadSettings,
    progress: Progress = lambda done, what: None,
) -> Stretches:  # fmt: skip
    """Every recording of a steady sound for a quarter of a minute, and crowds that are mixed."""
    rng = np.random.default_rng([settings.seed, 13])
    crowds = round(CROWD_STRETCHES * settings.hours / HOURS)
    library = composer.library
    sounds = [library.pick(rng, crowd) for crowd in library.crowds for _ in range(crowds)]
    for name in library.steady:
        for group in library.pools.get(name, {}).values():
            clip = group[int(rng.integers(len(group)))]
            sounds.append(DrySound(library.corpus.audio(clip), library.indices(clip.labels)))
    n = STRETCH * CHUNK_SAMPLES
    heard = torch.zeros(len(sounds), len(composer.labels))
    weight = torch.ones_like(heard)
    stretches = []
    for row, sound in enumerate(sounds):
        samples = np.resize(np.roll(sound.samples, int(rng.integers(len(sound.samples)))), n)
        stretches.append(samples + rng.normal(0, HISS, n).astype(np.float32))
        for label in sound.labels:
            weight[row, torch.from_numpy(composer.related[label])] = 0.0
        heard[row, list(sound.labels)] = weight[row, list(sound.labels)] = 1.0
    embeddings = _long_embeddings(encoder, stretches, "head: listening to steady sounds", progress)
    return Stretches(embeddings, heard, weight)


def _long_embeddings(
    encoder: CausalConvNeXt, sounds: Sequence[Samples], what: str, progress: Progress
) -> Tensor:
    """(n, chunks, width) normalised embeddings of sounds of one length, each from a fresh state."""
    front_end, heard = LogMel(encoder.mels), []
    for at in range(0, len(sounds), STREAMS):
        batch = torch.from_numpy(np.stack(sounds[at : at + STREAMS]))
        state, parts = encoder.initial_state(len(batch)), []
        for samples in torch.split(batch, CHUNKS * CHUNK_SAMPLES, dim=1):
            (embeddings, _), state = encoder.step(front_end(samples), state)
            parts.append(encoder.norm(embeddings).half())
        heard.append(torch.cat(parts, 1))
        progress(min(1.0, (at + STREAMS) / len(sounds)), what)
    return torch.cat(heard).clone() if heard else torch.zeros(0, STRETCH, encoder.width)


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


class Reader(nn.Module):
    """The head while it is fitted: it reads embeddings (…, width) moved and scaled to deviation one."""

    def __init__(self, embeddings: Tensor, sounds: int) -> None:
        """Zero weights and rare sounds; embeddings: (n, width), for mean and deviation."""
        super().__init__()
        self.head = nn.Linear(embeddings.shape[1], sounds)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, RARE)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", embeddings.float().mean(0))
        self.register_buffer("deviation", embeddings.float().std())

    def forward(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.head((embeddings.float() - self.mean) / self.deviation)
        return logits

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """The same for embeddings as they come."""
        folded = nn.Linear(self.head.in_features, self.head.out_features)
        folded.weight.copy_(self.head.weight / self.deviation)
        folded.bias.copy_(self.head.bias - folded.weight @ self.mean)
        return folded


class Drawn(NamedTuple):
    """A batch: rows of streams and of clips, how much is heard of each clip, rows of rooms and of lasting."""

    streams: Tensor
    clips: Tensor
    chunks: Tensor
    rooms: Tensor
    lasting: Tensor


def fit_head(
    taught: Taught, settings: HeadSettings, made: Sequence[int] = (), run: Run | None = None,
    progress: Progress = lambda done, what: None,
) -> nn.Linear:  # fmt: skip
    """The head for embeddings as they come, from zero weights and rare sounds. made: sounds held less."""
    torch.manual_seed(settings.seed)
    streams, clips = taught.streams, taught.clips
    sounds = streams.heard.shape[1]
    reader = Reader(streams.embeddings, sounds)
    held = torch.full((sounds, 1), settings.decay)
    held[list(made)] *= settings.made
    weights = {
        "streams": 1.0, "clips": settings.clips, "whether": settings.whether, "rooms": settings.rooms,
        "lasting": settings.lasting,
    }  # fmt: skip

    def batches(begin: int) -> Iterator[Drawn]:
        if begin:
            torch.manual_seed(settings.seed + begin)
        while True:
            some = torch.randint(len(streams.embeddings), (min(4096, len(streams.embeddings)),))
            few = torch.randperm(len(clips.label))[:768]
            begun = torch.randint(BEGUN[0], BEGUN[1] + 1, few.shape)
            whole = torch.rand(few.shape) >= settings.begun
            stretches = [
                torch.randint(len(long.embeddings), (count,)) if len(long.embeddings) else NO_ROWS
                for long, count in ((taught.rooms, 64), (taught.lasting, 128))
            ]
            yield Drawn(some, few, begun.masked_fill(whole, clips.mask.shape[1]), *stretches)

    def loss(drawn: Drawn) -> Loss:
        some, few = drawn.streams, drawn.clips
        told = _whether(reader(streams.embeddings[some]), streams.heard[some], streams.weight[some])
        is_silent = ~streams.heard[some].any(1)
        figures = {"streams": (told * torch.where(is_silent, settings.silence, 1.0)).mean()}
        mask = clips.mask_for(few, drawn.chunks)
        best = _best(reader(clips.embeddings[few]).masked_fill(~mask[..., None], 3 * RARE))
        label, others = clips.label[few], clips.others[few]
        figures["clips"] = F.cross_entropy(best.masked_fill(others, float("-inf")), label)
        figures["whether"] = _whether(best, F.one_hot(label, sounds), ~others).mean()
        for name, long, rows in (
            ("rooms", taught.rooms, drawn.rooms), ("lasting", taught.lasting, drawn.lasting),
        ):  # fmt: skip
            if len(rows):
                best = _best(reader(long.embeddings[rows]))
                figures[name] = _whether(best, long.heard[rows], long.weight[rows]).mean()
        value = (held * reader.head.weight.square()).sum()
        for name, figure in figures.items():
            value = value + weights[name] * figure
        return value, {name: figure.detach() for name, figure in figures.items()}

    fit(reader, batches, loss, Stage(
        steps=settings.steps, optimiser=torch.optim.Adam(reader.parameters(), lr=settings.learning_rate),
        schedule=linear(settings.steps), run=run, progress=progress,
    ))  # fmt: skip
    return reader.folded()


def _best(logits: Tensor) -> Tensor:
    """(n, chunks, sounds) -> (n, sounds): the mean of the three best chunks."""
    return logits.topk(min(BEST, logits.shape[1]), dim=1).values.mean(1)


def _whether(logits: Tensor, heard: Tensor, weight: Tensor) -> Tensor:
    """(n, sounds) each -> (n,): binary cross-entropy, summed over sounds."""
    return F.binary_cross_entropy_with_logits(logits, heard.float(), weight.float(), reduction="none").sum(1)
