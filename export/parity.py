"""Proof that the written files are the model: one stream of sound through torch and through the files.

The encoders carry their own states from the first hop to the last, so that drift shows. The later graphs
are fed what torch's made, each error is its own; the decoder's step carries its own cache along the
sentence that torch says. Both sides write sentences with the edge's own beam search. A tagger has none of
that, only its encoder.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from ..runtime.audio import CHUNK, HOP, POWER_FLOOR, RATE
from ..runtime.errors import BundleError
from ..runtime.model.engine import Array, Engine
from ..runtime.model.manifest import TOKENIZER_FILE, GraphFile
from ..runtime.saying.decoder import BOS, Decoder, Vocabulary
from ..runtime.session import SPEAKING
from ..training.models.graph import ExportGraph
from ..training.torch_engine import TorchEngine
from .checkpoint import Checkpoint
from .sound_stream import log_mels

HOPS_PER_SENTENCE = 16
"""A sentence every 5 s: the encoder runs always, the rest often enough to meet every length of segment."""
BATCH = 3
"""Rooms at once, where the graph leaves their number open."""
LISTED = 0.3
"""A sound with this score is shown; agreement counts on which side of it scores fall."""

Parity = dict[str, dict[str, float]]


class Tolerance(NamedTuple):
    """How far a file may be from torch; the reason stands with each."""

    cosine: float
    """Of every output and state tensor, over the whole stream."""
    relative: float | None
    """Largest error over the tensor's largest value."""
    score: float
    """Mean error of the sounds' scores."""
    sentences: float
    """Share of sentences that must be the same, word for word."""


TOLERANCES = {
    # Sums in another order. Two beams may tie within that, so one sentence in fifty may differ.
    "fp32": Tolerance(0.99999, 1e-3, 1e-4, 0.98),
    # 8 bits of mantissa.
    "bf16": Tolerance(0.999, None, 0.02, 0.0),
    # 11 bits of mantissa; inputs, outputs and state are float32.
    "fp16": Tolerance(0.9999, None, 0.005, 0.0),
    # 7-bit weights and 8-bit activations. Words may change and stay right: `edgecap evaluate` judges them.
    "int8": Tolerance(0.99, None, 0.02, 0.0),
}


class Difference:
    """What a tensor's values in the file are from torch's, over many steps."""

    def __init__(self) -> None:
        self.count, self.largest, self.total, self.peak, self.least_cosine = 0, 0.0, 0.0, 0.0, 1.0
        self._dot, self._squares = 0.0, [0.0, 0.0]

    def add(self, expected: Array, found: Array) -> None:
        """One step's values."""
        a, b = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
        error = np.abs(a - b)
        self.count += a.size
        self.largest = max(self.largest, float(error.max()))
        self.total += float(error.sum())
        self.peak = max(self.peak, float(np.abs(a).max()))
        dot, squares = float(a @ b), [float(a @ a), float(b @ b)]
        self.least_cosine = min(self.least_cosine, _cosine(dot, squares))
        self._dot += dot
        self._squares = [self._squares[0] + squares[0], self._squares[1] + squares[1]]

    def figures(self) -> dict[str, float]:
        """Rounded for a manifest: largest and mean error, torch's largest value, cosine of all, and of
        the worst step.
        """
        return {
            "max_error": float(f"{self.largest:.3g}"),
            "mean_error": float(f"{self.total / max(1, self.count):.3g}"),
            "peak": float(f"{self.peak:.3g}"),
            "cosine": round(_cosine(self._dot, self._squares), 7),
            "least_cosine": round(self.least_cosine, 7),
        }


def _cosine(dot: float, squares: Sequence[float]) -> float:
    """Two vectors of zeros are alike; zeros and anything else are not."""
    norm = math.sqrt(squares[0] * squares[1])
    return dot / norm if norm else float(squares[0] == squares[1])


