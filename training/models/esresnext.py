"""ESResNeXt-fbsp (Guzhov et al. 2021), AudioCLIP's audio head, under the names of its public weights.

    44.1 kHz -> frames of 1,654, hop 561 -> learnt time-frequency transform, 1,025 bins -> 3 bands of 341 as
    channels, dB -> a ResNeXt-50 (3, 4, 6, 3 blocks), each stage times an attention branch -> (B, 1024)

32,104,771 parameters with 1,024 outputs. The CLIP-AAC paper prints another second path (max-pool, conv 3×3,
conv 1×1, batch norm, no sigmoid) and three blocks a stage; the weights have what is here (CAAC-5).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 44_100
FRAME, HOP, BINS = 1654, 561, 1025
BANDS = 3
STAGES = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
GROUPS, GROUP_WIDTH = 32, 4
POWER_FLOOR = 1e-18
EPS = 1e-8
BLACKMAN_HARRIS = (0.35875, -0.48829, 0.14128, -0.01168)


class Fbsp(nn.Module):
    """Complex frequency B-spline wavelets: a Fourier transform whose windows and frequencies are learnt.

    Of each of 1,025 bins: order m, width fb, frequency fc. With m = 0, fb = 1 and fc = 0, 1, 2, … it is the
    Fourier transform of a frame as it is.
    """

    def __init__(self, bins: int = BINS) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(bins))
        self.fb = nn.Parameter(torch.ones(bins))
        self.fc = nn.Parameter(torch.arange(bins).float())
        self.register_parameter("bias", nn.Parameter(torch.zeros(0)))  # the weights hold an empty one

    def kernels(self, length: int) -> tuple[Tensor, Tensor]:
        """(bins, length) real and imaginary part, for frames of so many samples."""
        like = self.m
        t = math.pi * torch.linspace(-1.0, 1.0, length, dtype=like.dtype, device=like.device) + EPS
        order, width, frequency = self.m[:, None], self.fb[:, None], self.fc[:, None]
        angle = width * t / (order + EPS)
        sinc = torch.where(angle == 0, torch.ones_like(angle), angle.sin() / angle)
        # sinc to the power of m: of a negative one the phase is π m.
        size = width.sqrt() * sinc.square().pow(0.5 * order) / math.sqrt(length)
        phase = torch.where(sinc < 0, math.pi * order, torch.zeros_like(sinc)) - frequency * t
        return size * phase.cos(), size * phase.sin()

    def forward(self, frames: Tensor) -> Tensor:
        """(B, n, length) -> power (B, bins, n)."""
        real, imaginary = self.kernels(frames.shape[-1])
        power: Tensor = F.linear(frames, real).square() + F.linear(frames, imaginary).square()
        return power.transpose(1, 2)


class Bottleneck(nn.Module):
    """1×1, grouped 3×3, 1×1, around which the input goes too."""

    def __init__(self, before: int, planes: int, stride: int) -> None:
        super().__init__()
        width, after = planes * GROUPS * GROUP_WIDTH // 64, planes * EXPANSION
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=GROUPS, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        around = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + around)


class Branch(nn.Module):
    """The attention beside a stage: how much of each of its outputs passes, 0 to 1."""

    def __init__(self, before: int, after: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv_depth = nn.Conv2d(before, before, kernel, padding=padding, groups=before)
        self.conv_point = nn.Conv2d(before, after, 1)
        self.bn = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        pooled = F.adaptive_max_pool2d(x, list(size))
        return torch.sigmoid(self.bn(self.conv_point(self.conv_depth(pooled))))


class EsResNeXt(nn.Module):
    """Samples at 44.1 kHz -> a vector, and the map before it is pooled."""

    window: Tensor

    def __init__(self, width: int = 1024, stages: tuple[int, ...] = STAGES) -> None:
        super().__init__()
        self.register_buffer("window", blackman_harris(FRAME))
        self.fbsp = Fbsp()
        self.conv1 = nn.Conv2d(BANDS, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        before = WIDTHS[0]
        for number, (planes, blocks) in enumerate(zip(WIDTHS, stages, strict=True), 1):
            after = planes * EXPANSION
            stride = 1 if number == 1 else 2
            layer = [
                Bottleneck(before, planes, stride),
                *(Bottleneck(after, planes, 1) for _ in range(blocks - 1)),
            ]
            self.add_module(f"layer{number}", nn.Sequential(*layer))
            self.add_module(f"att{number}", Branch(before, after, (3, 1) if number % 2 else (1, 5)))
            before = after
        self.att5 = Branch(before, before, (3, 5))
        self.fc = nn.Linear(before, width)

    def spectrogram(self, samples: Tensor) -> Tensor:
        """(B, N) float32 at 44.1 kHz in [-1, 1] -> (B, 3, 341, n) in dB: bands of frequency as channels."""
        # The published chain takes int16 and maps -32768 … 32767 to -1 … 1.
        scaled = (samples * 32768.0 + 32768.0) * (2.0 / 65535.0) - 1.0
        length = scaled.shape[-1]
        count = 1 if length <= FRAME else 1 + -(-(length - FRAME) // HOP)
        short = (count - 1) * HOP + FRAME - length
        frames = F.pad(scaled, (short // 2, short - short // 2)).unfold(-1, FRAME, HOP) * self.window
        beside = 2 * (BINS - 1) - FRAME
        power = self.fbsp(F.pad(frames, (beside // 2, beside - beside // 2)))
        bands = power[:, : BINS // BANDS * BANDS].unflatten(1, (BANDS, -1))
        return 10.0 * torch.where(bands > 0, bands, torch.full_like(bands, POWER_FLOOR)).log10()

    def features(self, samples: Tensor) -> Tensor:
        """(B, N) samples -> the map (B, 2048, 11, columns): 13 columns at 5 s."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(self.spectrogram(samples)))), 3, 2, 1)
        for number in range(1, len(WIDTHS) + 1):
            y = self.get_submodule(f"layer{number}")(x)
            x = y * self.get_submodule(f"att{number}")(x, y.shape[-2:])
        return x

    def pool(self, features: Tensor) -> Tensor:
        """The map -> (B, 1024)."""
        mean = F.adaptive_avg_pool2d(features, 1)
        vector: Tensor = self.fc((mean * self.att5(features, mean.shape[-2:])).flatten(1))
        return vector

    def forward(self, samples: Tensor) -> Tensor:
        """(B, N) samples -> (B, 1024)."""
        return self.pool(self.features(samples))


def blackman_harris(length: int) -> Tensor:
    """(length,) the periodic window of four terms."""
    turns = 2 * math.pi * torch.arange(length, dtype=torch.float64) / length
    terms = [weight * (n * turns).cos() for n, weight in enumerate(BLACKMAN_HARRIS)]
    return torch.stack(terms).sum(0).float()
