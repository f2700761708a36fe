"""Proof that the written files are the model: one stream of sound through torch and through the files.

The encoders carry their own states from the first hop to the last, so that drift shows. The later graphs
are fed what torch's made, each error is its own; the decoder's step carries its own cache along the
sentence that torch says. At the end both sides write sentences with the edge's own beam search.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from ..runtime.audio import CHUNK_SAMPLES, RATE, Samples
from ..runtime.bundle import GraphFile
from ..runtime.decoder import BOS, Decoder, Vocabulary
from ..runtime.engine import Array, Engine, State
from ..runtime.errors import BundleError, InputMissingError
from ..runtime.frontend import FrontEnd
from ..runtime.scene import synthesise
from ..runtime.sources import file_blocks
from ..training.models.graph import ExportGraph
from .checkpoint import Checkpoint

RECORDINGS = (".flac", ".mp3", ".ogg", ".wav")
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
    # 11 bits of mantissa; inputs, outputs and state are float32.
    "fp16": Tolerance(0.9999, None, 0.005, 0.0),
    # 7-bit weights and 8-bit activations. Words may change and stay right: `edgecap evaluate` judges them.
    "int8": Tolerance(0.99, None, 0.02, 0.0),
}


class TorchGraph:
    """A declared graph in torch, behind the same methods as the edge's Engine."""

    def __init__(self, export: ExportGraph, graph: GraphFile) -> None:
        self.graph = graph
        self._export = export

    def initial_state(self, **sizes: int) -> State:
        """Zeros for every state tensor; sizes gives the dimensions that vary."""
        return {
            port.name: np.zeros(
                [d if isinstance(d, int) else sizes.get(d, 1) for d in port.shape], port.dtype
            )
            for port in self.graph.state
        }

    def step(self, inputs: Mapping[str, Array], state: State) -> tuple[dict[str, Array], State]:
        """Outputs by name, and the state after."""
        values = {**inputs, **state}
        arguments = [torch.from_numpy(np.ascontiguousarray(values[p.name])) for p in self._export.ports_in()]
        with torch.inference_mode():
            results = [result.numpy() for result in self._export.module(*arguments)]
        split = len(self.graph.outputs)
        outputs = dict(zip((port.name for port in self.graph.outputs), results[:split], strict=True))
        return outputs, dict(zip((port.name for port in self.graph.state), results[split:], strict=True))

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, of a graph that remembers nothing."""
        return self.step(inputs, {})[0]


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
        self.torch = TorchGraph(export, graph)
        self.file = Engine(self.name, content, graph)
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
    }
    vocabulary = Vocabulary.parse(source.files["tokenizer.json"])
    figures = _stream(
        pairs, source, vocabulary, max(2, round(minutes * 60 * RATE / CHUNK_SAMPLES)), sounds, progress
    )
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
    vocabulary: Vocabulary,
    hops: int,
    sounds: Path | None,
    progress: Callable[[str], None],
) -> Parity:
    """All graphs over one stream. Returns the figures that are of no single tensor."""
    encoder = pairs["encoder"]
    # Rooms of one batch differ in loudness, so that rows that are mixed up show.
    batch = 1 if encoder.graph.inputs[0].shape[0] == 1 else BATCH
    gains_db = np.arange(batch, dtype=np.float32)[:, None, None] * 6
    encoder.begin(batch=batch)
    in_torch = _decoder({name: pair.torch for name, pair in pairs.items()}, vocabulary)
    in_file = _decoder({name: pair.file for name, pair in pairs.items()}, vocabulary)
    ring: deque[Array] = deque(maxlen=source.window)
    same_side = same_best = sentences = same_sentences = 0
    for hop, log_mel in zip(range(hops), _log_mels(source.mels, sounds), strict=False):
        if hop * 10 // hops > (hop - 1) * 10 // hops:
            progress(f"comparing with torch, {hop / hops:.0%}")
        expected, found = encoder.step({"log_mel": log_mel - gains_db})
        ring.append(expected["embedding"][0])
        same_side += int(np.sum((expected["scores"] >= LISTED) == (found["scores"] >= LISTED)))
        same_best += int(np.sum(expected["scores"].argmax(1) == found["scores"].argmax(1)))
        if hop % HOPS_PER_SENTENCE == HOPS_PER_SENTENCE - 1 or hop == hops - 1:
            # Every length of segment from 1 to L comes up, the extremes first.
            length = (1, len(ring), *range(2, len(ring)))[sentences % len(ring)]
            embeddings = np.stack(list(ring)[-length:])  # (n, width)
            words = in_torch.describe(embeddings)[0].words
            _compare_sentence(pairs, embeddings, [vocabulary.words.index(word) for word in words])
            sentences += 1
            same_sentences += words == in_file.describe(embeddings)[0].words
    return {
        "stream": {"hops": float(hops), "seconds": round(hops * CHUNK_SAMPLES / RATE, 2)},
        "scores": {
            "listed_agreement": round(same_side / (hops * batch * source.labels), 6),
            "best_agreement": round(same_best / (hops * batch), 6),
        },
        "sentences": {"count": float(sentences), "agreement": round(same_sentences / max(1, sentences), 4)},
    }


def _compare_sentence(pairs: Mapping[str, Pair], embeddings: Array, tokens: Sequence[int]) -> None:
    """Adapter, prefill and each step of one sentence on both sides."""
    adapted, _ = pairs["adapter"].step({"embeddings": embeddings[None]})
    crossed, _ = pairs["decoder_prefill"].step({"memory": adapted["memory"]})
    step = pairs["decoder_step"]
    step.begin(beam=1)
    room = cast(int, step.graph.state[0].shape[3])  # (layers, beam, heads, max_tokens, d_head)
    for position, token in enumerate([BOS, *tokens][:room]):
        step.step({"token": np.array([token]), "position": np.array([position]), **crossed})


def _decoder(graphs: Mapping[str, TorchGraph | Engine], vocabulary: Vocabulary) -> Decoder:
    """The edge's decoder on the graphs of one side. A TorchGraph has all of an Engine that it calls."""
    adapter, prefill, step = (cast(Engine, graphs[n]) for n in ("adapter", "decoder_prefill", "decoder_step"))
    return Decoder(adapter, prefill, step, vocabulary)


