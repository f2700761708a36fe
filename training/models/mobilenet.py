"""MobileNetV3 as EfficientAT has it (Schmid et al. 2023, mn04_as: width 0.4), to train further.

    (B, heard, 128, frames) normalised log-mel -> (B, steps, 384), one vector every 320 ms

The public file's batch norms are folded into its convolutions, and so they stay here. Tensors stand in the
order of that file, by which they are read from it and written back into it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Inverted(NamedTuple):
    """An inverted residual block: kernel, channels within and after it, stride, whether its channels are
    squeezed and excited, and whether its activation is the hard swish or a ReLU."""

    kernel: int
    expanded: int
    out: int
    stride: int
    squeeze: bool
    swish: bool


STEM, WIDTH = 8, 384
BLOCKS = (
    Inverted(3, 8, 8, 1, squeeze=False, swish=False),
    Inverted(3, 24, 16, 2, squeeze=False, swish=False),
    Inverted(3, 32, 16, 1, squeeze=False, swish=False),
    Inverted(5, 32, 16, 2, squeeze=True, swish=False),
    Inverted(5, 48, 16, 1, squeeze=True, swish=False),
    Inverted(5, 48, 16, 1, squeeze=True, swish=False),
    Inverted(3, 96, 32, 2, squeeze=False, swish=True),
    Inverted(3, 80, 32, 1, squeeze=False, swish=True),
    Inverted(3, 72, 32, 1, squeeze=False, swish=True),
    Inverted(3, 72, 32, 1, squeeze=False, swish=True),
    Inverted(3, 192, 48, 1, squeeze=True, swish=True),
    Inverted(3, 272, 48, 1, squeeze=True, swish=True),
    Inverted(5, 272, 64, 2, squeeze=True, swish=True),
    Inverted(5, 384, 64, 1, squeeze=True, swish=True),
    Inverted(5, 384, 64, 1, squeeze=True, swish=True),
)  # fmt: skip


def _conv(inputs: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, out, kernel, stride, kernel // 2, groups=groups)


class Squeeze(nn.Module):
    """Channels weighed by what the whole window holds of them (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = _eighths(channels / 4)
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        shares: Tensor = self.fc2(self.fc1(x.mean((2, 3))).relu()).sigmoid()
        return x * shares[:, :, None, None]


class Block(nn.Module):
    """Wider, along time and bands within each channel, and narrow again; added to its input where it can."""

    def __init__(self, inputs: int, kind: Inverted) -> None:
        super().__init__()
        self.act = nn.Hardswish() if kind.swish else nn.ReLU()
        self.expand = _conv(inputs, kind.expanded, 1) if kind.expanded != inputs else None
        self.depthwise = _conv(kind.expanded, kind.expanded, kind.kernel, kind.stride, kind.expanded)
        self.squeeze = Squeeze(kind.expanded) if kind.squeeze else None
        self.project = _conv(kind.expanded, kind.out, 1)
        self.residual = kind.stride == 1 and inputs == kind.out

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.expand(x)) if self.expand else x
        y = self.act(self.depthwise(y))
        narrow: Tensor = self.project(self.squeeze(y) if self.squeeze else y)
        return x + narrow if self.residual else narrow


class MobileNet(nn.Module):
    """The net up to its sequence of vectors; what of the public file comes after is not in it."""

    def __init__(self, heard: int = 1) -> None:
        """heard: spectrograms of the same moments, one beside the other; the public file's is one."""
        super().__init__()
        self.stem = _conv(heard, STEM, 3, 2)
        inputs = [STEM, *(kind.out for kind in BLOCKS)]
        self.blocks = nn.Sequential(*(Block(n, kind) for n, kind in zip(inputs, BLOCKS, strict=False)))
        self.last = _conv(inputs[-1], WIDTH, 1)
        self.act = nn.Hardswish()

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, heard, 128, frames) -> (B, -(-frames // 32), 384)."""
        x = self.blocks(self.act(self.stem(log_mel)))
        vectors: Tensor = self.act(self.last(x)).mean(2).transpose(1, 2)
        return vectors

    def tensors(self) -> Iterator[Tensor]:
        """Its weights and biases in the public file's order."""
        return self.parameters()

    @torch.no_grad()
    def read(self, tensors: Sequence[Tensor]) -> None:
        """Take the public file's first tensors; its stem hears the mean of what is heard."""
        stem, *others = tensors
        self.stem.weight.copy_((stem / self.stem.in_channels).expand_as(self.stem.weight))
        for own, tensor in zip(list(self.tensors())[1:], others, strict=False):
            own.copy_(tensor)


def _eighths(channels: float) -> int:
    """The nearest multiple of eight, but no tenth less (Sandler et al. 2018)."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near if near >= 0.9 * channels else near + 8
