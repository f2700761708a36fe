"""The bundle: what training hands to the edge, a folder (or the same as one .zip) with a manifest.

The dataclasses here are the only description of graphs: a model in training declares them,
the exporter writes them, the manifest stores them, the engine checks and runs them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FORMAT = 1


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
    parity: dict[str, dict[str, float]] = {}
    training: dict[str, str] = {}