def _log_mels(mels: int, sounds: Path | None) -> Iterator[NDArray[np.float32]]:
    """(32, mels) log-mel chunks without end, of one stream without cuts."""
    frontend = FrontEnd(mels)
    past = frontend.initial_state()
    rest = np.zeros(0, np.float32)
    for piece in _pieces(sounds):
        rest = np.concatenate([rest, piece])
        while len(rest) >= CHUNK_SAMPLES:
            log_mel, past = frontend.step(rest[:CHUNK_SAMPLES], past)
            rest = rest[CHUNK_SAMPLES:]
            yield log_mel


def _pieces(sounds: Path | None) -> Iterator[Samples]:
    """The synthesised scene over and over, another one each time and ever quieter, between the extremes
    of what a microphone gives; each time followed by a recording, where there are any.
    """
    recordings = _recordings(sounds)
    rng = np.random.default_rng(0)
    for turn in count():
        if recordings:
            yield from (block.samples for block in file_blocks(recordings[turn % len(recordings)]))
        yield synthesise(turn).samples * np.float32(10 ** (-6 * (turn % 6) / 20))
        yield np.zeros(RATE, np.float32)
        yield rng.uniform(-1, 1, RATE).astype(np.float32)  # as loud as can be


def _recordings(sounds: Path | None) -> list[Path]:
    if sounds is None:
        return []
    found = sorted(path for path in sounds.rglob("*") if path.suffix.lower() in RECORDINGS)
    if not found:
        raise InputMissingError(
            f"there are no recordings in {sounds}", why=f"looked for {', '.join(RECORDINGS)}"
        )
    return found
