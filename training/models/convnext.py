"""ConvNeXt for audio, after Liu et al. 2022 and its AudioSet version (Pellegrini et al. 2023).

Two forms of one net. `CausalConvNeXt` is ours: it streams, its left context passed in and out.
`WindowedConvNeXt` is the published one, centred in time, and takes the public checkpoint's keys
unchanged; it hears whole windows only, and serves as paper mode's extractor and as a teacher.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from ..frontend import CentredMel, CentredStft, decibels
from ..streaming import CausalDepthwise, State
from .checkpoint import fill, read_tensors

MEL_STRIDE = 32
"""Stem 4, then three halvings: 32 frames become one embedding, and the mel axis shrinks alike."""
NORM_EPS = 1e-6


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
        super().__init__(channels, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise 7x7, then a pointwise MLP of four times the width, scaled by gamma, added to the input."""

    def __init__(self, dwconv: nn.Conv2d, gamma: float = 0.5) -> None:
        super().__init__()
        channels = dwconv.in_channels
        self.dwconv = dwconv
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), gamma))
        self.drop_path = 0.0
        """How often, in training, an example goes round this block (stochastic depth, Huang et al. 2016)."""

    def mix(self, x: Tensor, conv: Tensor) -> Tensor:
        """What follows the convolution; x and conv (B, C, T, M)."""
        y = self.norm(conv.permute(0, 2, 3, 1))  # (B, T, M, C)
        y = self.pwconv2(nn.functional.gelu(self.pwconv1(y))) * self.gamma
        if self.training and self.drop_path:
            kept = torch.rand(len(y), 1, 1, 1, device=y.device) >= self.drop_path
            y = y * (kept / (1.0 - self.drop_path))
        mixed: Tensor = x + y.permute(0, 3, 1, 2)
        return mixed

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, self.dwconv(x))


class CausalBlock(Block):
    """A block whose convolution looks back only. State: its convolution's, (B, C, 6, M)."""

    def __init__(self, channels: int) -> None:
        super().__init__(CausalDepthwise(channels))

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        conv, past = cast(CausalDepthwise, self.dwconv).step(x, past)
        return self.mix(x, conv), past


def centred_block(channels: int) -> Block:
    """A block as published: the convolution sees 3 columns to either side."""
    return Block(nn.Conv2d(channels, channels, 7, padding=3, groups=channels))


def downsampling(widths: tuple[int, ...], time_padding: int) -> nn.ModuleList:
    """The stem (4x4, stride 4) and the three halvings (2x2, stride 2) before the four stages."""
    stem = nn.Conv2d(1, widths[0], 4, stride=4, padding=(time_padding, 0))
    layers = nn.ModuleList([nn.Sequential(stem, ChannelNorm(widths[0]))])
    for before, after in pairwise(widths):
        layers.append(nn.Sequential(ChannelNorm(before), nn.Conv2d(before, after, 2, stride=2)))
    return layers


def normalise(bn0: nn.BatchNorm2d, log_mel: Tensor) -> Tensor:
    """(B, T, mels) -> (B, 1, T, mels), each mel bin by its own statistics."""
    scaled: Tensor = bn0(log_mel.unsqueeze(1).transpose(1, 3))
    return scaled.transpose(1, 3)


def stochastic_depth(net: nn.Module, rate: float) -> None:
    """Let training drop blocks, the later the more often: from 0 to `rate`."""
    blocks = [module for module in net.modules() if isinstance(module, Block)]
    for depth, block in enumerate(blocks, 1):
        block.drop_path = rate * depth / len(blocks)


