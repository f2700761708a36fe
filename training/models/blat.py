"""BLAT: a captioner that is told a clip's tags, and the two towers that learn from what it writes.

TagCaptioner: frames -> bidirectional GRU -> memory; a Transformer decoder whose every word embedding has the
mean of the clip's tag embeddings added to it. BiEncoder: a clip and a sentence, each a vector of length 1.
Readings, BLAT-1 to -6, are in docs/readings.md.
"""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..tokenizer import BOS, EOS, PAD, UNK
from .cnn14 import BlatCnn14
from .gpt import sinusoids
from .sizes import Rate, Size, check_heads


class TaggedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The captioner's sizes. The defaults are the paper's."""

    input: Size = 2048
    gru: Size = 256
    """Of one direction."""
    gru_layers: Size = 3
    gru_dropout: Rate = 0.5
    width: Size = 256
    layers: Size = 2
    heads: Size = 4
    hidden: Size = 1024
    dropout: Rate = 0.2
    tags: Size = 527
    max_tokens: Size = 32

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


class TagCaptioner(nn.Module):
    """Frames (B, n, d) and tags -> words. Without any tag nothing is added: a plain captioner."""

    positions: Tensor

    def __init__(self, config: TaggedConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.gru = nn.GRU(
            config.input, config.gru, config.gru_layers, batch_first=True, bidirectional=True,
            dropout=config.gru_dropout if config.gru_layers > 1 else 0.0,
        )  # fmt: skip
        self.entry = nn.Sequential(
            nn.Linear(2 * config.gru, config.width), nn.ReLU(), nn.Dropout(config.dropout),
            nn.LayerNorm(config.width),
        )  # fmt: skip
        self.tags = nn.Parameter(torch.randn(config.tags, config.width) * config.width**-0.5)
        self.words = nn.Embedding(vocabulary, config.width)
        nn.init.normal_(self.words.weight, std=config.width**-0.5)
        layer = nn.TransformerDecoderLayer(
            config.width, config.heads, config.hidden, config.dropout, batch_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.layers)
        self.drop = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.width, vocabulary, bias=False)
        table = sinusoids(config.max_tokens, config.width)
        self.register_buffer("positions", table, persistent=False)

    def hear(self, frames: Tensor, valid: Tensor) -> Tensor:
        """(B, n, d), valid (B, n) bool, True first, at least one a row -> memory (B, n, width)."""
        lengths = valid.sum(1).cpu()
        packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        heard, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=frames.shape[1])
        memory: Tensor = self.entry(heard)
        return memory

    def event(self, tags: Tensor) -> Tensor:
        """(B, tags) 0 or 1 -> e^g (B, width): the mean of the embeddings of the tags that are there."""
        return tags @ self.tags / tags.sum(1, keepdim=True).clamp_min(1)

    def next(self, tokens: Tensor, memory: Tensor, valid: Tensor, event: Tensor) -> Tensor:
        """Logits (B, S, V) of the token after each of tokens (B, S)."""
        length = tokens.shape[1]
        words = self.words(tokens) + event[:, None]  # before the positions, at every one (BLAT-2)
        x = self.drop(words * math.sqrt(self.config.width) + self.positions[:length])
        ahead = torch.ones(length, length, dtype=torch.bool, device=tokens.device).triu(1)
        logits: Tensor = self.output(
            self.decoder(
                x, memory, tgt_mask=ahead, memory_key_padding_mask=~valid,
                tgt_key_padding_mask=tokens == PAD,
            )
        )  # fmt: skip
        return logits

    def forward(self, frames: Tensor, valid: Tensor, tags: Tensor, tokens: Tensor) -> Tensor:
        """Logits (B, S - 1, V) of the tokens (B, S) after the first."""
        return self.next(tokens[:, :-1], self.hear(frames, valid), valid, self.event(tags))

    @torch.inference_mode()
    def say(self, frames: Tensor, valid: Tensor, tags: Tensor, beam: int = 3) -> Tensor:
        """(B, S) tokens of each clip's likeliest sentence, bos first."""
        memory, event = self.hear(frames, valid), self.event(tags)

        def following(tokens: Tensor, rows: Tensor) -> Tensor:
            return self.next(tokens, memory[rows], valid[rows], event[rows])[:, -1]

        return beam_search(following, len(frames), beam, self.config.max_tokens, frames.device)


LEAST_WORDS = 3


