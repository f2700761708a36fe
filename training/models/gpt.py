"""The decoder of sentences: SEE's "simple 6-layer GPT", conditioned by cross-attention (SEE-6).

It is the DCASE 2024 baseline's decoder (Labbeti/dcase2024-task6-baseline, nn/decoders/aac_tfmer.py):
post-norm, GELU, sinusoidal positions, token embedding times √d, an untied output layer.
Three ways in, one computation: `forward` over whole captions for training; `prefill` once for a
memory, then `step` a token at a time. The steps' log-probabilities equal forward's.

With `prefix` the memory stands before the words instead, and self-attention alone reads it; its keys and
values in every layer take the place of the cross-attention's, so that the graphs stay what they are.
"""

import math
from collections.abc import Callable

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from ..streaming import State
from .attention import attend, join_heads, split_heads
from .sizes import Rate, Size, check_heads

Mix = Callable[[Tensor], Tensor]
"""(B, …) -> (B, …): rows blended with other rows of the batch."""


class GptSizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes of the decoder, as a recipe says them. The defaults are the room's."""

    width: Size = 256
    heads: Size = 4
    hidden: Size = 1024
    layers: Size = 6
    max_tokens: Size = 24
    """Room in the cache of keys and values: bos and the longest caption."""
    dropout: Rate = 0.2
    prefix: bool = False
    """The memory as a prefix of the words (SEE-6's other reading), instead of attention to it."""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


