"""Attention-based retrieval (Enhancing Audio Retrieval with Attention-based Encoder for Audio Feature
Representation): frames of an audio encoder and a sentence's vector, each into one space.

    frames F (t, D_in) -> Linear, ReLU (RET-1) -> attention -> mean over time -> Linear -> a
    sentence (d_text,) -> Linear -> s;  likeness is the cosine of a and s (eq. 5)

The attention is the paper's question: none, graph (eq. 1, 2) or self-attention (eq. 3, 4).
"""

import math
from typing import Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.model.manifest import Graph
from ...runtime.model.manifest import Tensor as Port
from .graph import ExportGraph, Extent
from .see import mean_of_valid
from .sizes import Size

Attention = Literal["none", "graph", "self"]
SLOPE = 0.2
"""Of the graph's LeakyReLU."""
LONGEST = 94
"""Embeddings of the longest segment that the exported graph takes: 30 s, as the adapter's."""


class RetrievalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes of both heads; the defaults are the paper's."""

    frames: Size = 2048
    """D_in: numbers of the audio encoder's frame."""
    attended: Size = 1024
    """D_A."""
    sentence: Size = 768
    """d_text."""
    width: Size = 1024
    """Of the space that both come into."""
    attention: Attention = "self"


class GraphAttention(nn.Module):
    """F + softmax(R) F W₁ᵀ, r_ij = LeakyReLU(W₂ [W₁ f_i; W₁ f_j]): every frame a node, all linked (eq. 1, 2).

    W₂ is in two halves, so R is the outer sum of two columns.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, width, bias=False)
        self.w2 = nn.Linear(2 * width, 1, bias=False)

    def forward(self, frames: Tensor, valid: Tensor) -> Tensor:
        """(B, t, D), valid (B, t) bool -> (B, t, D)."""
        nodes = self.w1(frames)
        here, there = self.w2.weight.chunk(2, dim=1)  # (1, D) each
        relation = F.leaky_relu(nodes @ here.T + (nodes @ there.T).transpose(1, 2), SLOPE)  # (B, t, t)
        attended: Tensor = frames + relation.masked_fill(~valid[:, None], -math.inf).softmax(-1) @ nodes
        return attended


class SelfAttention(nn.Module):
    """φ(F̂) + F̂ with F̂ = F + softmax(Q Kᵀ / √D) V, one head, φ an MLP of two layers (eq. 3, 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, width)
        self.down = nn.Linear(width, width)

    def forward(self, frames: Tensor, valid: Tensor) -> Tensor:
        """(B, t, D), valid (B, t) bool -> (B, t, D)."""
        scores = self.query(frames) @ self.key(frames).transpose(1, 2) / math.sqrt(frames.shape[-1])
        attended = frames + scores.masked_fill(~valid[:, None], -math.inf).softmax(-1) @ self.value(frames)
        result: Tensor = self.down(F.relu(self.up(attended))) + attended
        return result


class NoAttention(nn.Module):
    """The frames as they are: what the paper compares with."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, frames: Tensor, valid: Tensor) -> Tensor:
        return frames


ATTENTIONS: dict[Attention, type[nn.Module]] = {
    "none": NoAttention,
    "graph": GraphAttention,
    "self": SelfAttention,
}


class AudioHead(nn.Module):
    """Frames of a clip -> its place in the common space."""

    def __init__(self, config: RetrievalConfig) -> None:
        super().__init__()
        self.entry = nn.Linear(config.frames, config.attended)
        self.attention = ATTENTIONS[config.attention](config.attended)
        self.projection = nn.Linear(config.attended, config.width)

    def forward(self, frames: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, t, D_in), valid (B, t) bool, None is all -> (B, width), each of length 1."""
        if valid is None:
            valid = torch.ones_like(frames[..., 0], dtype=torch.bool)
        attended = self.attention(F.relu(self.entry(frames)), valid)
        return F.normalize(self.projection(mean_of_valid(attended, valid)), dim=-1)


class Retrieval(nn.Module):
    """Both heads; the encoders before them are the caller's."""

    def __init__(self, config: RetrievalConfig) -> None:
        super().__init__()
        self.config = config
        self.audio = AudioHead(config)
        self.text = nn.Linear(config.sentence, config.width)

    def embed_text(self, sentences: Tensor) -> Tensor:
        """(B, d_text) sentence vectors -> (B, width), each of length 1."""
        return F.normalize(self.text(sentences), dim=-1)


class _TextHead(nn.Module):
    def __init__(self, model: Retrieval) -> None:
        super().__init__()
        self.model = model

    def forward(self, sentences: Tensor) -> tuple[Tensor]:
        return (self.model.embed_text(sentences),)


class _AudioSide(nn.Module):
    def __init__(self, model: Retrieval) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor) -> tuple[Tensor]:
        return (self.model.audio(embeddings),)


def graphs(model: Retrieval) -> list[ExportGraph]:
    """What the edge would run: a closed segment's place, and a question's. Dimensions as the adapter's."""
    config = model.config
    sizes = {"batch": Extent(1, 4096, 2), "n": Extent(1, LONGEST, 7)}
    audio = Graph(
        "retrieval_audio",
        inputs=(Port("embeddings", ("batch", "n", config.frames)),),
        outputs=(Port("place", ("batch", config.width)),),
    )
    text = Graph(
        "retrieval_text",
        inputs=(Port("sentence", ("batch", config.sentence)),),
        outputs=(Port("place", ("batch", config.width)),),
    )
    return [
        ExportGraph(audio, _AudioSide(model).eval(), sizes),
        ExportGraph(text, _TextHead(model).eval(), {"batch": sizes["batch"]}),
    ]