def beam_search(
    following: Callable[[Tensor, Tensor], Tensor], clips: int, beam: int, longest: int, device: torch.device
) -> Tensor:
    """(clips, S) tokens, bos first: the best of `beam` sentences by their mean log-probability.

    following: tokens (n, S) and which clip each row is of (n,) -> logits (n, V) of what comes next.
    No sentence has less than three words.
    """
    rows = torch.arange(clips, device=device).repeat_interleave(beam)
    tokens = torch.full((clips * beam, 1), BOS, device=device)
    # All beams of a clip begin alike, so only the first counts at first.
    totals = torch.zeros(clips, beam, device=device)
    totals[:, 1:] = -torch.inf
    ended = torch.zeros(clips, beam, dtype=torch.bool, device=device)
    lengths = torch.zeros(clips, beam, device=device)
    for position in range(longest - 1):
        scores = following(tokens, rows).log_softmax(-1).view(clips, beam, -1)
        scores[..., [PAD, BOS, UNK]] = -torch.inf
        if position < LEAST_WORDS:
            scores[..., EOS] = -torch.inf
        vocabulary = scores.shape[-1]
        nothing = torch.full((vocabulary,), -torch.inf, device=device)
        nothing[PAD] = 0.0  # what has ended stays as it is
        scores = torch.where(ended[..., None], nothing, scores)
        grown = totals[..., None] + scores
        per_token = grown / (lengths + (~ended).float())[..., None]
        best = per_token.view(clips, -1).topk(beam, dim=1).indices
        parents, chosen = best // vocabulary, best % vocabulary
        totals = grown.view(clips, -1).gather(1, best)
        lengths = (lengths + (~ended).float()).gather(1, parents)
        ended = ended.gather(1, parents) | (chosen == EOS)
        flat = (parents + torch.arange(clips, device=device)[:, None] * beam).flatten()
        tokens = torch.cat([tokens[flat], chosen.view(-1, 1)], dim=1)
        if ended.all():
            break
    return tokens.view(clips, beam, -1)[:, 0]


class BertText(nn.Module):
    """A BERT under the name that BLAT's checkpoint gives it: its [CLS] (B, 512)."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.model = bert

    def forward(self, words: Any) -> Tensor:
        """words: what its tokeniser gives."""
        hidden: Tensor = self.model(**words).last_hidden_state
        return hidden[:, 0]


class Blat(nn.Module):
    """The two towers as `blat_cnn14_bertm.pth` holds them under `state_dict`: 123,670,465 parameters."""

    def __init__(self, audio: BlatCnn14, bert: Any, width: int = 1024) -> None:
        super().__init__()
        self.audio_encoder = audio
        self.text_encoder = BertText(bert)
        self.audio_proj = nn.Linear(audio.width, width)
        self.text_proj = nn.Linear(bert.config.hidden_size, width)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def times(self) -> Tensor:
        """What cosines are multiplied with, at most a hundred."""
        return self.logit_scale.clamp(max=math.log(100)).exp()

    def hear(self, samples: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, N) samples at 32 kHz, valid (B, t) bool of its frames -> (B, 1024), length 1."""
        frames = self.audio_encoder.features(samples)
        return F.normalize(self.audio_proj(self.audio_encoder.clip_vector(frames, valid)), dim=-1)

    def read(self, words: Any) -> Tensor:
        """A tokeniser's output -> (B, 1024), length 1."""
        return F.normalize(self.text_proj(self.text_encoder(words)), dim=-1)


def bert_medium() -> Any:
    """A BERT of BERT-medium's sizes with random weights: 41,373,184 parameters."""
    from transformers import BertConfig, BertModel

    return BertModel(
        BertConfig(hidden_size=512, num_hidden_layers=8, num_attention_heads=8, intermediate_size=2048)
    )


def public_blat() -> Blat:
    """BLAT at its published size."""
    return Blat(BlatCnn14(), bert_medium())


class TowersConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two towers over frozen features: our scale."""

    audio: Size = 384
    text: Size = 384
    width: Size = 256


class Towers(nn.Module):
    """Features pooled as BLAT pools CNN14's, then a Linear; a sentence vector, then a Linear."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.audio, config.audio)
        self.audio_proj = nn.Linear(config.audio, config.width)
        self.text_proj = nn.Linear(config.text, config.width)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def times(self) -> Tensor:
        """What cosines are multiplied with, at most a hundred."""
        return self.logit_scale.clamp(max=math.log(100)).exp()

    def hear(self, pooled: Tensor) -> Tensor:
        """(B, audio), max + mean over a clip's frames -> (B, width), length 1."""
        return F.normalize(self.audio_proj(F.relu(self.fc1(pooled))), dim=-1)

    def read(self, sentences: Tensor) -> Tensor:
        """(B, text) -> (B, width), length 1."""
        return F.normalize(self.text_proj(sentences), dim=-1)
