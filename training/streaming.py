"""Causal layers whose left context is their state.

The Streamable law: for every split of x into legal chunks, the concatenated steps equal forward(x).
`step` takes the state and returns the new one; `forward` is the same thing from a zero state over
the whole input, without materialising it. Nothing is hidden in buffers.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = Mapping[str, Tensor]
"""Named state tensors; a step returns a new mapping with the same names and shapes."""


class Depthwise(torch.autograd.Function):
    """A depthwise convolution, padded by 3 mels on both sides, with gradients that a CPU finds quickly.

    What torch has for the weights' gradient takes more of a step than all else together. It is the
    correlation of the input with the output's gradient, clip by clip and channel by channel: a convolution
    in as many groups, several times as fast (`python benchmarks/training_step.py`).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """x (B, C, T + 6, M); weight (C, 1, 7, 7); bias (C,) -> (B, C, T, M)."""
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=(0, 3), groups=len(weight))

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of x, weight and bias."""
        x, weight = (tensor.to(given.dtype) for tensor in ctx.saved_tensors)
        batch, channels, times, mels = given.shape
        wide = F.pad(given, (0, 0, 6, 6))
        of_x = F.conv2d(wide, weight.flip(2, 3), padding=(0, 3), groups=channels)
        rows = F.pad(x, (3, 3)).reshape(1, batch * channels, times + 6, mels + 6)
        kernels = given.reshape(batch * channels, 1, times, mels)
        each = F.conv2d(rows.contiguous(), kernels.contiguous(), groups=batch * channels)
        exact = torch.promote_types(given.dtype, torch.float32)
        of_weight = each.reshape(batch, *weight.shape).sum(0, dtype=exact)
        return of_x, of_weight, given.sum((0, 2, 3), dtype=exact)


class CausalDepthwise(nn.Conv2d):
    """Depthwise 7x7 convolution over (time, mel) that never looks ahead in time.

    Input and output (B, C, T, M). Time is padded by 6 columns on the left, mel by 3 on both sides.
    State: the last 6 input columns, (B, C, 6, M); zeros are the start of the stream.
    """

    past = 6

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 7, padding=(0, 3), groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        return self._convolved(F.pad(x, (0, 0, self.past, 0)))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([past, x], dim=2)
        return self._convolved(x), x[:, :, -self.past :]

    def _convolved(self, x: Tensor) -> Tensor:
        if self.training and self.bias is not None and x.device.type == "cpu" and torch.is_grad_enabled():
            convolved: Tensor = Depthwise.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]  # torch's own stub has none
            return convolved
        return super().forward(x)
