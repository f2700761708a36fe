"""A BART as the edge's decoder runs one: memory -> keys and values once, then a token at a time.

transformers' own classes keep their caches in objects; a graph's state is tensors of a fixed shape. These
modules read the same weights and compute the same numbers, under the names of the room's decoder.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.model.manifest import Graph
from ...runtime.model.manifest import Tensor as Port
from ...runtime.thorough import HEARD
from .attention import attend, join_heads, split_heads
from .edtc import Edtc
from .graph import ExportGraph, Extent

MAX_TOKENS = 30
"""Room in the cache: the token before a caption's first, and its longest."""


class Fused(nn.Module):
    """What three encoders heard of a segment, each stretched to T steps, -> what the decoder attends to."""

    def __init__(self, model: Edtc) -> None:
        super().__init__()
        self.model = model

    def forward(self, *heard: Tensor) -> Tensor:
        bart: Any = self.model.bart
        x: Tensor = self.model.translate(list(heard)).said
        encoder = bart.model.encoder
        positions = encoder.embed_positions.weight[2 : 2 + x.shape[1]]  # BART counts them from 2
        x = encoder.layernorm_embedding(x + positions)
        for layer in encoder.layers:
            attention = layer.self_attn
            heads = attention.num_heads
            query, key, value = (
                split_heads(side(x), heads) for side in (attention.q_proj, attention.k_proj, attention.v_proj)
            )
            x = layer.self_attn_layer_norm(x + attention.out_proj(join_heads(attend(query, key, value))))
            x = layer.final_layer_norm(x + layer.fc2(F.gelu(layer.fc1(x))))
        return x


class BartPrefill(nn.Module):
    """Memory (B, T, d) -> keys and values of every layer's attention to it, (layers, B, heads, T, d_head)."""

    def __init__(self, model: Edtc) -> None:
        super().__init__()
        bart: Any = model.bart
        self.layers = bart.model.decoder.layers

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        crossed = [layer.encoder_attn for layer in self.layers]
        keys = [split_heads(each.k_proj(memory), each.num_heads) for each in crossed]
        values = [split_heads(each.v_proj(memory), each.num_heads) for each in crossed]
        return torch.stack(keys), torch.stack(values)


class BartStep(nn.Module):
    """One token for every beam; its cache has a fixed size."""

    def __init__(self, model: Edtc) -> None:
        super().__init__()
        self.bart: Any = model.bart

    def forward(
        self, token: Tensor, position: Tensor, cross_keys: Tensor, cross_values: Tensor, keys: Tensor,
        values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        decoder = self.bart.model.decoder
        slots = torch.arange(keys.shape[3], device=token.device)
        here, visible = (slots == position)[:, None], slots <= position
        x = decoder.embed_tokens(token[:, None])
        x = x + decoder.embed_positions.weight.index_select(0, position + 2)
        x = decoder.layernorm_embedding(x)
        new_keys, new_values = [], []
        for index, layer in enumerate(decoder.layers):
            own, heads = layer.self_attn, layer.self_attn.num_heads
            query, key, value = (split_heads(side(x), heads) for side in (own.q_proj, own.k_proj, own.v_proj))
            new_keys.append(torch.where(here, key, keys[index]))
            new_values.append(torch.where(here, value, values[index]))
            looked = attend(query, new_keys[-1], new_values[-1], visible)
            x = layer.self_attn_layer_norm(x + own.out_proj(join_heads(looked)))
            crossed = layer.encoder_attn
            looked = attend(split_heads(crossed.q_proj(x), heads), cross_keys[index], cross_values[index])
            x = layer.encoder_attn_layer_norm(x + crossed.out_proj(join_heads(looked)))
            x = layer.final_layer_norm(x + layer.fc2(F.gelu(layer.fc1(x))))
        logits = self.bart.lm_head(x[:, 0]) + self.bart.final_logits_bias
        return logits.log_softmax(-1), torch.stack(new_keys), torch.stack(new_values)


def graphs(model: Edtc, ears: Sequence[str]) -> list[ExportGraph]:
    """What the edge needs of a captioner, in the order of the sound's way. ears: its encoders' names."""
    config, sizes = model.config, model.config.bart
    head = sizes.width // sizes.heads
    bart: Any = model.bart
    vocabulary = bart.config.vocab_size
    named = zip(ears, config.inputs, strict=True)
    heard = tuple(Port(f"{HEARD}{ear}", (1, config.steps, width)) for ear, width in named)
    memory = Port("memory", (1, config.steps, sizes.width))
    cross = (sizes.layers, 1, sizes.heads, config.steps, head)
    crossed = (Port("cross_keys", cross), Port("cross_values", cross))
    cache = (sizes.layers, "beam", sizes.heads, MAX_TOKENS, head)
    fuser = Graph("fuser", inputs=heard, outputs=(memory,))
    prefill = Graph("fuser_prefill", inputs=(memory,), outputs=crossed)
    step = Graph(
        "fuser_step",
        inputs=(Port("token", ("beam",), "int64"), Port("position", (1,), "int64"), *crossed),
        outputs=(Port("log_probs", ("beam", vocabulary)),),
        state=(Port("keys", cache), Port("values", cache)),
    )
    return [
        ExportGraph(fuser, Fused(model).eval(), {}),
        ExportGraph(prefill, BartPrefill(model).eval(), {}),
        ExportGraph(
            step, BartStep(model).eval(), {"beam": Extent(1, 16, 3)},
            integers={"token": vocabulary, "position": MAX_TOKENS},
        ),
    ]  # fmt: skip