def initialise(net: nn.Module) -> None:
    """Weights of variance one over fan-in, biases zero."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # By fan-in, not ConvNeXt's 0.02: that wants 300 epochs, an hour of CPU gives a few dozen.
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


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
        self.downsample_layers = downsampling(widths, time_padding=0)
        self.stages = nn.ModuleList(
            nn.ModuleList(CausalBlock(width) for _ in range(depth))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=NORM_EPS)
        self.head = nn.Linear(widths[-1], sounds)
        initialise(self)

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

    def _stages(self) -> Iterator[tuple[nn.Module, list[CausalBlock]]]:
        for downsample, blocks in zip(self.downsample_layers, self.stages, strict=True):
            yield downsample, [cast(CausalBlock, block) for block in cast(nn.ModuleList, blocks)]

    def normalise(self, log_mel: Tensor) -> Tensor:
        """(B, T, mels) in dB -> (B, 1, T, mels) after bn0; in eval mode any chunk will do."""
        return normalise(self.bn0, log_mel)

    def features(self, log_mel: Tensor) -> Tensor:
        """Embeddings of whole streams: (B, T, mels) in dB, T a multiple of 32 -> (B, T / 32, width)."""
        x = self.before_last_stage(log_mel)
        for block in list(self._stages())[-1][1]:
            x = block(x)
        return x.mean(3).transpose(1, 2)

    def before_last_stage(self, log_mel: Tensor) -> Tensor:
        """What the last stage's blocks are given: (B, T, mels) in dB -> (B, width, T / 32, mels / 32)."""
        x = self.normalise(log_mel).contiguous(memory_format=torch.channels_last)
        *before, (downsample, _) = self._stages()
        for earlier, blocks in before:
            x = earlier(x)
            for block in blocks:
                x = block(x)
        halved: Tensor = downsample(x)
        return halved

    def classify(self, embeddings: Tensor) -> Tensor:
        """Logits of the known sounds, (..., width) -> (..., sounds): the clip head applied to one frame."""
        logits: Tensor = self.head(self.norm(embeddings))
        return logits

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, mels) -> embeddings (B, T / 32, width) and scores (B, T / 32, sounds) in [0, 1]."""
        embeddings = self.features(log_mel)
        return embeddings, torch.sigmoid(self.classify(embeddings))

    def step(self, log_mel: Tensor, state: State) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor]]:
        """The next frames of a stream: (B, 32k, mels), and the state after what came before.

        Raises ValueError if the frames are no multiple of 32: keep the rest until the next call.
        """
        if log_mel.shape[1] % MEL_STRIDE:
            raise ValueError(f"{log_mel.shape[1]} frames; a chunk is a multiple of {MEL_STRIDE}")
        new: dict[str, Tensor] = {}
        x = self.normalise(log_mel)
        for stage, (downsample, blocks) in enumerate(self._stages()):
            x = downsample(x)
            for index, block in enumerate(blocks):
                name = f"s{stage}_b{index}"
                x, new[name] = block.step(x, state[name])
        embeddings = x.mean(3).transpose(1, 2)
        return (embeddings, torch.sigmoid(self.classify(embeddings))), new


class WindowedConvNeXt(nn.Module):
    """ConvNeXt-Tiny for AudioSet as published (topel/audioset-convnext-inf): 190 tensors, 224 mel bins.

    Names of modules are the checkpoint's. 28,222,767 parameters, and 1,165,536 fixed numbers of the
    front end. t embeddings a window: 31 at 10 s, 47 at 15 s, 94 at 30 s.
    """

    mels = 224

    def __init__(self, size: str = "tiny", sounds: int = 527) -> None:
        super().__init__()
        self.size = size
        widths, depths = SIZES[size]
        self.spectrogram_extractor = CentredStft()
        self.logmel_extractor = CentredMel(self.mels)
        self.bn0 = nn.BatchNorm2d(self.mels)
        self.downsample_layers = downsampling(widths, time_padding=4)
        self.stages = nn.ModuleList(
            nn.Sequential(*(centred_block(width) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=NORM_EPS)
        self.head_audioset = nn.Linear(widths[-1], sounds)
        initialise(self)

    def log_mel(self, samples: Tensor) -> Tensor:
        """(B, N) float32 at 32 kHz, N > 512 -> (B, N // 320 + 1, 224) in dB, centred frames."""
        return decibels(self.logmel_extractor(self.spectrogram_extractor(samples)))

    def features(self, samples: Tensor) -> Tensor:
        """(B, N) samples -> (B, t, 768): before the last norm, as captioners use them."""
        return self.columns(self.log_mel(samples))

    def columns(self, log_mel: Tensor) -> Tensor:
        """(B, T, 224) in dB -> (B, t, 768): the same from frames that are already there."""
        x = normalise(self.bn0, log_mel)
        for downsample, blocks in zip(self.downsample_layers, self.stages, strict=True):
            x = blocks(downsample(x))
        return x.mean(3).transpose(1, 2)

    def clip_vector(self, features: Tensor) -> Tensor:
        """(B, t, 768) -> (B, 768): max + mean over time, then the norm; what the head reads."""
        vector: Tensor = self.norm(features.amax(1) + features.mean(1))
        return vector

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) samples -> embeddings (B, t, 768) and the clip's scores (B, 527) in [0, 1]."""
        features = self.features(samples)
        return features, torch.sigmoid(self.head_audioset(self.clip_vector(features)))


def load_public(path: Path) -> WindowedConvNeXt:
    """The public ConvNeXt-Tiny AudioSet checkpoint, .pth or .safetensors, in eval mode.

    Other sizes in the same layout load too, told by their stem and head.
    Raises InputMissingError if it is not there, BundleError that names each tensor that does not fit.
    """
    tensors = read_tensors(path)
    stem, head = (tensors.get(name) for name in ("downsample_layers.0.0.bias", "head_audioset.bias"))
    stems = {size.widths[0]: name for name, size in SIZES.items()}
    size = stems.get(stem.numel(), "tiny") if stem is not None else "tiny"
    sounds = head.numel() if head is not None and size != "tiny" else 527
    model = WindowedConvNeXt(size, sounds)
    fill(model, tensors, path)
    return model.eval()