class Pair:
    """A graph twice: in torch, and as the file that was written."""

    def __init__(self, export: ExportGraph, graph: GraphFile, content: bytes) -> None:
        self.name, self.graph = export.graph.name, graph
        self.torch = TorchEngine(export, graph=graph)
        # ONNX Runtime has no bf16 on a CPU: torch in bf16 shows what the precision costs, if not the file.
        is_stood_in = graph.precision == "bf16"
        self.file: TorchEngine | Engine = (
            TorchEngine(export, precision="bf16", graph=graph)
            if is_stood_in
            else Engine(self.name, content, graph)
        )
        self.differences: dict[str, Difference] = {}
        self.begin()

    def begin(self, **sizes: int) -> None:
        """Both states back to zero."""
        self._torch_state = self.torch.initial_state(**sizes)
        self._file_state = self.file.initial_state(**sizes)

    def step(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """The same inputs to both, each on its own state. Returns torch's outputs and the file's."""
        expected, self._torch_state = self.torch.step(inputs, self._torch_state)
        found, self._file_state = self.file.step(inputs, self._file_state)
        for name, value in (expected | self._torch_state).items():
            difference = self.differences.setdefault(f"{self.name}.{name}", Difference())
            difference.add(value, (found | self._file_state)[name])
        return expected, found


def check_parity(
    source: Checkpoint,
    graphs: Mapping[str, GraphFile],
    contents: Mapping[str, bytes],
    *,
    minutes: float = 10.0,
    sounds: Path | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Parity:
    """Figures for every tensor, scores and sentences; raises BundleError where they are over tolerance.

    minutes: how much sound. sounds: a folder of recordings to take turns with the synthesised scene.
    """
    pairs = {
        export.graph.name: Pair(export, graphs[export.graph.name], contents[graphs[export.graph.name].file])
        for export in source.graphs
        if export.graph.name in graphs
    }
    figures = _stream(pairs, source, minutes, sounds, progress)
    for pair in pairs.values():
        figures |= {name: difference.figures() for name, difference in pair.differences.items()}
        judge(pair, figures)
    return figures


def judge(pair: Pair, figures: Parity) -> None:
    """Raise BundleError if a graph's figures are over the tolerance of its precision."""
    tolerance = TOLERANCES[pair.graph.precision]
    faults = [
        f"{name}'s cosine is {figures[name]['cosine']:.5f}, at least {tolerance.cosine} is wanted"
        for name in pair.differences
        if not figures[name]["cosine"] >= tolerance.cosine
    ]
    if tolerance.relative is not None:
        faults += [
            f"{name} is off by up to {figures[name]['max_error']:g} at values up to {figures[name]['peak']:g}"
            for name in pair.differences
            if not figures[name]["max_error"] <= tolerance.relative * max(figures[name]["peak"], 1e-3)
        ]
    scores = figures.get(f"{pair.name}.scores")
    if scores and not scores["mean_error"] <= tolerance.score:
        faults.append(
            f"scores differ by {scores['mean_error']:g} on average, at most {tolerance.score} is wanted"
        )
    if pair.name == "decoder_step" and figures["sentences"]["agreement"] < tolerance.sentences:
        faults.append(f"only {figures['sentences']['agreement']:.0%} of the sentences are the same")
    if faults:
        raise BundleError(
            f"{pair.graph.file} is not the model that it was exported from: nothing was written",
            why="; ".join(faults[:3]),
            fix="export with --target onnx, whose files are exact, or report the model that does this",
        )


def _stream(
    pairs: Mapping[str, Pair],
    source: Checkpoint,
    minutes: float,
    sounds: Path | None,
    progress: Callable[[str], None],
) -> Parity:
    """All graphs over one stream. Returns the figures that are of no single tensor."""
    encoder = pairs["encoder"]
    frames = cast(int, encoder.graph.inputs[0].shape[1])
    hops = max(2, round(minutes * 60 * RATE / HOP / frames))
    # Rooms of one batch differ in loudness, so that rows that are mixed up show.
    batch = 1 if encoder.graph.inputs[0].shape[0] == 1 else BATCH
    gains_db = np.arange(batch, dtype=np.float32)[:, None, None] * 6
    encoder.begin(batch=batch)
    others = [other(pairs, source) for other in (_Sentences, _Texts, _Windows) if other.graph in pairs]
    same_side = same_best = 0
    for hop, log_mel in zip(range(hops), log_mels(source.mels, sounds, frames), strict=False):
        if hop * 10 // hops > (hop - 1) * 10 // hops:
            progress(f"comparing with torch, {hop / hops:.0%}")
        quieter = log_mel - gains_db
        expected, found = encoder.step({"log_mel": quieter})
        same_side += int(np.sum((expected["scores"] >= LISTED) == (found["scores"] >= LISTED)))
        same_best += int(np.sum(expected["scores"].argmax(1) == found["scores"].argmax(1)))
        for other in others:
            other.hear(quieter, expected["embedding"][0])
            if hop % HOPS_PER_SENTENCE == HOPS_PER_SENTENCE - 1 or hop == hops - 1:
                other.compare()
    figures = {
        "stream": {"hops": float(hops), "seconds": round(hops * frames * HOP / RATE, 2)},
        "scores": {
            "listed_agreement": round(same_side / (hops * batch * source.labels), 6),
            "best_agreement": round(same_best / (hops * batch), 6),
        },
    }
    for other in others:
        figures |= other.figures()
    return figures


class _Sentences:
    """The graphs that make sentences, over segments of every length."""

    graph = "decoder_step"

    def __init__(self, pairs: Mapping[str, Pair], source: Checkpoint) -> None:
        self._pairs = pairs
        self._vocabulary = Vocabulary.parse(source.files[TOKENIZER_FILE])
        self._in_torch = self._decoder({name: pair.torch for name, pair in pairs.items()})
        self._in_file = self._decoder({name: pair.file for name, pair in pairs.items()})
        self._ring: deque[Array] = deque(maxlen=source.window)
        self._count = self._same = 0

    def hear(self, log_mel: Array, embedding: Array) -> None:
        """One hop of the stream, as torch embeds it."""
        self._ring.append(embedding)

    def compare(self) -> None:
        """A sentence of each side about the last embeddings, and every graph on torch's way to its own."""
        ring = list(self._ring)
        # Every length of segment from 1 to L comes up, the extremes first.
        length = (1, len(ring), *range(2, len(ring)))[self._count % len(ring)]
        embeddings = np.stack(ring[-length:])  # (n, width)
        words = self._in_torch.describe(embeddings)[0].words
        _compare_sentence(self._pairs, embeddings, [self._vocabulary.words.index(word) for word in words])
        self._count += 1
        self._same += words == self._in_file.describe(embeddings)[0].words

    def figures(self) -> Parity:
        """How many were written, and the share that is the same, word for word."""
        same = round(self._same / max(1, self._count), 4)
        return {"sentences": {"count": float(self._count), "agreement": same}}

    def _decoder(self, graphs: Mapping[str, TorchEngine | Engine]) -> Decoder:
        """The edge's decoder on one side's graphs. A TorchEngine has all of an Engine that it calls."""
        adapter, prefill, step = (cast(Engine, graphs[name]) for name in SPEAKING)
        return Decoder(adapter, prefill, step, self._vocabulary)


class _Texts:
    """The text side: word pieces at random. Few texts or many, known words or none, are alike to a graph."""

    graph = "text"

    def __init__(self, pairs: Mapping[str, Pair], source: Checkpoint) -> None:
        self._pair = pairs[self.graph]
        self._export = next(export for export in source.graphs if export.graph.name == self.graph)
        self._count = 0

    def hear(self, log_mel: Array, embedding: Array) -> None:
        """It hears nothing."""

    def compare(self) -> None:
        """Another text, of another length."""
        sizes = {"batch": 1, "pieces": 1 + self._count % 12}
        self._pair.step({"tokens": self._export.example(sizes, self._count)[0].numpy()})
        self._count += 1

    def figures(self) -> Parity:
        """None but its tensors'."""
        return {}


class _Windows:
    """The encoder over a whole window from a zero state."""

    graph = "encoder_window"

    def __init__(self, pairs: Mapping[str, Pair], source: Checkpoint) -> None:
        self._pair = pairs[self.graph]
        batch = 1 if self._pair.graph.inputs[0].shape[0] == 1 else BATCH
        hops = cast(int, self._pair.graph.inputs[0].shape[1]) // CHUNK
        silence = np.full((batch, CHUNK, source.mels), 10 * np.log10(POWER_FLOOR), np.float32)
        self._window: deque[Array] = deque([silence] * hops, maxlen=hops)

    def hear(self, log_mel: Array, embedding: Array) -> None:
        """One hop of the stream."""
        self._window.append(log_mel)

    def compare(self) -> None:
        """The window as it is now."""
        self._pair.step({"log_mel": np.concatenate(list(self._window), axis=1)})

    def figures(self) -> Parity:
        """None but its tensors'."""
        return {}


def _compare_sentence(pairs: Mapping[str, Pair], embeddings: Array, tokens: Sequence[int]) -> None:
    """Adapter, prefill and each step of one sentence on both sides."""
    adapted, _ = pairs["adapter"].step({"embeddings": embeddings[None]})
    crossed, _ = pairs["decoder_prefill"].step({"memory": adapted["memory"]})
    step = pairs["decoder_step"]
    step.begin(beam=1)
    room = cast(int, step.graph.state[0].shape[3])  # (layers, beam, heads, max_tokens, d_head)
    for position, token in enumerate([BOS, *tokens][:room]):
        step.step({"token": np.array([token]), "position": np.array([position]), **crossed})
