"""ConvNeXt for audio: a causal encoder that streams (MODELS: causal ConvNeXt), after ConvNeXt (Liu et al. 2022)
and its audio adaptation (Pellegrini et al. 2023)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..streaming import CausalDepthwise, State

MEL_STRIDE = 32
"""Stem 4, then three halvings: 32 frames become one embedding, and the mel axis shrinks alike."""


class Size(NamedTuple):
    """Channels and blocks of the four stages."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]


SIZES = {
    "nano": Size((8, 16, 24, 32), (1, 1, 2, 1)),  # for tests
    "atto": Size((40, 80, 160, 320), (2, 2, 6, 2)),
    "pico": Size((64, 128, 256, 512), (2, 2, 6, 2)),
    "tiny": Size((96, 192, 384, 768), (3, 3, 9, 3)),
}


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of one position of (B, C, T, M): never looks along time."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise 7x7, then a pointwise MLP of four times the width, scaled by gamma, added to the input."""

    def __init__(self, channels: int, gamma: float = 0.1) -> None:
        super().__init__()
        self.dwconv = CausalDepthwise(channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), gamma))

    def mix(self, x: Tensor, conv: Tensor) -> Tensor:
        y = self.norm(conv.permute(0, 2, 3, 1))  # (B, T, M, C)
        y = self.pwconv2(nn.functional.gelu(self.pwconv1(y))) * self.gamma
        return x + y.permute(0, 3, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, self.dwconv(x))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        conv, past = self.dwconv.step(x, past)
        return self.mix(x, conv), past


class CausalConvNeXt(nn.Module):
    """Log-mel frames in, one embedding and the scores of known sounds out every 32 frames.

    size: "atto", "pico", "tiny" (or "nano", for tests). mels: a multiple of 32. sounds: classes.
    Legal chunks are multiples of 32 frames, so that no stride ever straddles a chunk.
    """

    def __init__(self, size: str = "atto", mels: int = 64, sounds: int = 527) -> None:
        super().__init__()
        self.size, self.mels, self.sounds = SIZES[size], mels, sounds
        widths, depths = self.size
        self.bn0 = nn.BatchNorm2d(mels)
        stem = nn.Sequential(nn.Conv2d(1, widths[0], 4, stride=4), ChannelNorm(widths[0]))
        self.downsample_layers = nn.ModuleList([stem])
        for before, after in zip(widths, widths[1:], strict=False):
            self.downsample_layers.append(
                nn.Sequential(ChannelNorm(before), nn.Conv2d(before, after, 2, stride=2))
            )
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(width) for _ in range(depth)) for width, depth in zip(widths, depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=1e-6)
        self.head = nn.Linear(widths[-1], sounds)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    @property
    def width(self) -> int:
        """Numbers in an embedding."""
        return self.size.widths[-1]

    def state_shapes(self) -> dict[str, tuple[int, int, int]]:
        """Name -> (channels, 6, mel positions) of every block's state, in the order of computation."""
        return {
            f"s{stage}_b{block}": (width, CausalDepthwise.past, self.mels // (4 << stage))
            for stage, (width, depth) in enumerate(zip(*self.size, strict=True))
            for block in range(depth)
        }

    def initial_state(self, batch: int = 1) -> dict[str, Tensor]:
        """The start of a stream: zeros inside every block, (batch, C, 6, M) each."""
        like = self.head.weight
        return {name: like.new_zeros(batch, *shape) for name, shape in self.state_shapes().items()}

    def _normalise(self, log_mel: Tensor) -> Tensor:
        # bn0 works per mel bin; in eval mode it is a fixed affine, so it may look at any chunk.
        return self.bn0(log_mel.unsqueeze(1).transpose(1, 3)).transpose(1, 3)

    def features(self, log_mel: Tensor) -> Tensor:
        """Embeddings of whole streams: (B, T, mels) in dB, T a multiple of 32 -> (B, T / 32, width)."""
        x = self._normalise(log_mel).contiguous(memory_format=torch.channels_last)
        for downsample, blocks in zip(self.downsample_layers, self.stages, strict=True):
            x = downsample(x)
            for block in blocks:  # type: ignore[attr-defined]  # ModuleList of ModuleList
                x = block(x)
        return x.mean(3).transpose(1, 2)

    def classify(self, embeddings: Tensor) -> Tensor:
        """Logits of the known sounds, (..., width) -> (..., sounds): the clip head applied to one frame."""
        return self.head(self.norm(embeddings))

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, mels) -> embeddings (B, T / 32, width) and scores (B, T / 32, sounds) in [0, 1]."""
        embeddings = self.features(log_mel)
        return embeddings, torch.sigmoid(self.classify(embeddings))

    def step(self, log_mel: Tensor, state: State) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor]]:
        """The next frames of a stream: (B, 32k, mels), and the state after what came before."""
        new: dict[str, Tensor] = {}
        x = self._normalise(log_mel)
        for stage, (downsample, blocks) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = downsample(x)
            for index, block in enumerate(blocks):  # type: ignore[arg-type]
                name = f"s{stage}_b{index}"
                x, new[name] = block.step(x, state[name])
        embeddings = x.mean(3).transpose(1, 2)
        return (embeddings, torch.sigmoid(self.classify(embeddings))), new
