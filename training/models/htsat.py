"""HTSAT (Chen et al. 2022): a Swin transformer over a folded spectrogram, under its checkpoint's 200 names.

30,241,687 parameters and 1,083,456 fixed numbers of the front end (CNN14's). 1,024 frames of 64 mel bins are
folded to an image of 256×256, four stretches of time above each other; clips of up to 10.24 s.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..frontend import CentredMel, CentredStft, decibels
from .attention import attend, join_heads, split_heads
from .convnext import normalise

MELS, FRAMES, PATCH, WINDOW = 64, 1024, 4, 8
FOLDS = 4
"""Stretches of time that lie above each other in the image, of 256 frames each."""
STEPS = 32
"""Embeddings of a clip."""


class Sizes(NamedTuple):
    """Width of the first stage (it doubles from stage to stage), blocks and heads of each."""

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)


PUBLISHED = Sizes()


class Mlp(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return result


class WindowAttention(nn.Module):
    """Self-attention within windows of 8×8, with a learnt bias for each distance."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", distances())
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (windows of all clips, 64, width); mask (windows of a clip, 64, 64), 0 or -100."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        cells = WINDOW * WINDOW
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        bias = bias.view(cells, cells, self.heads).permute(2, 0, 1)[None]  # (1, heads, 64, 64)
        if mask is not None:
            bias = bias + mask.repeat(len(x) // len(mask), 1, 1)[:, None]
        looked = attend(query, key, value, bias=bias)
        result: Tensor = self.proj(join_heads(looked))
        return result


class SwinBlock(nn.Module):
    """Window attention and MLP, LayerNorm before each; every second block shifts its windows by half."""

    attn_mask: Tensor | None

    def __init__(self, width: int, heads: int, side: int, is_shifted: bool) -> None:
        super().__init__()
        self.side = side
        self.shift = WINDOW // 2 if is_shifted and side > WINDOW else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.register_buffer("attn_mask", shift_mask(side, self.shift) if self.shift else None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, side², width) -> the same."""
        clips, _, width = x.shape
        image = self.norm1(x).view(clips, self.side, self.side, width)
        if self.shift:
            image = torch.roll(image, (-self.shift, -self.shift), dims=(1, 2))
        image = joined(self.attn(windows(image), self.attn_mask), clips, self.side)
        if self.shift:
            image = torch.roll(image, (self.shift, self.shift), dims=(1, 2))
        x = x + image.view(clips, -1, width)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class PatchMerging(nn.Module):
    """Four neighbours become one of twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor, side: int) -> Tensor:
        clips, _, width = x.shape
        image = x.view(clips, side, side, width)
        corners = [image[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        result: Tensor = self.reduction(self.norm(torch.cat(corners, -1).view(clips, -1, 4 * width)))
        return result


class Stage(nn.Module):
    """Blocks at one resolution, then the halving."""

    def __init__(self, width: int, depth: int, heads: int, side: int, is_last: bool) -> None:
        super().__init__()
        self.side = side
        self.blocks = nn.ModuleList(SwinBlock(width, heads, side, bool(n % 2)) for n in range(depth))
        self.downsample = None if is_last else PatchMerging(width)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        if self.downsample is not None:
            x = self.downsample(x, self.side)
        return x


class PatchEmbedding(nn.Module):
    """Patches of 4×4 as vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.norm(self.proj(image).flatten(2).transpose(1, 2))
        return result


class Htsat(nn.Module):
    """As `HTSAT_AudioSet_Saved_1.ckpt` holds it under `sed_model.`; `head` is there and not used."""

    def __init__(self, sizes: Sizes = PUBLISHED, sounds: int = 527) -> None:
        super().__init__()
        self.spectrogram_extractor = CentredStft()
        self.logmel_extractor = CentredMel(MELS)
        self.bn0 = nn.BatchNorm2d(MELS)
        side, stages = MELS * FOLDS // PATCH, len(sizes.depths)
        self.patch_embed = PatchEmbedding(sizes.width)
        self.layers = nn.ModuleList(
            Stage(sizes.width << n, depth, heads, side >> n, n + 1 == stages)
            for n, (depth, heads) in enumerate(zip(sizes.depths, sizes.heads, strict=True))
        )
        self.width, self.side = sizes.width << (stages - 1), side >> (stages - 1)
        self.norm = nn.LayerNorm(self.width)
        groups = self.side // FOLDS  # of mel, in the last stage
        self.tscam_conv = nn.Conv2d(self.width, sounds, (groups, 3), padding=(0, 1))
        self.head = nn.Linear(sounds, sounds)

    def log_mel(self, samples: Tensor) -> Tensor:
        """(B, N) float32 at 32 kHz, N > 512 -> (B, N // 320 + 1, 64) in dB."""
        return decibels(self.logmel_extractor(self.spectrogram_extractor(samples)))

    def map(self, log_mel: Tensor) -> Tensor:
        """(B, T, 64) in dB, T at most 1,024 -> (B, 768, mel groups, 32). Raises ValueError if T is more."""
        x = normalise(self.bn0, log_mel)
        if x.shape[2] > FRAMES:
            raise ValueError(f"{x.shape[2]} frames; HTSAT takes {FRAMES} at most")
        if x.shape[2] < FRAMES:
            x = F.interpolate(x, (FRAMES, MELS), mode="bicubic", align_corners=True)
        clips = len(x)
        image = x.transpose(2, 3).reshape(clips, MELS, FOLDS, -1).transpose(1, 2)  # (B, folds, 64, 256)
        x = self.patch_embed(image.reshape(clips, 1, MELS * FOLDS, -1))
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x).transpose(1, 2).reshape(clips, self.width, FOLDS, -1, self.side)
        found: Tensor = x.transpose(2, 3).reshape(clips, self.width, -1, FOLDS * self.side)
        return found

    def columns(self, log_mel: Tensor) -> Tensor:
        """(B, T, 64) in dB, T at most 1,024 -> (B, 32, 768): the mean of the mel groups."""
        return self.map(log_mel).mean(2).transpose(1, 2)

    def features(self, samples: Tensor) -> Tensor:
        """(B, N) samples -> (B, 32 k, 768): of a clip of more than 10 s, crops of 10 s in turn (EDTC-1)."""
        crops = torch.split(samples, 10 * 32_000, dim=1)
        if len(crops) > 1 and crops[-1].shape[1] < 32_000:  # less than a second is no crop of its own
            crops = crops[:-1]
        return torch.cat([self.columns(self.log_mel(crop)) for crop in crops], dim=1)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) samples of at most 10.24 s -> (B, 32, 768) and the clip's scores (B, 527) in [0, 1]."""
        found = self.map(self.log_mel(samples))
        scores = torch.sigmoid(self.tscam_conv(found).flatten(2).mean(2))
        return found.mean(2).transpose(1, 2), scores


