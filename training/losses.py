"""The losses of the papers, each named as there."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .tokenizer import EOS, PAD


def info_nce(query: Tensor, text: Tensor, same: Tensor, temperature: float = 0.07, first: int = 0) -> Tensor:
    """Audio to text, one direction: SEE eq. 5 as it is meant (docs/readings.md).

    query: (N, d), text: (M, d), length 1, row i of one belonging to row first + i of the other: M is more
    than N where other processes' texts are negatives too. same: (N, M) bool, True where row j's text is as
    true of clip i as its own: those are no negatives, an addition to the paper, whose captions differ.
    """
    similar = query @ text.T / temperature
    own = torch.arange(first, first + len(query), device=query.device)
    others = same.index_put((own - first, own), torch.tensor(False, device=query.device))
    return F.cross_entropy(similar.masked_fill(others, float("-inf")), own)


def bag_of_words(logits: Tensor, tokens: Tensor) -> Tensor:
    """SEE eq. 7 (SEE-4): softmax over the vocabulary against the caption's distinct words, equally weighted.

    logits: (N, V). tokens: (N, S) int64 with specials, which don't count as words.
    """
    bag = torch.zeros_like(logits).scatter_(1, tokens, 1.0)
    bag[:, : EOS + 1] = 0.0
    bag = bag / bag.sum(1, keepdim=True).clamp_min(1.0)
    return -(bag * logits.log_softmax(-1)).sum(1).mean()


def aligned_words(logits: Tensor, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
    """SEE eq. 7 by position, the other reading of SEE-4: position i predicts word i, the last its end.

    logits: (N, n, V). tokens: (N, S) int64, bos first. valid: (N, n) bool, positions that are real; words
    without a position count for nothing.
    """
    both = min(logits.shape[1], tokens.shape[1] - 1)
    target = tokens[:, 1 : both + 1]
    if valid is not None:
        target = target.masked_fill(~valid[:, :both], PAD)
    return F.cross_entropy(logits[:, :both].flatten(0, 1), target.flatten(), ignore_index=PAD)


def next_token(logits: Tensor, tokens: Tensor, smoothing: float = 0.1, pad: int = PAD) -> Tensor:
    """Cross-entropy of each token given those before it, label smoothing, padding ignored (SEE stage 2).

    logits: (N, S - 1, V) after tokens[:, :-1]. tokens: (N, S) int64.
    """
    return F.cross_entropy(
        logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=pad, label_smoothing=smoothing
    )


def nt_xent(audio: Tensor, text: Tensor, temperature: float = 0.07) -> Tensor:
    """Both directions summed, no half; the mean over the batch (retrieval eq. 6).

    audio, text: (N, d), length 1, row i of one belonging to row i of the other.
    """
    similar = audio @ text.T / temperature
    own = torch.arange(len(similar), device=similar.device)
    return F.cross_entropy(similar, own) + F.cross_entropy(similar.T, own)


def supervised_contrastive(audio: Tensor, text: Tensor, same: Tensor, temperature: float = 0.07) -> Tensor:
    """Every matching pair of the batch a positive, their mean taken outside the logarithm; both directions
    summed (retrieval eq. 7). Positives stay below the line too. Without another match it is `nt_xent`.

    same: (N, N) bool, True where row j's text is as true of clip i as its own (K(i)); true on the diagonal.
    """
    similar = audio @ text.T / temperature
    total = similar.new_zeros(())
    for scores, matching in ((similar, same), (similar.T, same.T)):
        share = matching / matching.sum(1, keepdim=True)
        total = total - (share * scores.log_softmax(1)).sum(1).mean()
    return total


def clip_contrastive(one: Tensor, other: Tensor, scale: Tensor | float) -> Tensor:
    """CLIP's loss: cross-entropy of both directions, half of each (CLIP-AAC eq. 1 to 5 with λ = 0.5; EDTC
    eq. 5, 6; BLAT).

    one, other: (N, d), length 1, row i of one belonging to row i of the other. scale: 1 / temperature.
    """
    similar = scale * one @ other.T
    own = torch.arange(len(similar), device=similar.device)
    return 0.5 * (F.cross_entropy(similar, own) + F.cross_entropy(similar.T, own))
