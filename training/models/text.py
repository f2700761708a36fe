"""The text side of search and alerts: word pieces -> a vector in the sentence model's space.

Half a million weights and a table of word pieces, distilled from a sentence model of twenty million
(training/room/text_side.py), so that a question in plain words is answered where no torch is.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.model.manifest import Graph
from ...runtime.model.manifest import Tensor as Port
from ...runtime.model.text import GRAPH, LONGEST, PAD, VOCABULARY_FILE, WordPieces
from .attention import attend, join_heads, split_heads
from .checkpoint import fill, read_config, read_tensors, write_json, write_tensors
from .graph import ExportGraph, Extent
from .sizes import Size, check_heads

CONFIG_FILE, TENSORS_FILE = "text.json", "text.safetensors"


class TextConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes of a text encoder; rides in the checkpoint."""

    table: Size = 96
    """Numbers that a word piece has of its own: nearly all of the file's size."""
    width: Size = 192
    heads: Size = 4
    hidden: Size = 384
    layers: Annotated[int, Meta(ge=0)] = 2
    sentence: Size = 384
    """d_text: the width of the sentence model's vectors."""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


class Layer(nn.Module):
    """Self-attention and MLP, LayerNorm before each."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.hidden)
        self.down = nn.Linear(config.hidden, config.width)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """x (B, n, d); visible: bool, (B, 1, 1, n)."""
        query, key, value = (split_heads(p, self.heads) for p in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        x = x + self.out(join_heads(attend(query, key, value, visible)))
        result: Tensor = x + self.down(F.gelu(self.up(self.norm2(x))))
        return result


class TextEncoder(nn.Module):
    """Numbers of word pieces (B, n), PAD after the end -> (B, d_text), length 1."""

    def __init__(self, config: TextConfig, pieces: int) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(pieces, config.table)
        self.entry = nn.Linear(config.table, config.width)
        self.positions = nn.Parameter(torch.randn(LONGEST, config.width) * 0.02)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.weight = nn.Linear(config.width, 1)
        """How much a piece counts in the pooled vector, before the softmax."""
        self.output = nn.Linear(config.width, config.sentence)
        nn.init.zeros_(self.weight.weight)  # at first, the mean

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(self.table(tokens), tokens)

    def read(self, pieces: Tensor, tokens: Tensor) -> Tensor:
        """What follows the table. pieces (B, n, table): the tokens' rows of it."""
        # The first is always read: a row of padding alone would come out as NaN.
        valid = (tokens != PAD) | (torch.arange(tokens.shape[1], device=tokens.device) == 0)
        x = self.entry(pieces) + self.positions[: pieces.shape[1]]
        for layer in self.layers:
            x = layer(x, valid[:, None, None, :])
        x = self.norm(x)
        share = self.weight(x).masked_fill(~valid[..., None], -torch.inf).softmax(1)
        return F.normalize(self.output((share * x).sum(1)), dim=-1)


class Rounded(nn.Module):
    """The encoder as it is exported: its table in int8, a scale for each piece.

    The table is what the file is made of, and no exporter's quantiser touches look-ups.
    """

    codes: Tensor
    scales: Tensor

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        table = encoder.table.weight.detach()
        scales = table.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        self.register_buffer("codes", (table / scales).round().to(torch.int8))
        self.register_buffer("scales", scales)

    def forward(self, tokens: Tensor) -> tuple[Tensor]:
        pieces = self.codes[tokens].to(self.scales.dtype) * self.scales[tokens]
        return (self.encoder.read(pieces, tokens),)


def graph(encoder: TextEncoder) -> ExportGraph:
    """The text side as the edge runs it: one text at a time, or many, padded."""
    declared = Graph(
        GRAPH,
        inputs=(Port("tokens", ("batch", "pieces"), "int64"),),
        outputs=(Port("semantic", ("batch", encoder.config.sentence)),),
    )
    return ExportGraph(
        declared,
        Rounded(encoder).eval(),
        {"batch": Extent(1, 4096, 2), "pieces": Extent(1, LONGEST, 8)},
        integers={"tokens": encoder.table.num_embeddings},
        on_gpu=False,
    )


def save(encoder: TextEncoder, words: WordPieces, folder: Path) -> None:
    """Write text.safetensors, text.json and text_vocab.txt into a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(encoder.config, folder / CONFIG_FILE)
    (folder / VOCABULARY_FILE).write_bytes(words.content())
    write_tensors(encoder, folder / TENSORS_FILE)


def load(folder: Path) -> tuple[TextEncoder, WordPieces]:
    """The text encoder of a checkpoint folder, in eval mode.

    Raises InputMissingError if it has none, BundleError if its files do not fit together.
    """
    missing = f"{folder} has no text encoder"
    config = read_config(folder / CONFIG_FILE, TextConfig, "a text encoder", missing)
    words = WordPieces.parse((folder / VOCABULARY_FILE).read_bytes())
    encoder = TextEncoder(config, len(words))
    fill(encoder, read_tensors(folder / TENSORS_FILE), folder / TENSORS_FILE)
    return encoder.eval(), words


def has_text(folder: Path) -> bool:
    """Whether a checkpoint folder has a text encoder."""
    return (folder / CONFIG_FILE).is_file()