def windows(image: Tensor) -> Tensor:
    """(B, side, side, width) -> (B × windows, 64, width)."""
    clips, side, _, width = image.shape
    count = side // WINDOW
    split = image.view(clips, count, WINDOW, count, WINDOW, width).transpose(2, 3)
    return split.reshape(-1, WINDOW * WINDOW, width)


def joined(parts: Tensor, clips: int, side: int) -> Tensor:
    """The inverse of `windows`."""
    count = side // WINDOW
    split = parts.view(clips, count, count, WINDOW, WINDOW, -1).transpose(2, 3)
    return split.reshape(clips, side, side, -1)


def distances() -> Tensor:
    """(64, 64) int64: which entry of the bias table belongs to a pair of cells of a window."""
    steps = torch.arange(WINDOW)
    places = torch.stack(torch.meshgrid(steps, steps, indexing="ij")).flatten(1)  # (2, 64)
    apart = places[:, :, None] - places[:, None] + WINDOW - 1
    return apart[0] * (2 * WINDOW - 1) + apart[1]


def shift_mask(side: int, shift: int) -> Tensor:
    """(windows, 64, 64): -100 between cells that only meet because the image was rolled."""
    bands = torch.zeros(side, dtype=torch.long)
    bands[-WINDOW:-shift], bands[-shift:] = 1, 2
    region = (3 * bands[:, None] + bands[None]).float()[None, ..., None]
    cells = windows(region)[..., 0]
    return ((cells[:, :, None] != cells[:, None]).float() * -100.0).float()
