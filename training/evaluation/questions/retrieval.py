"""Does the embedding find sounds by words, and words by sounds?

Of held-out scenes: the adapter's `semantic` vectors against the sentence model's of their captions. Several
scenes may have the same caption; each of them is then a right answer.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....runtime.errors import DataError
from ...sentence import sentence_model
from ..context import Context
from ..sounds.outcomes import as_scenes, scene_outcomes

RANKS = (1, 5, 10)


def retrieval(
    queries: NDArray[np.float32], answers: NDArray[np.float32], right: NDArray[np.bool_]
) -> dict[str, float]:
    """R@1, R@5, R@10 (a right answer is among the first k) and mAP@10, each the mean over queries.

    As `of_each_query`, which see.
    """
    each = of_each_query(queries, answers, right)
    return {name: float(values.mean()) for name, values in each.items()}


def of_each_query(
    queries: NDArray[np.float32], answers: NDArray[np.float32], right: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Figure -> (q,): whether a right answer is among the first k, and the average precision of ten.

    queries: (q, d), answers: (a, d), by cosine; right: (q, a), at least one a row. mAP@10 divides by as many
    right answers as could be among ten; with one it is 1/rank, the mAP10 of papers.
    """
    cosine = _unit(queries) @ _unit(answers).T
    order = np.argsort(-cosine, axis=1, kind="stable")[:, : max(RANKS)]
    ten = np.take_along_axis(right, order, axis=1)
    scores: dict[str, NDArray[np.float64]] = {
        f"R@{k}": np.asarray(ten[:, :k].any(1), np.float64) for k in RANKS
    }
    precision = ten.cumsum(1) / np.arange(1, ten.shape[1] + 1)
    possible = np.minimum(right.sum(1), max(RANKS))
    scores["mAP@10"] = np.asarray((precision * ten).sum(1) / possible)
    return scores


def examine(context: Context) -> dict[str, Any]:
    """Both directions, on the scenes of the comparison, beside what chance would find."""
    found = {"composed": _between(context, None)}
    if context.plans:
        found["human captions"] = _between(context, context.plans)
    return found


def _between(context: Context, plans: Path | None) -> dict[str, Any]:
    scenes = as_scenes(scene_outcomes(context, plans).scored)
    if scenes.semantic is None:
        raise DataError("the bundle has no decoder", why="so it has no embedding in the space of sentences")
    spoken = [i for i, some in enumerate(scenes.references) if some]
    captions = [scenes.references[i][0] for i in spoken]
    distinct = sorted(set(captions))
    texts = sentence_model(context.sentences)(distinct).numpy()
    sounds = scenes.semantic[spoken]
    if texts.shape[1] != sounds.shape[1]:
        raise DataError(
            f"the sentence model gives {texts.shape[1]} numbers, the bundle {sounds.shape[1]}",
            fix="name the sentence model that it was trained with: --sentences",
        )
    right = np.array([[caption == one for caption in captions] for one in distinct])
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(sounds.shape).astype(np.float32)
    return {
        "scenes": len(captions),
        "captions": len(distinct),
        "text to audio": retrieval(texts, sounds, right),
        "audio to text": retrieval(sounds, texts, right.T),
        "text to audio, by chance": retrieval(texts, noise, right),
        "audio to text, by chance": retrieval(noise, texts, right.T),
    }


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))
