"""What a straight line can read from the embeddings: a linear probe of the streaming encoder, and of mn04.

Each clip is heard whole and by itself; its embedding is the mean over its steps of 320 ms. A logistic
regression on standardised embeddings learns the labels from the training clips; how strongly it is held
back is chosen on the validation clips.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ....runtime.audio import CHUNK_SAMPLES
from ...data.corpus import Clip
from ..context import Context, Stage
from ..peers.mn04 import open_peer

DECAYS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Weights of the squared coefficients, per clip, to choose from."""
SHORTEST = 2 * CHUNK_SAMPLES
"""Clips are filled up to this with silence: mn04 needs some frames to look at."""

Matrix = NDArray[np.float32]


def examine(context: Context) -> dict[str, Any]:
    """Share of the test clips that a probe names: of our embeddings, of mn04's, and their ratio."""
    clips = context.corpus.clips
    figures: dict[str, Any] = {"edgecap": probe(_stack(context.each(embed, clips, "embedding clips")), clips)}
    if context.peer:
        items = [(clip, context.peer) for clip in clips]
        theirs = context.each(embed_by_peer, items, "mn04's embeddings")
        figures["mn04"] = probe(_stack(theirs), clips)
        figures["ratio"] = figures["edgecap"]["top1"] / max(figures["mn04"]["top1"], 1e-9)
    return figures


def embed(stage: Stage, clip: Clip) -> Matrix:
    """(width,) mean of the streaming encoder's embeddings of a clip, from a fresh state."""
    heard = stage.model.hearing().follow(_filled(stage.corpus.audio(clip)))
    vectors = [embedding.vector for embedding in heard]
    return np.asarray(np.mean(vectors, axis=0), np.float32)


def embed_by_peer(stage: Stage, item: tuple[Clip, Path]) -> Matrix:
    """(384,) mean of mn04's vectors of a clip."""
    clip, weights = item
    samples = torch.from_numpy(_filled(stage.corpus.audio(clip)))
    return np.asarray(open_peer(weights).sequence(samples[None])[0].mean(0).numpy(), np.float32)


def _filled(samples: Matrix) -> Matrix:
    """A whole number of chunks, the last filled with silence."""
    chunks = max(-(-len(samples) // CHUNK_SAMPLES), SHORTEST // CHUNK_SAMPLES)
    return np.pad(samples, (0, chunks * CHUNK_SAMPLES - len(samples)))


def _stack(vectors: Sequence[Matrix]) -> Matrix:
    return np.stack(vectors)


def probe(embeddings: Matrix, clips: Sequence[Clip]) -> dict[str, Any]:
    """Fit on train, choose on val, score on test. embeddings: (clips, width)."""
    rows = {split: [i for i, c in enumerate(clips) if c.split == split] for split in ("train", "val", "test")}
    labels = sorted({clips[i].label for i in rows["train"]})
    index = {label: i for i, label in enumerate(labels)}
    target = np.array([index.get(clip.label, -1) for clip in clips])  # -1: no training clip, never right
    train = embeddings[rows["train"]]
    normal = (embeddings - train.mean(0)) / (train.std(0) + 1e-6)
    best: tuple[float, float, NDArray[np.bool_]] | None = None
    for decay in DECAYS:
        weights, bias = fit_logistic(normal[rows["train"]], target[rows["train"]], len(labels), decay)
        right = (normal @ weights.T + bias).argmax(1) == target
        on_val = float(right[rows["val"]].mean())
        if best is None or on_val > best[0]:
            best = on_val, decay, right
    assert best is not None  # there is a decay to choose
    on_val, decay, right = best
    by_label: dict[str, list[bool]] = {}
    for i in rows["test"]:
        by_label.setdefault(clips[i].label, []).append(bool(right[i]))
    return {
        "top1": float(right[rows["test"]].mean()),
        "top1_over_classes": float(np.mean([np.mean(row) for row in by_label.values()])),
        "top1_val": on_val,
        "labels": len(labels),
        "clips": {split: len(found) for split, found in rows.items()},
        "decay": decay,
    }


def fit_logistic(x: Matrix, target: NDArray[np.int64], classes: int, decay: float) -> tuple[Matrix, Matrix]:
    """(classes, width) weights and (classes,) biases of a multinomial logistic regression, by L-BFGS."""
    inputs, wanted = torch.from_numpy(x), torch.from_numpy(target)
    weights = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], max_iter=100, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(inputs, weights, bias), wanted) + decay * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]  # torch's own stub has none
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]  # torch's own stub has none
    return weights.detach().numpy(), bias.detach().numpy()
