"""Thorough: a stretch of a recording through three encoders and EDTC's fuser -> one sentence.

    samples -> mn04, YAMNet, the bundle's own encoder -> T steps of each -> fuser -> beam search

For recordings alone: two of the encoders hear whole stretches and look to both sides, and a sentence costs
much more than a room's. What was heard, and when, is the session's; this finds better words for it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import soxr
from numpy.typing import NDArray

from .audio import CHUNK_SAMPLES, RATE, Samples
from .errors import BundleError
from .events import Caption
from .model.bundle import Bundle
from .model.engine import Engine
from .saying.decoder import Decoder, Vocabulary
from .saying.wording import sentence
from .session import Model

WORDS_FILE = "fuser_tokenizer.json"
BEAM = 4
LONGEST = 15 * RATE
"""Samples of a stretch that are heard: the sounds that taught it last no longer."""
LEAST_LOG_PROB = -1.5
"""Mean log-probability of its tokens below which a sentence is doubted, and the session's own stands."""
YAMNET_RATE, PATCH, PATCH_HOP = 16_000, 96, 48
"""Hz; frames of 10 ms in a patch of YAMNet, and between two."""
GRAPHS = ("fuser", "fuser_prefill", "fuser_step")
FRONT_ENDS = {"mn04": ("mn04_frontend", "mn04"), "yamnet": ("yamnet_frontend", "yamnet")}
"""Encoder -> its graphs in the bundle."""
HEARD = "heard_"
"""Before an encoder's name: the fuser's inputs."""

Vectors = NDArray[np.float32]


def ears(bundle: Bundle) -> tuple[str, ...]:
    """The encoders that a bundle's fuser wants, in its order.

    Raises BundleError where the bundle has no fuser.
    """
    if "fuser" not in bundle.manifest.graphs:
        raise BundleError(
            f"{bundle.path} can't caption thoroughly",
            why="it has no fuser of three encoders; no bundle that ships has one",
            fix="make one as docs/papers.md says under EDTC, and name it with --bundle",
        )
    return tuple(port.name.removeprefix(HEARD) for port in bundle.manifest.graphs["fuser"].inputs)


@dataclass(frozen=True)
class Thorough:
    """What hears and words a stretch. Holds weights only."""

    hear: Mapping[str, Callable[[Samples], Vectors]]
    """Encoder -> (n,) samples at 32 kHz to (steps, width)."""
    fuser: Engine
    decoder: Decoder
    least_log_prob: float = LEAST_LOG_PROB

    @classmethod
    def load(cls, bundle: Bundle, model: Model) -> "Thorough":
        """Of a bundle that has a fuser. model: the same bundle's, whose encoder is the third.

        Raises BundleError where it has none, or a graph of it does not load.
        """
        names = ears(bundle)

        def engine(name: str) -> Engine:
            return Engine(name, bundle.graph(name), bundle.manifest.graphs[name])

        hear: dict[str, Callable[[Samples], Vectors]] = {}
        for name in names:
            if name == "ours":
                hear[name] = own_ear(model)
            elif name in FRONT_ENDS:
                front_end, net = (engine(graph) for graph in FRONT_ENDS[name])
                hear[name] = (mn04_ear if name == "mn04" else yamnet_ear)(front_end, net)
            else:
                raise BundleError(
                    f"{bundle.path} wants the encoder {name}", why="this edgecap does not know it",
                    fix="update edgecap, or export it again",
                )  # fmt: skip
        fuser, prefill, step = (engine(name) for name in GRAPHS)
        words = Vocabulary.parse(bundle.read(WORDS_FILE))
        return cls(hear, fuser, Decoder(fuser, prefill, step, words))

    def describe(self, samples: Samples) -> tuple[str, float]:
        """A sentence for (n,) samples, n at least 1, and its mean log-probability."""
        samples = samples[:LONGEST]
        inputs = {}
        for port in self.fuser.graph.inputs:
            steps = port.shape[1]
            assert isinstance(steps, int)
            heard = self.hear[port.name.removeprefix(HEARD)](samples)
            inputs[port.name] = stretched(heard, steps)[None]
        memory = self.fuser.run(inputs)["memory"]
        tokens, log_prob = self.decoder.beam_search(memory, BEAM)[0]
        return sentence(self.decoder.vocabulary.words[token] for token in tokens), log_prob

    def reworded(self, events: Sequence[Caption], blocks: Iterable[Samples]) -> list[Caption]:
        """A recording's captions in better words: of each, that it appeared and that it ended.

        events: all that a session said of the recording. blocks: its samples again, from the first.
        """
        last = {event.id: event for event in events}
        ended = {event.id: event.end for event in events if event.end is not None}
        wanted = sorted(last.values(), key=lambda event: event.start)
        spans = [(one.start, max(ended.get(one.id, one.start), one.start + RATE)) for one in wanted]
        found: list[Caption] = []
        for caption, samples in zip(wanted, cut(blocks, spans), strict=True):
            text, log_prob = self.describe(samples) if len(samples) else ("", -np.inf)
            if text and log_prob >= self.least_log_prob:
                caption = msgspec.structs.replace(caption, text=text)
            found.append(msgspec.structs.replace(caption, kind="new", end=None))
            found.append(msgspec.structs.replace(caption, kind="end", end=ended.get(caption.id, caption.end)))
        return found


