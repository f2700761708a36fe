"""The torch twin of runtime/frontend.py: causal log-mel frames of whole streams, for training."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.audio import FFT, HOP, POWER_FLOOR, hann, mel_filters


class LogMel(nn.Module):
    """(B, samples) float32 at 32 kHz -> (B, samples // 320, mels) in dB, floored at -100 dB.

    Frame k covers samples [320(k+1) - 1024, 320(k+1)); before the start there are zeros.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, mels: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.from_numpy(hann()), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters(mels).copy()), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        frames = F.pad(samples, (FFT - HOP, 0)).unfold(-1, FFT, HOP)  # (B, T, 1024)
        spectrum = torch.fft.rfft(frames * self.window)
        power = spectrum.real.square() + spectrum.imag.square()
        return 10.0 * torch.log10((power @ self.filters).clamp_min(POWER_FLOOR))
