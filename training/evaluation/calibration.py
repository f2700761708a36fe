"""Fitting what a bundle believes of itself: its confidence, and where one situation ends."""

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...runtime.audio import CHUNK_SAMPLES, RATE
from ...runtime.bundle import Calibration
from ...runtime.config import Captions
from ...runtime.encoder import Encoder
from ...runtime.frontend import FrontEnd
from ...runtime.segment import Segment
from ...runtime.session import Model
from ..data import Clip, Corpus
from .naming import Uttered

SAY_ALL = Captions(confidence=0.0, hedge=0.0)
"""Options under which every sentence is said, to learn how often it is right."""


def fit_calibration(said: Sequence[Uttered]) -> tuple[float, float]:
    """(bias, slope) of Platt scaling: the first captions' support against whether they were right.

    `said` must have been uttered without thresholds and with the identity calibration, so that a
    caption's confidence is its sound's score. Newton's method on the logistic likelihood, with
    Platt's smoothed targets (Platt 1999, eq. 2-4).
    """
    scores = np.array([c for u in said for c in u.confidences[:1]])
    right = np.array([bool(n & set(u.clip.labels)) for u in said for n in u.named[:1]])
    scores = np.clip(scores, 1e-4, 1 - 1e-4)
    x = np.stack([np.ones_like(scores), np.log(scores / (1 - scores))], 1)
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))
    weights: NDArray[np.float64] = np.array([0.0, 1.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        weights = weights + np.linalg.solve(hessian, x.T @ (target - p))
    return float(weights[0]), float(weights[1])


def credulous(model: Model) -> Model:
    """The model with the identity calibration: a caption's confidence is its sound's score."""
    thresholds = msgspec.structs.replace(model.thresholds, calibration=Calibration())
    return dataclasses.replace(model, thresholds=thresholds)


def steady_novelty(model: Model, corpus: Corpus, clips: Sequence[Clip], share: float = 0.95) -> float:
    """The threshold of novelty under which this share of the clips that last would stay one situation.

    Each clip of five seconds or more is heard from its onset as the session would hear it.
    """
    front_end, encoder = FrontEnd(model.mels), Encoder(model.encoder)
    greatest: list[float] = []
    for clip in clips:
        samples = corpus.audio(clip)
        if len(samples) < 5 * RATE:
            continue
        past, state = front_end.initial_state(), encoder.initial_state()
        segment = Segment(0, True, model.window)
        novelty = [0.0]
        for start in range(0, len(samples) - CHUNK_SAMPLES + 1, CHUNK_SAMPLES):
            log_mel, past = front_end.step(samples[start : start + CHUNK_SAMPLES], past)
            embedding, state = encoder.step(log_mel, state)
            segment.add(embedding)
            novelty.append(segment.novelty())
        greatest.append(max(novelty))
    return float(np.quantile(greatest, share))
