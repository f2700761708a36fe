"""What the trunk gives of the sounds that the head is fitted to: streams, clips, pairs of sounds, empty
rooms, what lasts."""

from collections.abc import Callable, Sequence
from itertools import islice, product
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from ...runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ..data.corpus import Clip
from ..frontend import LogMel
from ..loop import Progress
from ..models.convnext import CausalConvNeXt
from ..sound import augment
from ..sound.bank import DrySound, excerpt
from ..sound.compose import Composer, Shares, Stream
from .encoder import Batches

STREAMS, CHUNKS = 16, 32
"""Streams heard side by side, and the chunks between two cuts."""
BATCH = 16
"""Clips of like length heard at once."""
ONSET_DB = -20.0
"""A clip begins with the first chunk that is this near to its loud ones."""
STRETCH = 48
"""Chunks of a room or of a steady sound that are judged together: 15 s."""
ROOMS, CROWD_STRETCHES, HOURS = 16, 96, 6.0
"""Stretches of rooms in each stream, and of each crowd, where this many hours of streams are heard."""
HISS = 3e-4
"""Deviation of the noise under a clip: about -70 dBFS, so that its end is not digital silence."""


PAIR_CHUNKS = 16
"""Chunks of a pair of sounds, the first of hiss: 5.1 s."""

LEAD = 3
"""Chunks of a home that are heard before the sound."""


class Take(NamedTuple):
    """A clip as it is heard once more: where its sound begins, and what else is heard with it."""

    samples: Samples
    onset: int
    """The chunk of `samples`."""
    besides: tuple[int, ...] = ()
    """Labels."""


Retake = Callable[[Generator, Samples], Take]


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
    opinion: Tensor | None = None
    """(n, sounds) what somebody else takes the clip for: probabilities."""

    def mask_for(self, rows: Tensor, chunks: Tensor) -> Tensor:
        """(n, chunks) the mask of these rows where so many chunks have been heard since the onset."""
        at = torch.arange(self.mask.shape[1])
        return self.mask[rows] & (at < (self.onset[rows] + chunks)[:, None])


class PairEmbeddings(NamedTuple):
    """What it hears of two sounds at once: (n, 16, width), (n, 2) their labels, first the one that begins.

    mask: (n, 2, 16) in which chunks each of the two is. others: (n, sounds) what may be heard besides.
    """

    embeddings: Tensor
    mask: Tensor
    label: Tensor
    others: Tensor


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
    pairs: PairEmbeddings | None = None
    """None: nothing is fitted to them."""


@torch.inference_mode()
def stream_embeddings(
    encoder: CausalConvNeXt, composer: Composer, hours: float, seed: int, shares: Shares,
    progress: Progress = lambda done, what: None,
) -> StreamEmbeddings:  # fmt: skip
    """Hours of fresh streams, the encoder's state carried through."""
    seeds = np.random.SeedSequence([seed, 11]).spawn(STREAMS)
    streams = [Stream(composer, np.random.default_rng(seed), CHUNKS, shares) for seed in seeds]
    front_end, state = LogMel(encoder.mels), encoder.initial_state(STREAMS)
    cuts = max(1, round(hours * 3600 * RATE / (STREAMS * CHUNKS * CHUNK_SAMPLES)))
    parts: list[tuple[Tensor, ...]] = []
    for done, (samples, _, heard, weight) in enumerate(islice(Batches(streams), cuts), 1):
        (embeddings, _), state = encoder.step(front_end(samples), state)
        known = heard.flatten(0, 1).bool(), weight.flatten(0, 1).bool()
        parts.append((encoder.norm(embeddings).flatten(0, 1).half(), *known))
        progress(done / cuts, "head: listening to composed streams")
    return StreamEmbeddings(*(torch.cat(part).clone() for part in zip(*parts, strict=True)))


