"""The manifest: what a bundle says of itself, and so the contract between training, export and the edge.

The structs here are the only description of graphs: a model in training declares them,
the exporter writes them, the manifest stores them, the engine checks and runs them.
"""

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from .. import audio

FORMAT = 1
MANIFEST_FILE, TOKENIZER_FILE, LABELS_FILE = "manifest.json", "tokenizer.json", "labels.csv"


class Tensor(msgspec.Struct, frozen=True):
    """One named input or output of a graph; a dimension is a size, or the name of one that varies."""

    name: str
    shape: tuple[int | str, ...]
    dtype: Literal["float32", "int64"] = "float32"


class Graph(msgspec.Struct, frozen=True):
    """What a graph takes and gives. State goes in by one name and comes out as `new_` of it."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()

    def state_pairs(self) -> dict[str, str]:
        """Input name -> output name of every state tensor."""
        return {tensor.name: f"new_{tensor.name}" for tensor in self.state}


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """How a graph was compiled ahead of time; two builds of one graph differ in some bytes."""

    library: Literal["tensorrt", "tensorrt-rtx"]
    version: str
    """Engines run under the very version that built them."""
    capabilities: tuple[str, ...] = ()
    """Compute capabilities of the GPUs that it runs on, "8.6"; none: whichever the library supports."""
    source: str
    """sha256 of the ONNX file that it was built from; in the bundle only if it computes in float32."""
    bindings: dict[str, str] = {}
    """Tensor of the graph -> its name in the engine, where the compiler gave it another."""
    profiles: dict[str, tuple[int, int, int]] = {}
    """Named dimension -> least, usual and most that it may be."""


class GraphFile(msgspec.Struct, frozen=True, kw_only=True):
    """A graph as it lies in the bundle."""

    file: str
    sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    state: tuple[Tensor, ...] = ()
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    backend: Literal["onnx", "tensorrt", "tensorrt-rtx"] = "onnx"
    opset: int | None = None
    """Of an ONNX file."""
    build: Build | None = None
    """Of an engine."""


class AudioContract(msgspec.Struct, frozen=True):
    """The constants of runtime/audio.py that the model was trained with."""

    rate: int
    fft: int
    hop: int
    chunk: int
    mels: int
    mel_low_hz: float
    mel_high_hz: float
    power_floor: float


class Calibration(msgspec.Struct, frozen=True):
    """Logistic map from what the model says to the probability that a caption is right.

    p = sigmoid(bias + score * logit(best sound's score) + likelihood * mean token log-probability)
    """

    bias: float = 0.0
    score: float = 1.0
    likelihood: float = 0.0


class Thresholds(msgspec.Struct, frozen=True):
    """Where the model starts to hear, to tell situations apart and to be believed."""

    level_db: float = -60.0
    novelty: float = 0.5
    confidence: float = 0.5
    hedge: float = 0.35
    calibration: Calibration = Calibration()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """manifest.json, format 1."""

    format: Annotated[int, Meta(ge=1)]
    name: str
    version: str
    created: str
    licence: str
    audio: AudioContract
    labels: int
    window: int
    """L: the most embeddings that the adapter takes."""
    graphs: dict[str, GraphFile]
    thresholds: Thresholds
    engines: dict[str, GraphFile] = {}
    """The same graphs compiled for a GPU; where they can't run, `graphs` do."""
    files: dict[str, str]
    """sha256 of every file that is no graph: labels.csv, tokenizer.json, MODEL_CARD.md, LICENSE."""
    parity: dict[str, dict[str, float]] = {}
    """Tensor -> how far the files are from the model that they were exported from; `verify` made it."""
    training: dict[str, str] = {}
    """Where the weights come from: checkpoint's sha256, sources, commit."""


class Label(NamedTuple):
    """A known sound: row i of labels.csv belongs to score i of the encoder."""

    label: str
    phrase: str
    """How a sentence says it: "a dog barks"."""
    category: str
    manner: str = ""
    """"ambient": a background that may go on for hours. "urgent": said before all else. "T3", "T4":
    that too, an alarm told by this cadence. Or none of these."""


def audio_contract(mels: int) -> AudioContract:
    """What a manifest must say of sound: the constants of runtime/audio.py, and the model's mel bins."""
    return AudioContract(
        rate=audio.RATE,
        fft=audio.FFT,
        hop=audio.HOP,
        chunk=audio.CHUNK,
        mels=mels,
        mel_low_hz=audio.MEL_LOW_HZ,
        mel_high_hz=audio.MEL_HIGH_HZ,
        power_floor=audio.POWER_FLOOR,
    )