class GptConfig(GptSizes, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A decoder's sizes and how many tokens it knows. SEE's are PAPER, the baseline's DCASE_2024."""

    vocabulary: Size


def paper_config(vocabulary: int = 4371) -> GptConfig:
    """SEE's sizes."""
    return GptConfig(vocabulary=vocabulary, width=768, heads=12, hidden=3072)


def dcase_2024_config(vocabulary: int = 4371) -> GptConfig:
    """The sizes of the baseline that SEE starts from: 11,911,699 parameters with its 768→256 projection."""
    return GptConfig(vocabulary=vocabulary, width=256, heads=8, hidden=2048)


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the memory unless it is a prefix, MLP; LayerNorm after each sum."""

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.drop_rate = config.heads, config.dropout
        self.self_qkv = nn.Linear(width, 3 * width)
        self.self_out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width)
        if not config.prefix:
            self.cross_q = nn.Linear(width, width)
            self.cross_kv = nn.Linear(width, 2 * width)
            self.cross_out = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.hidden)
        self.down = nn.Linear(config.hidden, width)
        self.norm3 = nn.LayerNorm(width)
        self.drop = nn.Dropout(config.dropout)

    def self_heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key, value of the tokens, (B, H, S, d) each."""
        query, key, value = self.self_qkv(x).chunk(3, dim=-1)
        return split_heads(query, self.heads), split_heads(key, self.heads), split_heads(value, self.heads)

    def cross_heads(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value of the memory, (B, H, n, d) each: the same for every token."""
        key, value = self.cross_kv(memory).chunk(2, dim=-1)
        return split_heads(key, self.heads), split_heads(value, self.heads)

    def finish(
        self, x: Tensor, looked: Tensor, cross: tuple[Tensor, Tensor] | None, visible: Tensor | None
    ) -> Tensor:
        """All that follows self-attention. x (B, S, d), looked: its heads' result (B, H, S, d)."""
        x = self.norm1(x + self.drop(self.self_out(join_heads(looked))))
        if cross:
            query = split_heads(self.cross_q(x), self.heads)
            looked = attend(query, *cross, visible, self.drop_rate if self.training else 0.0)
            x = self.norm2(x + self.drop(self.cross_out(join_heads(looked))))
        result: Tensor = self.norm3(x + self.drop(self.down(self.drop(gelu(self.up(x))))))
        return result

    def forward(self, x: Tensor, memory: Tensor | None, causal: Tensor, visible: Tensor | None) -> Tensor:
        looked = attend(*self.self_heads(x), causal, self.drop_rate if self.training else 0.0)
        return self.finish(x, looked, None if memory is None else self.cross_heads(memory), visible)


class GptDecoder(nn.Module):
    """Words from a memory (B, n, d): next-token logits for whole captions, or a step at a time."""

    positions: Tensor

    def __init__(self, config: GptConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.drop = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.output = nn.Linear(config.width, config.vocabulary)
        self.register_buffer("positions", sinusoids(config.max_tokens, config.width), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        # Times √d in `_embed` this has the size of the sinusoids.
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)

    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.layers if isinstance(layer, DecoderLayer)]

    def _embed(self, tokens: Tensor, positions: Tensor, mix: Mix | None = None) -> Tensor:
        words = self.embedding(tokens)
        words = mix(words) if mix else words
        x: Tensor = self.drop(words * math.sqrt(self.config.width) + positions)
        return x

    def forward(
        self, tokens: Tensor, memory: Tensor, memory_mask: Tensor | None = None, mix: Mix | None = None
    ) -> Tensor:
        """Logits of the token that follows each token, (B, S, V).

        tokens (B, S) int64, S at most max_tokens; padding may only come last. memory (B, n, d).
        memory_mask (B, n) bool, True where memory is real. mix: for mixup, what becomes of the words.
        """
        length = tokens.shape[1]
        visible = None if memory_mask is None else memory_mask[:, None, None, :]
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        x = self._embed(tokens, self.positions[:length], mix)
        if self.config.prefix:
            x = self._after_prefix(x, memory, causal, visible)
        else:
            for layer in self._layers():
                x = layer(x, memory, causal, visible)
        logits: Tensor = self.output(x)
        return logits

    def _after_prefix(self, x: Tensor, memory: Tensor, causal: Tensor, visible: Tensor | None) -> Tensor:
        """The words (B, S, d) after all layers: each sees the memory, which sees itself, and those before."""
        length, n = x.shape[1], memory.shape[1]
        sees = nn.functional.pad(causal, (n, 0, n, 0))  # (n + S, n + S)
        sees[:, :n] = True
        if visible is not None:
            sees = sees & nn.functional.pad(visible, (0, length), value=True)
        x = torch.cat([memory, x], dim=1)
        for layer in self._layers():
            x = layer(x, None, sees, None)
        return x[:, n:]

    def prefill(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """What every step needs of a memory (B, n, d): keys, values, (layers, B, heads, n, d_head) each."""
        if not self.config.prefix:
            keys, values = zip(*(layer.cross_heads(memory) for layer in self._layers()), strict=True)
            return torch.stack(keys), torch.stack(values)
        seen: list[tuple[Tensor, Tensor]] = []
        for layer in self._layers():
            query, key, value = layer.self_heads(memory)
            seen.append((key, value))
            memory = layer.finish(memory, attend(query, key, value), None, None)
        return torch.stack([key for key, _ in seen]), torch.stack([value for _, value in seen])

    def initial_state(self, beams: int = 1) -> dict[str, Tensor]:
        """An empty cache: keys and values, (layers, beams, heads, max_tokens, d_head) of zeros each."""
        c = self.config
        shape = (c.layers, beams, c.heads, c.max_tokens, c.width // c.heads)
        like = self.output.weight
        return {"keys": like.new_zeros(shape), "values": like.new_zeros(shape)}

    def step(
        self, token: Tensor, position: Tensor, cross_keys: Tensor, cross_values: Tensor, state: State
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Log-probabilities of the token after `token`, (beams, V), and the cache with it written in.

        token (beams,) int64; position (1,) int64, 0 for bos. cross_keys, cross_values from prefill,
        batch 1 (one memory for all beams) or beams. The cache has a fixed size, so that a graph's
        state keeps its shape; slots after `position` are never looked at, whatever they hold.
        """
        slots = torch.arange(self.config.max_tokens, device=token.device)
        here = (slots == position)[:, None]  # (max_tokens, 1)
        visible = slots <= position  # (max_tokens,)
        x = self._embed(token[:, None], self.positions.index_select(0, position))
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for index, layer in enumerate(self._layers()):
            query, key, value = layer.self_heads(x)
            keys.append(torch.where(here, key, state["keys"][index]))
            values.append(torch.where(here, value, state["values"][index]))
            if self.config.prefix:
                before = cross_keys[index].expand(len(token), -1, -1, -1)
                meant = cross_values[index].expand(len(token), -1, -1, -1)
                seen = torch.cat([torch.ones_like(before[0, 0, :, 0], dtype=torch.bool), visible])
                looked = attend(
                    query, torch.cat([before, keys[-1]], 2), torch.cat([meant, values[-1]], 2), seen
                )
                x = layer.finish(x, looked, None, None)
            else:
                looked = attend(query, keys[-1], values[-1], visible)
                x = layer.finish(x, looked, (cross_keys[index], cross_values[index]), None)
        log_probs = self.output(x[:, 0]).log_softmax(-1)
        return log_probs, {"keys": torch.stack(keys), "values": torch.stack(values)}


def sinusoids(length: int, width: int) -> Tensor:
    """(length, width) sine and cosine in turn, wavelengths 2π to 20,000π (Vaswani et al. 2017, 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