@torch.inference_mode()
def clip_embeddings(
    encoder: CausalConvNeXt, composer: Composer, clips: Sequence[Clip],
    progress: Progress = lambda done, what: None, *, takes: int = 1, retake: Retake | None = None,
    clean: int = 1,
) -> ClipEmbeddings:  # fmt: skip
    """Each clip from a fresh state, after a chunk of hiss; the first take of all of them, then the next.

    retake: how a clip is heard after its clean takes; None: nearer or farther, every other time in a room.
    """
    retake = retake or nearby
    library = composer.library
    known = [clip for clip in clips if clip.label in library.index]
    known.sort(key=lambda clip: clip.stop - clip.start)  # neighbours are heard together
    rng, front_end = np.random.default_rng(0), LogMel(encoder.mels)
    heard: list[tuple[Tensor, int]] = []  # embeddings, and how many of them are of the clip
    onsets: list[int] = []
    besides: list[tuple[int, ...]] = []
    for take, at in product(range(takes), range(0, len(known), BATCH)):
        recorded = [library.corpus.audio(clip) for clip in known[at : at + BATCH]]
        taken = [retake(rng, sound) if take >= clean else Take(sound, _onset(sound)) for sound in recorded]
        sounds = [each.samples for each in taken]
        lengths = [1 - -len(sound) // CHUNK_SAMPLES for sound in sounds]
        samples = rng.normal(0, HISS, (len(sounds), max(lengths) * CHUNK_SAMPLES)).astype(np.float32)
        for row, sound in zip(samples, sounds, strict=True):
            row[CHUNK_SAMPLES : CHUNK_SAMPLES + len(sound)] += sound
        onsets += [1 + each.onset for each in taken]
        besides += [each.besides for each in taken]
        log_mel = front_end(torch.from_numpy(samples))
        if take >= clean:
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
    label, others = label.repeat(takes), others.repeat(takes, 1)
    for row, labels in enumerate(besides):
        others[row, [*labels]] = True
        others[row] |= torch.from_numpy(composer.related[[*labels]].any(0))
    others[torch.arange(len(label)), label] = False
    return ClipEmbeddings(embeddings, mask, label, others, torch.tensor(onsets))


@torch.inference_mode()
def pair_embeddings(
    encoder: CausalConvNeXt, composer: Composer, count: int, seed: int,
    progress: Progress = lambda done, what: None,
) -> PairEmbeddings:  # fmt: skip
    """So many pairs of unlike sounds, -6 to 6 dB and 0 to 1 s apart, two in five of them in a room."""
    rng = np.random.default_rng([seed, 14])
    n, front_end = PAIR_CHUNKS * CHUNK_SAMPLES, LogMel(encoder.mels)
    sounds, heard = len(composer.labels), []
    mask = torch.zeros(count, 2, PAIR_CHUNKS, dtype=torch.bool)
    label = torch.zeros(count, 2, dtype=torch.int64)
    others = torch.zeros(count, sounds, dtype=torch.bool)
    for at in range(0, count, BATCH):
        batch = rng.normal(0, HISS, (min(BATCH, count - at), n)).astype(np.float32)
        for row, samples in enumerate(batch, at):
            pair = _unlike(rng, composer)
            response = augment.room_response(rng) if rng.random() < 0.4 else None
            level_db, start = rng.uniform(-36, -16), CHUNK_SAMPLES
            for which, sound in enumerate(pair):
                dry = excerpt(rng, sound, rng.uniform(1.5, 4.0)).samples
                wet = dry if response is None else augment.reverberate(dry, response)
                begin = start + CHUNK_SAMPLES * _onset(wet)
                end = min(start + len(wet), n)
                level = level_db + (rng.uniform(-6, 6) if which else 0.0)
                loud = np.sqrt(np.quantile(_power(wet), 0.95)) + 1e-6
                samples[start:end] += wet[: end - start] * np.float32(10 ** (level / 20) / loud)
                mask[row, which, begin // CHUNK_SAMPLES : -(-end // CHUNK_SAMPLES)] = True
                label[row, which] = sound.labels[0]
                others[row, [*sound.labels]] = True
                start += int(rng.uniform(0, RATE))
            others[row] |= torch.from_numpy(composer.related[label[row].numpy()].any(0))
            others[row, label[row]] = False
        log_mel = front_end(torch.from_numpy(np.clip(batch, -1.0, 1.0)))
        curves = augment.filter_curves(rng, len(batch), encoder.mels)
        embeddings, _ = encoder((log_mel + torch.from_numpy(curves)[:, None]).clamp_min(-100.0))
        heard.append(encoder.norm(embeddings).half())
        progress(min(1.0, (at + BATCH) / count), "head: listening to pairs of sounds")
    return PairEmbeddings(torch.cat(heard).clone(), mask, label, others)


def _unlike(rng: Generator, composer: Composer) -> tuple[DrySound, DrySound]:
    """Two sounds of which neither may hold the other."""
    library = composer.library
    while True:
        names = rng.choice(library.names, size=2, p=library.weights)
        one, other = (library.pick(rng, str(name)) for name in names)
        a, b = one.labels[0], other.labels[0]
        if not {*one.labels} & {*other.labels} and not composer.related[a, b] | composer.related[b, a]:
            return one, other


@torch.inference_mode()
def room_embeddings(
    encoder: CausalConvNeXt, composer: Composer, hours: float, seed: int,
    progress: Progress = lambda done, what: None,
) -> Stretches:  # fmt: skip
    """An hour or so of rooms in which nothing sounds."""
    rng = np.random.default_rng([seed, 12])
    stretches = max(1, round(ROOMS * hours / HOURS))
    streams = [composer.library.rooms(rng, stretches * STRETCH * CHUNK_SAMPLES) for _ in range(STREAMS)]
    heard = _long_embeddings(encoder, streams, "head: listening to empty rooms", progress)
    heard = heard.reshape(-1, STRETCH, heard.shape[2])
    nothing = torch.zeros(len(heard), len(composer.labels))
    return Stretches(heard, nothing, torch.ones_like(nothing))


@torch.inference_mode()
def lasting_embeddings(
    encoder: CausalConvNeXt, composer: Composer, hours: float, seed: int,
    progress: Progress = lambda done, what: None,
) -> Stretches:  # fmt: skip
    """Every recording of a steady sound for a quarter of a minute, and crowds that are mixed."""
    rng = np.random.default_rng([seed, 13])
    crowds = round(CROWD_STRETCHES * hours / HOURS)
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
    power = _power(sound)
    return int(np.argmax(power >= np.quantile(power, 0.95) * 10 ** (ONSET_DB / 10)))


def _power(sound: Samples) -> Samples:
    """(chunks,) mean square of each chunk, the last filled with zeros."""
    chunks = np.pad(sound, (0, -len(sound) % CHUNK_SAMPLES)).reshape(-1, CHUNK_SAMPLES)
    return np.asarray(np.mean(np.square(chunks), axis=1), np.float32)


def nearby(rng: Generator, sound: Samples) -> Take:
    """The same sound, a little faster or slower, nearer or farther, every other time in a room."""
    sound = augment.change_speed(sound, rng.uniform(0.9, 1.1)) * np.float32(10 ** (rng.uniform(-18, 3) / 20))
    if rng.random() < 0.5:
        sound = augment.reverberate(sound, augment.room_response(rng))
    return Take(sound, _onset(sound))


def lived_in(composer: Composer) -> Retake:
    """Retakes in homes, as composed streams have them: what the room holds besides begins a second before."""

    def retake(rng: Generator, sound: Samples) -> Take:
        sound = augment.change_speed(sound, rng.uniform(0.9, 1.1))
        scene = composer.as_at_home(rng, DrySound(sound, ()), LEAD * CHUNK_SAMPLES)
        besides = [label for event in scene.events for label in event.labels]
        return Take(scene.samples, LEAD + _onset(sound), tuple(besides))

    return retake
