"""Log-mel front ends in torch, for training: ours, causal, and the published one, centred.

`LogMel` is the twin of runtime/hearing/frontend.py. The centred pair keeps the names and tensors of
torchlibrosa's modules, as public checkpoints hold them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.audio import BINS, FFT, HOP, POWER_FLOOR, hann, mel_filters


def decibels(power: Tensor) -> Tensor:
    """10 log10 of power, floored at -100 dB."""
    return 10.0 * torch.log10(power.clamp_min(POWER_FLOOR))


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
        return decibels(power @ self.filters)


class FixedConv(nn.Module):
    """Convolution kernels that are constants: one row of the windowed Fourier transform each."""

    weight: Tensor

    def __init__(self, kernels: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", kernels[:, None])  # (513, 1, 1024)

    def forward(self, samples: Tensor) -> Tensor:
        return F.conv1d(samples, self.weight, stride=HOP)


class StftKernels(nn.Module):
    """The real and imaginary kernels, under torchlibrosa's names."""

    def __init__(self) -> None:
        super().__init__()
        # On the CPU even where a network is built without memory: what is constant costs little.
        bins, steps = (torch.arange(n, device="cpu") for n in (BINS, FFT))
        turns = bins[:, None] * steps[None] % FFT / FFT
        angles = 2 * math.pi * turns.double()
        window = torch.from_numpy(hann()).double()
        self.conv_real = FixedConv((angles.cos() * window).float())
        self.conv_imag = FixedConv((-angles.sin() * window).float())


class CentredStft(nn.Module):
    """(B, N) -> power (B, N // 320 + 1, 513); frame k is centred on sample 320 k, ends reflected."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = StftKernels()

    def forward(self, samples: Tensor) -> Tensor:
        padded = F.pad(samples[:, None], (FFT // 2, FFT // 2), mode="reflect")
        power: Tensor = self.stft.conv_real(padded).square() + self.stft.conv_imag(padded).square()
        return power.transpose(1, 2)


class CentredMel(nn.Module):
    """Power (B, T, 513) -> mel power (B, T, mels)."""

    melW: Tensor  # torchlibrosa's name

    def __init__(self, mels: int) -> None:
        super().__init__()
        self.register_buffer("melW", torch.from_numpy(mel_filters(mels).copy()))

    def forward(self, power: Tensor) -> Tensor:
        mel: Tensor = power @ self.melW
        return mel
