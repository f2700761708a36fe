"""Does it know how often it is right? Fitting its confidence, and holding it against what came true."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ....runtime.audio import RATE
from ....runtime.hearing.segment import Segment
from ...data.corpus import Clip
from ..context import Context, Stage
from .naming import Uttered, utter_freely, utter_scores

BINS = 10


def fit(context: Context) -> tuple[int, float, float, float]:
    """(clips, bias, slope, novelty) from the split's clips of sounds that the model was taught."""
    taught = [clip for clip in context.clips if clip.label in context.model.labels.names]
    said = utter_scores(context, taught)
    return (len(said), *fit_calibration(*first_scores(said)), steady_novelty(context, taught))


def first_scores(said: Sequence[Uttered]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each clip spoken of: its first caption's confidence, and whether that named the clip's sound."""
    first = [(u.said[0], set(u.clip.labels)) for u in said if u.said]
    scores = np.array([one.confidence for one, _ in first], np.float64)
    return np.clip(scores, 1e-4, 1 - 1e-4), np.array([bool(one.named & labels) for one, labels in first])


def fit_calibration(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """(bias, slope) of Platt scaling: the first captions' scores against whether they were right.

    Newton's method on the logistic likelihood, with Platt's smoothed targets (Platt 1999, eq. 2-4).
    """
    x = np.stack([np.ones_like(scores), np.log(scores / (1 - scores))], 1)
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    weights: NDArray[np.float64] = np.array([0.0, 1.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        weights = weights + np.linalg.solve(hessian, x.T @ (target - p))
    return float(weights[0]), float(weights[1])


def steady_novelty(context: Context, clips: Sequence[Clip], share: float = 0.95) -> float:
    """The threshold of novelty under which this share of the clips that last would stay one situation.

    Each clip of five seconds or more is heard from its onset as the session would hear it.
    """
    long = [clip for clip in clips if clip.stop - clip.start >= 5 * RATE]
    return float(np.quantile(context.each(_novelty, long, "following steady sounds"), share))


def _novelty(stage: Stage, clip: Clip) -> float:
    model, samples = stage.model, stage.corpus.audio(clip)
    segment = Segment(0, True, model.window)
    greatest = 0.0
    for embedding in model.hearing().follow(samples):
        segment.add(embedding)
        greatest = max(greatest, segment.novelty())
    return greatest


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """How far confidences are from the truth.

    bins: of ten equal ones, those with captions: how many, their mean confidence, the share that was right.
    ece: the mean distance between the two, weighted by captions (expected calibration error, Guo et al.
    2017, eq. 3). brier: the mean squared distance of a confidence from its caption's truth.
    """
    where = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        {
            "from": i / BINS,
            "captions": int((where == i).sum()),
            "confidence": float(confidence[where == i].mean()),
            "right": float(right[where == i].mean()),
        }
        for i in range(BINS)
        if (where == i).any()
    ]
    gaps = [row["captions"] * abs(row["confidence"] - row["right"]) for row in bins]
    return {
        "captions": len(right),
        "right": float(right.mean()) if len(right) else float("nan"),
        "ece": sum(gaps) / max(len(right), 1),
        "brier": float(np.mean((confidence - right) ** 2)) if len(right) else float("nan"),
        "bins": bins,
    }


def examine(context: Context) -> dict[str, Any]:
    """Reliability of the first captions when nothing is held back.

    The bundle's calibration was fitted on the validation split: held against the test split it is honest.
    """
    return {
        "calibration": msgspec.to_builtins(context.model.thresholds.calibration),
        **reliability(*first_scores(utter_freely(context, context.clips))),
    }


def draw(figures: dict[str, Any], path: Path) -> None:
    """The reliability plot: how often first captions of each confidence were right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    bins = figures["bins"]
    for row in bins:
        axes.plot(row["confidence"], row["right"], "o", color="C0", markersize=3 + row["captions"] ** 0.5)
    axes.set(
        xlabel="confidence", ylabel="share that was right", xlim=(0, 1), ylim=(0, 1),
        title=f"{figures['captions']} first captions, ECE {figures['ece']:.3f}",
    )  # fmt: skip
    figure.savefig(path, dpi=110)