def cut(blocks: Iterable[Samples], spans: Sequence[tuple[int, int]]) -> Iterator[Samples]:
    """The samples of each span [start, end), which are in order of their starts, at most LONGEST of each.

    No more of the recording is kept than the spans that are open.
    """
    feed = iter(blocks)
    held, begin = np.zeros(0, np.float32), 0  # what is kept, and where in the recording it begins
    for start, end in spans:
        end = min(end, start + LONGEST)
        while begin + len(held) < end and (block := next(feed, None)) is not None:
            held = np.concatenate([held, block])
            before = min(len(held), max(0, start - begin))
            held, begin = held[before:], begin + before
        yield held[start - begin : end - begin]


def own_ear(model: Model) -> Callable[[Samples], Vectors]:
    """The room's own encoder, from a fresh state."""

    def hear(samples: Samples) -> Vectors:
        return np.stack([heard.vector for heard in model.hearing().follow(whole_chunks(samples))])

    return hear


def mn04_ear(front_end: Engine, net: Engine) -> Callable[[Samples], Vectors]:
    """EfficientAT mn04: 384 numbers every 320 ms."""

    def hear(samples: Samples) -> Vectors:
        log_mel = front_end.run({"waveform": whole_chunks(samples)[None]})["logmel"]
        sequence: Vectors = net.run({"logmel": log_mel})["sequence"][0]
        return sequence

    return hear


def yamnet_ear(front_end: Engine, net: Engine) -> Callable[[Samples], Vectors]:
    """YAMNet: 1,024 numbers of each patch of 0.96 s, every 0.48 s."""

    def hear(samples: Samples) -> Vectors:
        slow = soxr.resample(samples, RATE, YAMNET_RATE)
        slow = np.pad(slow, (0, max(0, YAMNET_RATE - len(slow)))).astype(np.float32)
        log_mel = front_end.run({"waveform": slow[None]})["logmel"][0]
        starts = range(0, len(log_mel) - PATCH + 1, PATCH_HOP)
        patches = np.stack([log_mel[start : start + PATCH] for start in starts])
        vectors: Vectors = net.run({"logmel": patches})["embedding"]
        return vectors

    return hear


def whole_chunks(samples: Samples) -> Samples:
    """Silence after the end, to whole chunks, two at least: mn04 needs some frames to look at."""
    chunks = max(2, -(-len(samples) // CHUNK_SAMPLES))
    return np.pad(samples, (0, chunks * CHUNK_SAMPLES - len(samples))).astype(np.float32)


def stretched(heard: Vectors, steps: int) -> Vectors:
    """(n, d) -> (steps, d), linearly interpolated, corners not aligned: as the fuser was taught."""
    at = np.maximum((np.arange(steps) + 0.5) * len(heard) / steps - 0.5, 0.0)
    left = np.floor(at).astype(int)
    right = np.minimum(left + 1, len(heard) - 1)
    share = (at - left)[:, None]
    return np.asarray(heard[left] * (1 - share) + heard[right] * share, np.float32)
