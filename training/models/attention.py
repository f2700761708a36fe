"""Scaled dot-product attention over several heads, written out so that every exporter can read it."""

import math

import torch
from torch import Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, n, heads * d) -> (B, heads, n, d)."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(B, heads, n, d) -> (B, n, heads * d)."""
    return x.transpose(1, 2).flatten(2)


def attend(
    query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None, dropout: float = 0.0,
    bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """softmax(Q Kᵀ / √d + bias) V.

    query (B, H, q, d); key, value (B, H, k, d), or B = 1 for one memory shared by many beams.
    visible: bool, broadcast to (B, H, q, k); False is never looked at. Returns (B, H, q, d).
    dropout: probability that a weight is dropped; pass 0 outside training. bias: as `visible`.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if bias is not None:
        scores = scores + bias
    if visible is not None:
        scores = scores.masked_fill(~visible, -math.inf)
    weights = scores.softmax(-1)
    if dropout > 0:
        weights = torch.nn.functional.dropout(weights, dropout)
    return weights @ value
