"""Attention-based retrieval: the printed formulas, padding, sizes, losses; its graphs on the edge."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from edgecap.export.to_onnx import to_onnx
from edgecap.training.losses import info_nce, nt_xent, supervised_contrastive
from edgecap.training.models.retrieval import ATTENTIONS, Retrieval, RetrievalConfig, graphs

torch.set_num_threads(1)


def model(attention: str, **sizes: int) -> Retrieval:
    torch.manual_seed(3)
    config = RetrievalConfig(
        **{"frames": 6, "attended": 8, "sentence": 5, "width": 7} | sizes, attention=attention
    )  # type: ignore[arg-type]  # sizes are whole numbers
    return Retrieval(config).eval()


@torch.no_grad()
def test_graph_attention_is_that_of_every_pair_of_frames() -> None:
    graph = ATTENTIONS["graph"](8).double()
    frames = torch.randn(1, 5, 8, dtype=torch.float64)
    node = [graph.w1(frame) for frame in frames[0]]
    relation = torch.stack(
        [torch.stack([F.leaky_relu(graph.w2(torch.cat([i, j])), 0.2)[0] for j in node]) for i in node]
    )
    wanted = frames[0] + relation.softmax(-1) @ torch.stack(node)
    torch.testing.assert_close(graph(frames, torch.ones(1, 5, dtype=torch.bool))[0], wanted)


@torch.no_grad()
def test_self_attention_is_as_printed() -> None:
    attention = ATTENTIONS["self"](8).double()
    frames = torch.randn(1, 5, 8, dtype=torch.float64)
    query, key, value = (part(frames[0]) for part in (attention.query, attention.key, attention.value))
    hat = frames[0] + torch.softmax(query @ key.T / math.sqrt(8), -1) @ value
    wanted = attention.down(torch.relu(attention.up(hat))) + hat
    torch.testing.assert_close(attention(frames, torch.ones(1, 5, dtype=torch.bool))[0], wanted)


@pytest.mark.parametrize("attention", ATTENTIONS)
@torch.no_grad()
def test_padding_moves_nothing(attention: str) -> None:
    made = model(attention)
    frames = torch.randn(2, 9, 6)
    valid = torch.arange(9) < torch.tensor([[4], [9]])
    alone = made.audio(frames[:1, :4])
    torch.testing.assert_close(made.audio(frames.masked_fill(~valid[..., None], 1e3), valid)[:1], alone)
    torch.testing.assert_close(alone.norm(dim=-1), torch.ones(1))


def test_the_paper_s_sizes() -> None:
    def parameters(attention: str) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in Retrieval(RetrievalConfig(attention=attention)).parameters())  # type: ignore[arg-type]  # one of ATTENTIONS

    entry = 2048 * 1024 + 1024
    both = entry + 1024 * 1024 + 1024 + 768 * 1024 + 1024
    assert parameters("none") == both
    assert parameters("graph") == both + 1024 * 1024 + 2 * 1024
    assert parameters("self") == both + 3 * 1024 * 1024 + 2 * (1024 * 1024 + 1024)


@settings(max_examples=20)
@given(st.integers(2, 9), st.integers(0, 10_000))
def test_without_another_match_the_supervised_loss_is_nt_xent(rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    audio, text = (F.normalize(torch.randn(rows, 4, generator=generator), dim=-1) for _ in range(2))
    own = torch.eye(rows, dtype=torch.bool)
    contrast = nt_xent(audio, text, 0.2)
    torch.testing.assert_close(supervised_contrastive(audio, text, own, 0.2), contrast)
    torch.testing.assert_close(contrast, info_nce(audio, text, own, 0.2) + info_nce(text, audio, own, 0.2))
    same = torch.rand(rows, rows, generator=generator) < 0.4
    same = same | same.T | own
    wanted = torch.zeros(())
    for one, other in ((audio, text), (text, audio)):
        for m in range(rows):
            logs = (one[m] @ other.T / 0.2).log_softmax(0)
            wanted -= sum(logs[k] for k in range(rows) if same[m, k]) / same[m].sum() / rows  # type: ignore[arg-type]  # sum begins with 0, which is no tensor
    torch.testing.assert_close(supervised_contrastive(audio, text, same, 0.2), wanted)


def test_its_graphs_say_the_same_on_the_edge() -> None:
    import onnxruntime

    made = model("self")
    for export in graphs(made):
        session = onnxruntime.InferenceSession(to_onnx(export, {}), providers=["CPUExecutionProvider"])
        for sizes in ({"batch": 1, "n": 1}, {"batch": 3, "n": 11}):
            arguments = export.example({name: sizes[name] for name in export.dims}, seed=2)
            feed = {port.name: x.numpy() for port, x in zip(export.ports_in(), arguments, strict=True)}
            with torch.no_grad():
                (wanted,) = export.module(*arguments)
            np.testing.assert_allclose(session.run(None, feed)[0], wanted, atol=1e-5)
