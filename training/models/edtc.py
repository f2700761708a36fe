"""EDTC: what three frozen encoders heard, fused (FUSER), read step by step (TRANSLATOR), and said by a BART.

    three encoders (B, n, dᵢ) -> T steps of width d each -> FUSER (B, T, d) -> TRANSLATOR (B, T, d) -> BART

In training a twin of the TRANSLATOR reads the caption's token vectors; the two are pulled towards each other
by their last hidden states, and after each step the first takes in a little of the second (`merge`).
Readings, EDTC-1 to -8, are in docs/readings.md.
"""

import math
from typing import Annotated, Any, Literal, NamedTuple, cast

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import attend, join_heads, split_heads
from .see import stretch
from .sizes import Rate, Size, check_heads

STREAMS = 3


class BartSizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A BART's sizes. The defaults are BART-base's: 139,420,416 parameters with its 50,265 tokens."""

    width: Size = 768
    layers: Size = 6
    """Of the encoder, and of the decoder."""
    heads: Size = 12
    hidden: Size = 3072
    positions: Size = 1024
    dropout: Rate = 0.1


class EdtcConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sizes. The defaults are the paper's."""

    inputs: tuple[Size, ...] = (2048, 768, 768)
    """Widths of what the encoders hear; a single one enters all three streams."""
    text: Size = 768
    """Width of the caption's token vectors."""
    steps: Size = 32
    """T."""
    width: Size = 768
    heads: Size = 12
    hidden: Size = 3072
    fuser: Literal["fuser", "mean", "none"] = "fuser"
    """mean: of the streams' Linears, a control; none: the first stream alone."""
    fusions: Size = 3
    """L."""
    squeeze: Size = 256
    """Tokens of the attention over features: 256 of width T."""
    translator: Literal["none", "single", "twin"] = "twin"
    encoders: Size = 3
    """M."""
    decoders: Size = 2
    """N."""
    kernel: Size = 45
    attended: Literal["own", "first"] = "own"
    """What a layer's global block attends to: its own whole input, or the first layer's (EDTC-6)."""
    dropout: Rate = 0.1
    momentum: Annotated[float, Meta(ge=0, le=1)] = 0.95
    """β: what the TRANSLATOR keeps of itself when it takes in its twin."""
    bart: BartSizes = BartSizes()

    def __post_init__(self) -> None:
        if len(self.inputs) not in (1, STREAMS):
            raise ValueError(f"{len(self.inputs)} encoders; it is one or {STREAMS}")
        check_heads(self.width, self.heads)


class Attention(nn.Module):
    """Queries from x, keys and values from memory. Of a single key it is a linear map (its softmax is 1)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def read(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, (B, H, n, d) each."""
        return split_heads(self.k(memory), self.heads), split_heads(self.v(memory), self.heads)

    def look(self, x: Tensor, read: tuple[Tensor, Tensor]) -> Tensor:
        """(B, m, d) at what was read -> (B, m, d)."""
        looked: Tensor = self.out(join_heads(attend(split_heads(self.q(x), self.heads), *read)))
        return looked

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        return self.look(x, self.read(memory))


