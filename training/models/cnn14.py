"""CNN14 (Kong et al. 2020, PANNs) under the names of its public checkpoint, 84 tensors, and of BLAT's.

80,753,615 parameters and 1,083,456 fixed numbers of the front end: 32 kHz, 64 mel bins, centred frames.
A frame of features every 32 of the front end's: 31 at 10 s.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.audio import FFT, HOP, hann, mel_filters
from ..frontend import CentredMel, CentredStft, decibels
from .convnext import normalise

MELS = 64
WIDTHS = (64, 128, 256, 512, 1024, 2048)
HALVINGS = 5
"""Of time and mel: the sixth block pools nothing."""


class ConvBlock(nn.Module):
    """Two 3×3 convolutions, each normalised and rectified, then average pooling."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, pool: int) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.avg_pool2d(F.relu(self.bn2(self.conv2(x))), pool)


class Cnn14Trunk(nn.Module, ABC):
    """Log-mel -> frames, and a clip's vector. widths: the published ones, or narrower ones for tests."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.width = widths[-1]
        self.blocks = len(widths)
        self.bn0 = nn.BatchNorm2d(MELS)
        for number, (before, after) in enumerate(zip((1, *widths), widths, strict=False), 1):
            self.add_module(f"conv_block{number}", ConvBlock(before, after))
        self.fc1 = nn.Linear(self.width, self.width)

    def columns(self, log_mel: Tensor) -> Tensor:
        """(B, T, 64) in dB -> (B, T // 32, 2048)."""
        x = normalise(self.bn0, log_mel)
        for number in range(1, self.blocks + 1):
            x = self.get_submodule(f"conv_block{number}")(x, 2 if number <= HALVINGS else 1)
            x = F.dropout(x, 0.2, self.training)
        return x.mean(3).transpose(1, 2)

    def clip_vector(self, frames: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, t, 2048) -> (B, 2048): max + mean over the valid frames, then fc1; valid (B, t) bool."""
        if valid is None:
            pooled = frames.amax(1) + frames.mean(1)
        else:
            real = valid[..., None]
            mean = (frames * real).sum(1) / real.sum(1).clamp_min(1)
            pooled = frames.masked_fill(~real, -torch.inf).amax(1) + mean
        return F.relu(self.fc1(F.dropout(pooled, 0.5, self.training)))

    @abstractmethod
    def log_mel(self, samples: Tensor) -> Tensor:
        """(B, N) float32 at 32 kHz, N > 512 -> (B, N // 320 + 1, 64) in dB."""

    def features(self, samples: Tensor) -> Tensor:
        """(B, N) samples -> (B, t, 2048)."""
        return self.columns(self.log_mel(samples))


class Cnn14(Cnn14Trunk):
    """As `Cnn14_mAP=0.431.pth` holds it."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS, sounds: int = 527) -> None:
        super().__init__(widths)
        self.spectrogram_extractor = CentredStft()
        self.logmel_extractor = CentredMel(MELS)
        self.fc_audioset = nn.Linear(self.width, sounds)

    def log_mel(self, samples: Tensor) -> Tensor:
        return decibels(self.logmel_extractor(self.spectrogram_extractor(samples)))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) samples -> frames (B, t, 2048) and the clip's scores (B, 527) in [0, 1]."""
        frames = self.features(samples)
        return frames, torch.sigmoid(self.fc_audioset(self.clip_vector(frames)))


class TorchaudioMel(nn.Module):
    """The same front end as torchaudio keeps it: `spectrogram.window`, `mel_scale.fb`."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = nn.Module()
        self.spectrogram.register_buffer("window", torch.from_numpy(hann()).float())
        self.mel_scale = nn.Module()
        self.mel_scale.register_buffer("fb", torch.from_numpy(mel_filters(MELS).copy()))

    def forward(self, samples: Tensor) -> Tensor:
        window, filters = self.spectrogram.get_buffer("window"), self.mel_scale.get_buffer("fb")
        padded = F.pad(samples[:, None], (FFT // 2, FFT // 2), mode="reflect")[:, 0]
        spectrum = torch.fft.rfft(padded.unfold(-1, FFT, HOP) * window)
        power: Tensor = (spectrum.real.square() + spectrum.imag.square()) @ filters
        return power


class BlatCnn14(Cnn14Trunk):
    """As BLAT's checkpoint holds it under `audio_encoder.`: 79,673,792 parameters, no class head."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__(widths)
        self.melspec_extractor = TorchaudioMel()

    def log_mel(self, samples: Tensor) -> Tensor:
        return decibels(self.melspec_extractor(samples))
