"""SEE: the semantic enhancement encoder, between the audio encoder and the decoder of words.

h, the audio encoder's embeddings, becomes s, which lies near the meaning of the clip's captions;
the decoder attends to the projection of [h, s]. In each layer, with x its input (eq. 4, SEE-2),

    u = [x, l];  q = W_q(u + P);  k = W_k(u + P);  v = W_v u

where l and P are learnt, one for all layers (`concat: layers`). As [x, l]W = xW₁ + lW₂, all that l and P
ever do is to add a constant table to q, k and v at each position. It is computed like that here, in
training too: `fold` gives a layer's W₁ and table, and `FoldedAdapter`, the exported graph, keeps them.

Eq. 4 can also be read with Q, K and V already projected (`concat: heads`): Q' = [Q, l] + P, K' = [K, l] + P,
V' = [V, l]. There l is no part of a projection but a bias from position to position, and a value; it is a
constant as well.

Paper mode interpolates every clip to L positions (SEE-1). Room mode puts embedding i of the segment
at position i and masks the rest, so that a growing segment never moves what it already has.
"""

from typing import Annotated, Literal, NamedTuple

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import attend, join_heads, split_heads
from .sizes import Rate, Size, check_heads


class Noise(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Spectrogram augmentation: the clip's own spectrogram added to what the decoder attends to."""

    layout: Literal["ft", "tf", "mix"] = "mix"
    """Which axis of the spectrogram lands on time: mel (ft), time (tf), one of them drawn per batch (mix)."""
    where: Literal["pre", "post"] = "pre"
    """Before the projection, on [h, s], or after it."""
    scale: Annotated[float, Meta(gt=0)] = 0.1
    """Standard deviation of what is added, as a share of that of what it is added to (SEE-5): the same 0.1
    for features of any scale."""
    probability: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """How often a clip is treated."""


class AdapterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes of the adapter. The defaults are the room's; SEE's are `paper_config()`."""

    width: Size = 256
    heads: Size = 4
    hidden: Size = 1024
    layers: Annotated[int, Meta(ge=0)] = 6
    """0 is the paper's "Simple": no semantic encoder, the memory is made of h alone."""
    window: Size = 94
    """L: the positions that l and P have; 94 embeddings are 30.08 s."""
    sentence: Size = 384
    """d_text: the width of the sentence model's vectors."""
    concat: Literal["layers", "heads", "input"] = "layers"
    """Where l is joined: before every layer's projections (SEE-2), behind them in every head, or once by a
    Linear before the first layer."""
    interpolate: bool = False
    """Paper mode: stretch every clip to L positions."""
    dropout: Rate = 0.1
    memory_dropout: Rate = 0.5
    noise: Noise | None = None

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


def paper_config(sentence: int = 768) -> AdapterConfig:
    """SEE's sizes: 94 positions of 768, 6 layers of 12 heads."""
    return AdapterConfig(width=768, heads=12, hidden=3072, sentence=sentence, interpolate=True)


class Folded(NamedTuple):
    """What is left of a layer's q, k, v projections when l and P are constants."""

    weight: Tensor  # (3 d, d): the part of W_q, W_k, W_v that meets x
    table: Tensor  # (L, 3 d): what l, P and the biases add at each position
    beside: Tensor | None = None  # (L, 3 d): what stands beside q, k and v in `concat: heads`

    def at(self, x: Tensor) -> Tensor:
        """(B, n, d) at positions 0 … n-1 -> (B, n, 3 d)."""
        return F.linear(x, self.weight) + self.table[: x.shape[1]]


class SeeLayer(nn.Module):
    """Self-attention with l and P in its projections, MLP; LayerNorm after each sum."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        width = config.width
        self.width, self.heads, self.drop_rate = width, config.heads, config.dropout
        self.concat = config.concat
        self.qkv = nn.Linear(2 * width if config.concat == "layers" else width, 3 * width)
        self.out = nn.Linear(2 * width if config.concat == "heads" else width, width)
        self.norm1 = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.hidden)
        self.down = nn.Linear(config.hidden, width)
        self.norm2 = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)

    def fold(self, constant: Tensor, position: Tensor) -> Folded:
        """constant: u without x, (L, d_u), zero where x will be; position: P, (L, d_u)."""
        split = 2 * self.width  # q and k see the position, v does not
        weight, bias = self.qkv.weight, self.qkv.bias
        if self.concat == "heads":
            ours, theirs = position.chunk(2, dim=1)  # of what is projected, and of what stands beside it
            value = constant[:, self.width :]
            table = bias + torch.cat([ours, ours, torch.zeros_like(ours)], dim=1)
            return Folded(weight, table, torch.cat([value + theirs, value + theirs, value], dim=1))
        query_key = F.linear(constant + position, weight[:split], bias[:split])
        value = F.linear(constant, weight[split:], bias[split:])
        return Folded(weight[:, : self.width], torch.cat([query_key, value], dim=1))

    def forward(self, x: Tensor, folded: Folded, visible: Tensor | None) -> Tensor:
        """x (B, n, d); visible: bool, broadcast to (B, heads, n, n)."""
        query, key, value = (split_heads(part, self.heads) for part in folded.at(x).chunk(3, dim=-1))
        if folded.beside is not None:
            beside = folded.beside[: x.shape[1]].expand(len(x), -1, -1).chunk(3, dim=-1)
            query, key, value = (
                torch.cat([part, split_heads(other, self.heads)], dim=-1)
                for part, other in zip((query, key, value), beside, strict=True)
            )
        looked = attend(query, key, value, visible, self.drop_rate if self.training else 0.0)
        x = self.norm1(x + self.drop(self.out(join_heads(looked))))
        result: Tensor = self.norm2(x + self.drop(self.down(self.drop(F.gelu(self.up(x))))))
        return result


class SemanticEncoder(nn.Module):
    """h (B, n, d) -> s (B, n, d), n at most L (eq. 2, 4)."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        width, window = config.width, config.window
        in_layers = config.concat != "input"
        self.constant = nn.Parameter(torch.randn(window, width) * 0.02)  # l
        self.position = nn.Parameter(torch.randn(window, 2 * width if in_layers else width) * 0.02)  # P
        self.join = None if in_layers else nn.Linear(2 * width, width)
        self.layers = nn.ModuleList(SeeLayer(config) for _ in range(config.layers))

    def see_layers(self) -> list[SeeLayer]:
        """The layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, SeeLayer)]

    def fold(self) -> tuple[Folded | None, list[Folded]]:
        """The Linear before the first layer, where there is one, and every layer's projections."""
        width = self.config.width
        beside_x = F.pad(self.constant, (width, 0))  # [0, l]
        if self.join is None:
            return None, [layer.fold(beside_x, self.position) for layer in self.see_layers()]
        entry = Folded(self.join.weight[:, :width], F.linear(beside_x, self.join.weight, self.join.bias))
        nothing = torch.zeros_like(self.position)
        return entry, [layer.fold(nothing, self.position) for layer in self.see_layers()]

    def forward(
        self,
        h: Tensor,
        valid: Tensor | None = None,
        folded: tuple[Folded | None, list[Folded]] | None = None,
    ) -> Tensor:
        """valid (B, n) bool: positions that are real. folded: constants made before, else made now."""
        entry, folds = folded or self.fold()
        x = h if entry is None else entry.at(h)
        visible = None if valid is None else valid[:, None, None, :]
        for layer, fold in zip(self.see_layers(), folds, strict=True):
            x = layer(x, fold, visible)
        return x


class Adapted(NamedTuple):
    """What the adapter makes of a segment."""

    memory: Tensor  # (B, n, d_memory): what the decoder attends to
    valid: Tensor | None  # (B, n) bool: which positions of it are real; None is all
    semantic: Tensor  # (B, d_text), length 1: lies near the captions' sentence vectors
    pooled: Tensor  # (B, d): s, mean over valid positions; what the bag-of-words head reads
    encoded: Tensor  # (B, n, d): s


class SemanticAdapter(nn.Module):
    """A segment's embeddings -> memory for the decoder, and the segment's place in sentence space."""

    def __init__(self, config: AdapterConfig, input_width: int, memory_width: int, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        # Raw embeddings of a narrow encoder have no scale of their own; the paper's need no entry.
        self.entry = (
            nn.Identity()
            if input_width == width
            else nn.Sequential(nn.LayerNorm(input_width), nn.Linear(input_width, width))
        )
        self.encoder = SemanticEncoder(config) if config.layers else None
        self.projection = nn.Sequential(
            nn.Dropout(config.memory_dropout),
            nn.Linear(2 * width if config.layers else width, memory_width),
            nn.ReLU(),
            nn.Dropout(config.memory_dropout),
        )
        self.meaning = nn.Identity() if config.sentence == width else nn.Linear(width, config.sentence)
        self.words = nn.Linear(width, vocabulary)
        """SEE-4, stage 1: logits of the caption's words from `pooled` (or of token i from `encoded` i)."""

    def train_memory(self) -> None:
        """Stage 2's mode: projection and noise are in training, all before them is frozen, dropout off."""
        self.eval()
        self.training = True  # of this module alone: it draws the noise
        self.projection.train()

    def forward(
        self,
        embeddings: Tensor,
        valid: Tensor | None = None,
        spectrogram: Tensor | None = None,
        folded: tuple[Folded | None, list[Folded]] | None = None,
    ) -> Adapted:
        """embeddings (B, n, d_in); valid (B, n) bool, True first, at least one a row; None is all.

        spectrogram (B, T, mels): the encoder's log-mel after bn0, for the augmentation; T is
        proportional to n. Only looked at in training. Raises ValueError if n is over L in room mode.
        """
        h, heard = self.entry(embeddings), valid
        if self.config.interpolate:
            h, valid = stretch(h, self.config.window, valid), None
        elif h.shape[1] > self.config.window:
            raise ValueError(f"{h.shape[1]} embeddings for a window of {self.config.window}")
        s = h if self.encoder is None else self.encoder(h, valid, folded)
        joined = h if self.encoder is None else torch.cat([h, s], dim=-1)
        noise = self.config.noise if self.training and spectrogram is not None else None
        if noise and spectrogram is not None and noise.where == "pre":
            joined = add_spectrogram(joined, spectrogram, noise, valid, heard)
        memory = self.projection(joined)
        if noise and spectrogram is not None and noise.where == "post":
            memory = add_spectrogram(memory, spectrogram, noise, valid, heard)
        pooled = mean_of_valid(s, valid)
        return Adapted(memory, valid, F.normalize(self.meaning(pooled), dim=-1), pooled, s)


class FoldedAdapter(nn.Module):
    """The adapter as it is exported: embeddings (B, n, d_in) -> memory, semantic; l and P are gone."""

    def __init__(self, adapter: SemanticAdapter) -> None:
        super().__init__()
        self.adapter = adapter
        self.has_entry = False
        self.count = 0
        if adapter.encoder is not None:
            with torch.no_grad():
                entry, folds = adapter.encoder.fold()
            self.has_entry, self.count = entry is not None, len(folds)
            for name, fold in [*([("entry", entry)] if entry else []), *enumerate(folds)]:
                self.register_buffer(f"weight_{name}", fold.weight.detach().clone())
                self.register_buffer(f"table_{name}", fold.table.detach())
                if fold.beside is not None:
                    self.register_buffer(f"beside_{name}", fold.beside.detach())

    def _fold(self, name: str | int) -> Folded:
        buffers = dict(self.named_buffers(recurse=False))
        return Folded(
            self.get_buffer(f"weight_{name}"), self.get_buffer(f"table_{name}"), buffers.get(f"beside_{name}")
        )

    def forward(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        entry = self._fold("entry") if self.has_entry else None
        adapted: Adapted = self.adapter(
            embeddings, folded=(entry, [self._fold(index) for index in range(self.count)])
        )
        return adapted.memory, adapted.semantic


def mean_of_valid(s: Tensor, valid: Tensor | None) -> Tensor:
    """(B, n, d) -> (B, d): the mean over valid positions (SEE-3)."""
    if valid is None:
        return s.mean(1)
    weight = valid.to(s.dtype)[..., None]
    return (s * weight).sum(1) / weight.sum(1)


def stretch(h: Tensor, length: int, valid: Tensor | None = None) -> Tensor:
    """(B, n, d) -> (B, length, d): each clip's valid frames, linearly interpolated (SEE-1).

    The same numbers as F.interpolate(mode="linear", align_corners=False) on each clip's own frames.
    """
    real = torch.full((h.shape[0],), h.shape[1], device=h.device) if valid is None else valid.sum(1)
    real = real[:, None].to(h.dtype)  # (B, 1)
    steps = torch.arange(length, device=h.device, dtype=h.dtype)
    at = ((steps + 0.5) * real / length - 0.5).clamp_min(0.0)  # (B, length)
    left = at.floor()
    right = torch.minimum(left + 1, real - 1)
    fraction = (at - left)[..., None]
    return torch.lerp(_pick(h, left), _pick(h, right), fraction)


def _pick(h: Tensor, at: Tensor) -> Tensor:
    return h.gather(1, at.long()[..., None].expand(-1, -1, h.shape[2]))


def add_spectrogram(
    target: Tensor,
    spectrogram: Tensor,
    noise: Noise,
    valid: Tensor | None = None,
    heard: Tensor | None = None,
) -> Tensor:
    """target (B, n, d) plus each clip's spectrogram (B, T, mels), resized to it.

    valid (B, n) bool: positions of target that are real; the others get nothing. heard (B, m) bool:
    which of the embeddings were real; the same share of T is. Standardised per clip, then as loud as
    `scale` times the standard deviation of the batch's real positions.
    """
    clips, positions, width = target.shape
    layout = noise.layout
    if layout == "mix":
        layout = "ft" if torch.rand(()) < 0.5 else "tf"
    counts = [positions] * clips if valid is None else valid.sum(1).tolist()
    real = target.detach() if valid is None else target.detach()[valid]
    scale = noise.scale * real.std().clamp_min(1e-5)
    shares = [1.0] * clips if heard is None else heard.float().mean(1).tolist()
    rows: list[Tensor] = []
    for row, image, count, share in zip(target, spectrogram, counts, shares, strict=True):
        if torch.rand(()) >= noise.probability:
            rows.append(row)
            continue
        image = image[: max(1, round(image.shape[0] * share))]
        image = (image - image.mean()) / image.std().clamp_min(1e-5)
        image = image.T if layout == "ft" else image
        resized = F.interpolate(image[None, None], size=(count, width), mode="bilinear")[0, 0]
        rows.append(row + scale * F.pad(resized, (0, 0, 0, positions - count)))
    return torch.stack(rows)
