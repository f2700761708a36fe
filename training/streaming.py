"""Causal layers whose left context is their state.

The Streamable law: for every split of x into legal chunks, the concatenated steps equal forward(x).
`step` takes the state and returns the new one; `forward` is the same thing from a zero state over
the whole input, without materialising it. Nothing is hidden in buffers.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = Mapping[str, Tensor]
"""Named state tensors; a step returns a new mapping with the same names and shapes."""


class CausalDepthwise(nn.Conv2d):
    """Depthwise 7x7 convolution over (time, mel) that never looks ahead in time.

    Input and output (B, C, T, M). Time is padded by 6 columns on the left, mel by 3 on both sides.
    State: the last 6 input columns, (B, C, 6, M); zeros are the start of the stream.
    """

    past = 6

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 7, padding=(0, 3), groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 0, self.past, 0)))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([past, x], dim=2)
        return super().forward(x), x[:, :, -self.past :]
