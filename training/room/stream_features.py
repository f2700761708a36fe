"""Segments for SEE: what the frozen encoder hears of composed streams, cut as the edge will cut them.

The encoder runs once over hours of streams, its state carried through, and its embeddings are kept.
A training example is then any cut that begins at an onset and ends 0.3 to 10 s later, with the sentence
that is true of it: so every length is learnt, and a growing segment keeps its sentence.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.audio import CHUNK, CHUNK_SAMPLES, RATE
from ..data.corpus import Label
from ..frontend import LogMel
from ..models.convnext import CausalConvNeXt
from ..prepare.plan import Plan
from ..prepare.play_plan import Renderer
from ..sound import augment
from ..sound.compose import Composer, Scene, Shares
from ..sound.templates import SegmentEvent, sentence

LONGEST = 32
"""Chunks of the longest segment taught: 10.24 s."""
FREE_SHARE = 0.25
"""How many examples are in a person's words, where there are any."""
TOLD = Shares(warnings=0.08, homes=0.2, clear=0.5)
"""Of the scenes that sentences are learnt from."""
LEAST = 0.25
"""Of an event that lasts, this share or three chunks must have been heard before it is said."""


class Spoken(NamedTuple):
    """An event of a stream: its label, and in which of the stream's chunks it sounds."""

    label: int
    first: int
    active: NDArray[np.bool_]
    level_db: float


class Told(NamedTuple):
    """A stretch of a stream, chunks first to last, and what a person said of such sound."""

    first: int
    last: int
    caption: str


class Example(NamedTuple):
    """embeddings (n, width), spectrogram (8 n, mels; after bn0; None where none was kept), the sentence
    that is true of them.

    is_free: the sentence is a person's, not worded by us.
    """

    embeddings: NDArray[np.float16]
    spectrogram: NDArray[np.float16] | None
    caption: str
    is_free: bool = False


class Segments:
    """Embeddings of streams and what sounds in them, to draw examples from."""

    def __init__(
        self, embeddings: list[NDArray[np.float16]], spectra: list[NDArray[np.float16]],
        events: list[list[Spoken]], labels: list[Label], told: Sequence[Sequence[Told]] = (),
    ) -> None:  # fmt: skip
        self.embeddings, self.spectra, self.events, self.labels = embeddings, spectra, events, labels
        self.told = [(row, stretch) for row, stretches in enumerate(told) for stretch in stretches]
        self.by_label: dict[int, list[tuple[int, int]]] = {}
        for row, spoken in enumerate(events):
            for i, event in enumerate(spoken):
                self.by_label.setdefault(event.label, []).append((row, i))

    def draw(self, rng: Generator, longest: int = LONGEST) -> Example:
        """A segment of 2 to `longest` chunks that begins near some event's onset; labels equally often.

        Or a person's caption, of all that it was said of, however short the longest is.
        """
        if self.told and rng.random() < FREE_SHARE:
            row, told = self.told[int(rng.integers(len(self.told)))]
            begin = max(told.first - int(rng.integers(0, 2)), 0)
            return self._cut(row, begin, told.last + 1 + int(rng.integers(0, 3)), told.caption, True)
        while True:
            pool = self.by_label[list(self.by_label)[int(rng.integers(len(self.by_label)))]]
            row, i = pool[int(rng.integers(len(pool)))]
            event = self.events[row][i]
            begin = max(event.first + int(rng.integers(-1, 2)), 0)
            length = int(np.exp(rng.uniform(np.log(2), np.log(longest + 1))))
            end = min(begin + length, len(self.embeddings[row]))
            caption = self.caption(row, begin, end)
            if caption:
                return self._cut(row, begin, end, caption, False)

    def _cut(self, row: int, begin: int, end: int, caption: str, is_free: bool) -> Example:
        spectrogram = self.spectra[row][8 * begin : 8 * end]
        return Example(self.embeddings[row][begin:end], spectrogram, caption, is_free)

    def batch(self, rng: Generator, size: int) -> list[Example]:
        """Examples of like length, so that little is padded: the longest differs from batch to batch."""
        longest = int(np.exp(rng.uniform(np.log(4), np.log(LONGEST + 1))))
        return [self.draw(rng, longest) for _ in range(size)]

    def caption(self, row: int, begin: int, end: int) -> str:
        """The sentence true of chunks begin to end of a stream; "" where nothing is to be said."""
        heard = []
        for event in self.events[row]:
            left, right = max(event.first, begin), min(event.first + len(event.active), end)
            if right <= left:
                continue
            sounding = np.flatnonzero(event.active[left - event.first : right - event.first])
            if len(sounding) >= min(3, max(1, LEAST * event.active.sum())):
                first, last = left - begin + int(sounding[0]), left - begin + int(sounding[-1])
                heard.append(SegmentEvent(event.label, first, last, event.level_db))
        return sentence(heard, self.labels)


