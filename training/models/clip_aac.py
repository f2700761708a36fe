"""CLIP-AAC (Interactive Audio-text Representation for AAC with Contrastive Learning): to say a caption and to
lie near it are learnt at once.

    audio head -> A (a vector, and the map before it) ── cross-attention ─> decoder -> words
    text head  -> T                                     L = α L_cl(A, T) + (1 − α) L_ce(words)   (eq. 7)

At the paper's size the audio head is AudioCLIP's ESResNeXt, the text head CLIP's; on two CPU cores the last
stage of our trunk, or vectors that it left, and a CLIP-shaped head of two layers on our words.
"""

from typing import Literal, NamedTuple

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.model.manifest import Graph
from ...runtime.model.manifest import Tensor as Port
from .convnext import NORM_EPS, SIZES, CausalBlock
from .esresnext import EsResNeXt
from .gpt import GptConfig, GptDecoder
from .graph import ExportGraph, Extent
from .room import BATCH, cached_decoder_graphs
from .see import mean_of_valid
from .sizes import Size

Memory = Literal["vector", "map"]
SCALE, LEAST_SCALE, MOST_SCALE = 100.0, 1.0, 100.0
"""AudioCLIP's temperature: learnt from here, and held within (CAAC-4)."""
LONGEST = 94
"""Positions of a map that the exported graphs take: 30 s of ours."""


class TextHeadConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CLIP's text head; the defaults are CLIP's sizes, 63,690,240 parameters with 1,024 outputs."""

    vocabulary: Size = 49_408
    width: Size = 512
    heads: Size = 8
    layers: Size = 12
    context: Size = 77


class QuickMlp(nn.Module):
    """A layer's MLP, under CLIP's names; its activation is x σ(1.702 x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        up = self.c_fc(x)
        result: Tensor = self.c_proj(up * torch.sigmoid(1.702 * up))
        return result


class TextBlock(nn.Module):
    """Norm, causal self-attention, sum; norm, MLP, sum."""

    def __init__(self, config: TextHeadConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = QuickMlp(config.width)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """hidden: (S, S) bool, True where a token may not look."""
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, attn_mask=hidden, need_weights=False)[0]
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class TextHead(nn.Module):
    """Token numbers -> a caption's place, read where it ends. Its tensors are named as in AudioCLIP."""

    def __init__(self, config: TextHeadConfig, width: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.positional_embedding = nn.Parameter(torch.randn(config.context, config.width) * 0.01)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.ModuleList(TextBlock(config) for _ in range(config.layers))
        self.ln_final = nn.LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.randn(config.width, width) * config.width**-0.5)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens (B, S) int64, S at most the context, padded after (B,) lengths -> (B, width)."""
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        hidden = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=x.device).triu(1)
        for block in self.transformer.get_submodule("resblocks").children():
            x = block(x, hidden)
        last: Tensor = self.ln_final(x)[torch.arange(len(x), device=x.device), lengths - 1]
        return last @ self.text_projection


class AudioClip(TextHead):
    """AudioCLIP without its image head, as its file names it: 95,795,011 parameters, and two scales."""

    def __init__(self, text: TextHeadConfig | None = None, width: int = 1024) -> None:
        super().__init__(text or TextHeadConfig(), width)
        self.audio = EsResNeXt(width)
        self.logit_scale = nn.Parameter(torch.tensor(SCALE).log())  # of text and images
        self.logit_scale_at = nn.Parameter(torch.tensor(SCALE).log())


class Heard(NamedTuple):
    """What an audio head makes of a batch."""

    map: Tensor  # (B, n, C): what was there before it was pooled
    valid: Tensor | None  # (B, n) bool; None is all
    vector: Tensor  # (B, L): A


class PaperAudio(nn.Module):
    """AudioCLIP's audio head; the map's rows and columns are positions. The front end stays as it came."""

    channels = 2048

    def __init__(self, width: int = 1024) -> None:
        super().__init__()
        self.net = EsResNeXt(width)

    def forward(self, samples: Tensor, valid: Tensor | None = None) -> Heard:
        """(B, N) samples at 44.1 kHz, all real."""
        features = self.net.features(samples)
        return Heard(features.flatten(2).transpose(1, 2), None, self.net.pool(features))


class FrameAudio(nn.Module):
    """Vectors that a frozen trunk left, (B, n, width): a Linear on each, their mean, a Linear."""

    def __init__(self, inputs: int, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.entry = nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, channels), nn.ReLU())
        self.pool = nn.Linear(channels, width)

    def forward(self, frames: Tensor, valid: Tensor | None = None) -> Heard:
        features = self.entry(frames)
        return Heard(features, valid, self.pool(mean_of_valid(features, valid)))


class StageAudio(nn.Module):
    """What comes before our trunk's last stage, (B, n, C · M): that stage, then as `FrameAudio`."""

    def __init__(self, size: str, channels: int, width: int) -> None:
        super().__init__()
        self.width = SIZES[size].widths[-1]
        self.stage = nn.ModuleList(CausalBlock(self.width) for _ in range(SIZES[size].depths[-1]))
        self.norm = nn.LayerNorm(self.width, eps=NORM_EPS)
        self.head = FrameAudio(self.width, channels, width)
        self.channels = channels

    def forward(self, maps: Tensor, valid: Tensor | None = None) -> Heard:
        x = maps.reshape(*maps.shape[:2], self.width, -1).transpose(1, 2)  # (B, C, n, M)
        for block in self.stage:
            x = block(x)
        heard: Heard = self.head(self.norm(x.mean(3).transpose(1, 2)), valid)
        return heard


class ClipAac(nn.Module):
    """Both heads and the decoder. width: L, of A and of the text's place."""

    def __init__(
        self, audio: PaperAudio | FrameAudio | StageAudio, text: TextHeadConfig, decoder: GptConfig,
        memory: Memory = "vector", width: int = 1024,
    ) -> None:  # fmt: skip
        super().__init__()
        self.memory_of: Memory = memory
        self.audio = audio
        self.text = TextHead(text, width)
        self.logit_scale_at = nn.Parameter(torch.tensor(SCALE).log())
        self.memory = nn.Linear(width if memory == "vector" else audio.channels, decoder.width)
        self.decoder = GptDecoder(decoder)

    @property
    def scale(self) -> Tensor:
        """1 / temperature."""
        return self.logit_scale_at.exp().clamp(LEAST_SCALE, MOST_SCALE)

    def remember(self, heard: Heard) -> tuple[Tensor, Tensor | None]:
        """What the decoder attends to, and which positions are real: A alone (CAAC-1), or the map."""
        if self.memory_of == "vector":
            return self.memory(heard.vector)[:, None], None
        return self.memory(heard.map), heard.valid

    def forward(
        self, sound: Tensor, valid: Tensor | None, tokens: Tensor, text: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """sound: as the audio head takes it. tokens (B, S): the decoder's; text, lengths: the text head's.

        Returns A and T (B, L), of length 1, and the logits of what follows each of tokens[:, :-1].
        """
        heard = self.audio(sound, valid)
        memory, real = self.remember(heard)
        logits = self.decoder(tokens[:, :-1], memory, real)
        return F.normalize(heard.vector, dim=-1), F.normalize(self.text(text, lengths), dim=-1), logits


class _Adapter(nn.Module):
    """The audio head as the edge's adapter: embeddings -> memory, and A."""

    def __init__(self, model: ClipAac) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        heard = self.model.audio(embeddings)
        return self.model.remember(heard)[0], F.normalize(heard.vector, dim=-1)


def graphs(model: ClipAac, inputs: int | None) -> list[ExportGraph]:
    """The captioning half of a model by the edge's names: adapter, prefill, step.

    inputs: numbers of a frozen trunk's vectors; None: the audio head takes samples, and runs in torch alone.
    """
    positions = Extent(1, LONGEST, 12)
    decoder = model.decoder.config
    memory: tuple[str | int, ...] = ("batch", 1 if model.memory_of == "vector" else "n", decoder.width)
    graph = Graph(
        "adapter",
        inputs=(Port("embeddings", ("batch", "n", *([inputs] if inputs else []))),),
        outputs=(Port("memory", memory), Port("semantic", ("batch", model.text.text_projection.shape[1]))),
    )
    adapter = ExportGraph(graph, _Adapter(model).eval(), {"batch": BATCH, "n": positions})
    return [adapter, *cached_decoder_graphs(model.decoder, positions)]