class FeedForward(nn.Module):
    """GELU inside, added to its input, LayerNorm after."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(x + self.drop(self.down(self.drop(F.gelu(self.up(x))))))
        return result


class TimeConv(nn.Conv1d):
    """A convolution over the steps of (B, T, d), as long as before."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__(before, after, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class PrivateBlock(nn.Module):
    """What a stream has of its own: three convolutions of 3 steps, BatchNorm and GELU after each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(TimeConv(width, width, 3) for _ in range(3))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.gelu(norm(conv(x).transpose(1, 2)).transpose(1, 2))
        return x


class SharedBlock(nn.Module):
    """What the streams have in common: attention over steps, and over features, summed (EDTC-4)."""

    def __init__(self, config: EdtcConfig) -> None:
        super().__init__()
        self.over_steps = Attention(config.width, config.heads)
        self.squeeze = nn.Linear(config.width, config.squeeze)
        self.over_features = Attention(config.steps, math.gcd(config.steps, 4))
        self.expand = nn.Linear(config.squeeze, config.width)

    def forward(self, x: Tensor) -> Tensor:
        features = self.squeeze(x).transpose(1, 2)  # (B, 256, T)
        features = self.over_features(features, features).transpose(1, 2)
        result: Tensor = self.over_steps(x, x) + self.expand(features)
        return result


class FusionLayer(nn.Module):
    """yᵢ = xᵢ + privateᵢ + shared of it; c grows by a convolution of all three; one MLP for the four."""

    def __init__(self, config: EdtcConfig) -> None:
        super().__init__()
        self.private = nn.ModuleList(PrivateBlock(config.width) for _ in range(STREAMS))
        self.shared = SharedBlock(config)
        self.join = TimeConv(STREAMS * config.width, config.width, 7)
        self.mlp = FeedForward(config.width, config.hidden, config.dropout)

    def forward(self, streams: list[Tensor], c: Tensor) -> tuple[list[Tensor], Tensor]:
        grown = [x + own(x) + self.shared(x) for x, own in zip(streams, self.private, strict=True)]
        c = c + self.join(torch.cat(grown, -1))
        return [self.mlp(y) for y in grown], self.mlp(c)


class Fuser(nn.Module):
    """Three streams (B, T, d) -> one."""

    def __init__(self, config: EdtcConfig) -> None:
        super().__init__()
        self.crossings = nn.ModuleList(
            Attention(config.width, config.heads) for _ in range(STREAMS * (STREAMS - 1))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(STREAMS))
        self.join = TimeConv(STREAMS * config.width, config.width, 7)
        self.mlp = FeedForward(config.width, config.hidden, config.dropout)
        self.layers = nn.ModuleList(FusionLayer(config) for _ in range(config.fusions))

    def forward(self, streams: list[Tensor]) -> Tensor:
        crossings = iter(self.crossings)
        met: list[Tensor] = []
        for i, norm in enumerate(self.norms):
            x = streams[i]
            for j in range(STREAMS):
                if i != j:
                    x = x + next(crossings)(streams[i], streams[j])
            met.append(norm(x))
        c: Tensor = self.mlp(self.join(torch.cat(met, -1)))
        met = [self.mlp(e) for e in met]
        for layer in self.layers:
            met, c = layer(met, c)
        return c


class StepLayer(nn.Module):
    """A layer of the TRANSLATOR, which reads its input step by step; in its decoder another input too.

    Context block: cₙ, the input's convolution, meets what was last known: aₙ = LN(cₙ + CA(cₙ ← hₙ₋₁)).
    Global block: gₙ = LN(aₙ + CA(conv(a)ₙ ← the whole input)). Its convolution looks back only: aₙ₊₁ needs
    hₙ, which is gₙ, so that a centred one would need what it makes (EDTC-5). In the decoder hₙ is
    LN(gₙ + CA(gₙ ← the encoder's hₙ)).
    """

    def __init__(self, config: EdtcConfig, is_decoder: bool) -> None:
        super().__init__()
        width, self.kernel = config.width, config.kernel
        self.context = TimeConv(width, width, config.kernel)
        self.remembering = Attention(width, config.heads)
        self.norm1 = nn.LayerNorm(width)
        self.back = nn.Linear(config.kernel * width, width)
        """The causal convolution: aₙ, aₙ₋₁, … side by side."""
        self.looking = Attention(width, config.heads)
        self.norm2 = nn.LayerNorm(width)
        self.beside = Attention(width, config.heads) if is_decoder else None
        self.norm3 = nn.LayerNorm(width) if is_decoder else None
        self.mlp = FeedForward(width, config.hidden, config.dropout)

    def forward(
        self, x: Tensor, whole: Tensor, known: Tensor, encoded: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x, whole, encoded (B, T, d), known: h₋₁ (B, 1, d) -> what it says and every h, (B, T, d) each."""
        context, read = self.context(x), self.looking.read(whole)
        width, h = x.shape[2], known
        before: list[Tensor] = []  # aₙ, aₙ₋₁, …
        hidden: list[Tensor] = []
        for n in range(x.shape[1]):
            a = context[:, n : n + 1]
            a = self.norm1(a + self.remembering(a, h))
            before = [a, *before][: self.kernel]
            taps = self.back.weight[:, : len(before) * width]
            heard_back = F.linear(torch.cat(before, -1), taps, self.back.bias)
            h = self.norm2(a + self.looking.look(heard_back, read))
            if self.beside is not None and self.norm3 is not None and encoded is not None:
                h = self.norm3(h + self.beside(h, encoded[:, n : n + 1]))
            hidden.append(h)
        every = torch.cat(hidden, 1)
        return self.mlp(every), every


class Standard(nn.Module):
    """Each feature less its mean, in its standard deviations; as it comes until it was told them."""

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def learn(self, x: Tensor) -> None:
        """x (B, T, d): what is heard in training."""
        self.mean.copy_(x.mean((0, 1)))
        self.scale.copy_(1 / x.std((0, 1)).clamp_min(1e-3))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale


class Translated(NamedTuple):
    """What a TRANSLATOR makes of a sequence."""

    said: Tensor
    """(B, T, d)."""
    last: Tensor
    """(B, d): its last hidden state."""


class Translator(nn.Module):
    """(B, T, d) -> T outputs of its decoder, and the last hidden state."""

    def __init__(self, config: EdtcConfig) -> None:
        super().__init__()
        self.attended = config.attended
        self.encoder = nn.ModuleList(StepLayer(config, is_decoder=False) for _ in range(config.encoders))
        self.decoder = nn.ModuleList(StepLayer(config, is_decoder=True) for _ in range(config.decoders))

    def forward(self, x: Tensor) -> Translated:
        first, known = x, torch.zeros_like(x[:, :1])
        y = x
        for layer in self.encoder:
            y, hidden = layer(y, y if self.attended == "own" else first, known)
        encoded, known = y, hidden[:, -1:]
        y = first
        for layer in self.decoder:
            y, hidden = layer(y, y if self.attended == "own" else first, known, encoded)
        return Translated(y, hidden[:, -1])


class Edtc(nn.Module):
    """The captioner. `bart` is transformers' own class, so that its public weights are taken as they are."""

    def __init__(self, config: EdtcConfig, bart: nn.Module) -> None:
        super().__init__()
        self.config = config
        width = config.width
        streams = STREAMS if config.fuser != "none" else 1
        self.standards = nn.ModuleList(Standard(size) for size in config.inputs[:streams])
        self.entries = nn.ModuleList(
            nn.Identity() if size == width else nn.Linear(size, width) for size in config.inputs[:streams]
        )
        self.fuser = Fuser(config) if config.fuser == "fuser" else None
        has_translator, is_twin = config.translator != "none", config.translator == "twin"
        self.translator = Translator(config) if has_translator else None
        self.twin = Translator(config) if is_twin else None
        if self.twin is not None and self.translator is not None:
            self.twin.load_state_dict(self.translator.state_dict())
        self.text_entry = nn.Linear(config.text, width) if is_twin and config.text != width else nn.Identity()
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        """Logarithm of what similarities are multiplied with (EDTC-8)."""
        self.bart = bart

    @property
    def times(self) -> Tensor:
        """What cosines are multiplied with, at most a hundred."""
        return self.scale.clamp(max=math.log(100)).exp()

    def standardise(self, heard: list[Tensor]) -> None:
        """Learn each encoder's means and deviations, (B, T, dᵢ); the paper's take theirs as they come."""
        for standard, x in zip(self.standards, heard, strict=False):
            cast(Standard, standard).learn(x)

    def fuse(self, heard: list[Tensor]) -> Tensor:
        """Each encoder's (B, T, dᵢ) -> (B, T, d)."""
        ways = zip(self.standards, self.entries, heard, strict=False)
        streams = [entry(standard(x)) for standard, entry, x in ways]
        if self.fuser is None:
            return torch.stack(streams).mean(0)
        fused: Tensor = self.fuser(streams if len(streams) == STREAMS else streams * STREAMS)
        return fused

    def translate(self, heard: list[Tensor]) -> Translated:
        """What BART's encoder is given. Without a TRANSLATOR it is the fused, and its mean the last state."""
        fused = self.fuse(heard)
        if self.translator is None:
            return Translated(fused, fused.mean(1))
        found: Translated = self.translator(fused)
        return found

    def read(self, words: Tensor) -> Tensor:
        """(B, T, d_text), a caption's token vectors cut or padded to T -> (B, d): the twin's last state."""
        assert self.twin is not None
        last: Tensor = self.twin(self.text_entry(words)).last
        return last

    @torch.no_grad()
    def merge(self) -> None:
        """After a step of training: W ← βW + (1 − β)W_sim, then W_sim ← W (eq. 4)."""
        if self.translator is None or self.twin is None:
            return
        pairs = zip(self.translator.parameters(), self.twin.parameters(), strict=True)
        for ours, similar in pairs:
            ours.lerp_(similar, 1 - self.config.momentum)
            similar.copy_(ours)

    def forward(self, heard: list[Tensor], tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, S - 1, V) of the tokens (B, S) after the first; and the last hidden state (B, d)."""
        translated = self.translate(heard)
        said: Any = self.bart(inputs_embeds=translated.said, decoder_input_ids=tokens[:, :-1])
        logits: Tensor = said.logits
        return logits, translated.last


def new_bart(
    sizes: BartSizes, vocabulary: int, pad: int = 0, bos: int = 1, eos: int = 2, first: int = 1
) -> Any:
    """A BART with random weights. first: the token before a caption's first."""
    from transformers import BartConfig, BartForConditionalGeneration

    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=vocabulary, d_model=sizes.width, encoder_layers=sizes.layers,
            decoder_layers=sizes.layers, encoder_attention_heads=sizes.heads,
            decoder_attention_heads=sizes.heads, encoder_ffn_dim=sizes.hidden, decoder_ffn_dim=sizes.hidden,
            max_position_embeddings=sizes.positions, dropout=sizes.dropout, attention_dropout=0.0,
            activation_dropout=0.0, pad_token_id=pad, bos_token_id=bos, eos_token_id=eos,
            decoder_start_token_id=first, forced_eos_token_id=None,
            init_std=sizes.width**-0.5,  # ours are narrow: 0.02 is for 768
        )
    )  # fmt: skip


def to_steps(heard: Tensor, steps: int, valid: Tensor | None = None) -> Tensor:
    """(B, n, d) -> (B, T, d), linearly interpolated over the valid (EDTC-1)."""
    return stretch(heard, steps, valid)