@torch.inference_mode()
def encode_streams(
    encoder: CausalConvNeXt, composer: Composer, hours: float, seed: int, shares: Shares = TOLD,
    plans: Sequence[Plan] = (), streams: int = 16,
    progress: Callable[[float, str], None] = lambda done, what: None,
) -> Segments:  # fmt: skip
    """Run the encoder over so many hours of fresh streams, and keep what it hears.

    plans: scenes after people's captions; half of all, where there are any.
    """
    renderer = Renderer(composer.library.corpus, composer.labels)

    def draw(rng: Generator) -> tuple[Scene, str]:
        if plans and rng.random() < 0.5:
            plan = plans[int(rng.integers(len(plans)))]
            captions = (plan.caption, *plan.others)
            return renderer.scene(plan), captions[int(rng.integers(len(captions)))]
        return composer.draw(rng, shares), ""

    front_end = LogMel(encoder.mels)
    seeds = np.random.SeedSequence([seed, 7]).spawn(streams + 1)
    generators = [np.random.default_rng(s) for s in seeds[:-1]]
    rng = np.random.default_rng(seeds[-1])
    length = int(hours * 3600 * RATE / CHUNK_SAMPLES / streams)
    step = 32
    samples = [np.zeros(0, np.float32) for _ in range(streams)]
    events: list[list[Spoken]] = [[] for _ in range(streams)]
    told: list[list[Told]] = [[] for _ in range(streams)]
    composed = [0] * streams
    state = encoder.initial_state(streams)
    embeddings: list[Tensor] = []
    spectra: list[Tensor] = []
    for done in range(0, length, step):
        for row in range(streams):
            while len(samples[row]) < step * CHUNK_SAMPLES:
                scene, caption = draw(generators[row])
                for event in scene.events:
                    where = np.flatnonzero(event.active)
                    if len(where) and event.labels:  # else a noise that has no name
                        first, last = int(where[0]), int(where[-1])
                        active = event.active[first : last + 1]
                        events[row].append(
                            Spoken(event.labels[0], composed[row] + first, active, event.level_db)
                        )
                sounding = np.flatnonzero(np.any([event.active for event in scene.events], 0))
                if caption and len(sounding):
                    first, last = composed[row] + sounding[[0, -1]]
                    told[row].append(Told(int(first), int(last), caption))
                samples[row] = np.concatenate([samples[row], scene.samples])
                composed[row] += len(scene.samples) // CHUNK_SAMPLES
        cut = step * CHUNK_SAMPLES
        log_mel = front_end(torch.from_numpy(np.stack([s[:cut] for s in samples])))
        samples = [s[cut:] for s in samples]
        curves = torch.from_numpy(augment.filter_curves(rng, streams, encoder.mels))
        log_mel = (log_mel + curves[:, None]).clamp_min(-100.0)
        (heard, _), state = encoder.step(log_mel, state)
        embeddings.append(heard.half())
        normal = encoder.bn0(log_mel.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
        spectra.append(normal.reshape(streams, step * 8, CHUNK // 8, -1).mean(2).half())
        progress(min(1.0, (done + step) / length), "listening to composed streams")
    kept = sum(len(heard[0]) for heard in embeddings)  # what was composed last may not have been heard
    told = [[stretch for stretch in stretches if stretch.last < kept] for stretches in told]
    return Segments(
        list(torch.cat(embeddings, 1).numpy()), list(torch.cat(spectra, 1).numpy()), events, composer.labels,
        told,
    )  # fmt: skip


def save(segments: Segments, path: Path) -> None:
    """Keep segments as one .npz, so that a resumed run need not listen again."""
    rows = [
        (row, e.label, e.first, len(e.active), e.level_db)
        for row, spoken in enumerate(segments.events)
        for e in spoken
    ]
    active = np.concatenate([e.active for spoken in segments.events for e in spoken])
    told = [(row, stretch.first, stretch.last) for row, stretch in segments.told]
    beside = path.with_suffix(".tmp.npz")
    np.savez(
        beside, embeddings=np.stack(segments.embeddings), spectra=np.stack(segments.spectra),
        rows=np.array(rows, np.float64), active=active, told=np.array(told, np.int64).reshape(-1, 3),
        captions=np.array([stretch.caption for _, stretch in segments.told], np.str_),
    )  # fmt: skip
    beside.replace(path)


def load(path: Path, labels: list[Label]) -> Segments:
    """What `save` kept."""
    stored = np.load(path)
    events: list[list[Spoken]] = [[] for _ in stored["embeddings"]]
    at = 0
    for row, label, first, length, level in stored["rows"]:
        events[int(row)].append(
            Spoken(int(label), int(first), stored["active"][at : at + int(length)], float(level))
        )
        at += int(length)
    told: list[list[Told]] = [[] for _ in events]
    for (row, first, last), caption in zip(stored["told"].tolist(), stored["captions"].tolist(), strict=True):
        told[row].append(Told(first, last, caption))
    return Segments(list(stored["embeddings"]), list(stored["spectra"]), events, labels, told)
