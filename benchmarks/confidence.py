"""What a confidence of more than one score is worth: captions of validation clips, by what speaks for each.

    python -m benchmarks.confidence room-small --corpus CLIPS --places "quiet, as recorded | in a room"

A confidence is today a map of one score, the best sound's. Here each sentence that could have been said is
kept with more of what was known then: that sound's newest score, the best rival's, how much is heard in all,
and how much nearer the segment lies to that sound's phrase than to any other's. Logistic maps of some of
these are fitted to four fifths of the recordings and asked of the fifth. A clip is spoken of once one
reaches the threshold; of the same share of clips that are spoken of, how often is the first right, how many
are named, and how many are spoken of whose sound the model was never taught?
Nothing of the test split is heard.
"""

import argparse
import sys
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecap.runtime.errors import EdgecapError
from edgecap.runtime.hearing.segment import Segment
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.options import Captions
from edgecap.runtime.saying.choose import Known, choose
from edgecap.runtime.saying.decoder import Hypothesis
from edgecap.runtime.saying.limits import Limits
from edgecap.runtime.session import Session
from edgecap.training.data.corpus import Clip
from edgecap.training.evaluation.context import Context, Stage, open_stage, workers
from edgecap.training.evaluation.questions import rooms
from edgecap.training.sentence import sentence_model

ASKED = Captions(confidence=0.40, hedge=0.30)
"""Lower than anything ships with, so that what would be held back is known too."""
NOTHING = Known(None, frozenset(), frozenset())
GROUNDS = ("score", "newest", "rival", "crowd", "place")
SETS = ((0,), (0, 1), (0, 2, 3), (0, 4), (0, 1, 2, 3), (0, 1, 2, 3, 4))
SHARES = (0.75, 0.80, 0.85, 0.90)
FOLDS, RIDGE = 5, 3.0
"""RIDGE: for grounds of deviation one."""
FITTED = 0.45
"""A map is fitted to each clip's first sentence of this probability or more."""


class Sentence(NamedTuple):
    """One that could have been said: its probability as shipped, GROUNDS, whether it names the clip."""

    shipped: float
    grounds: tuple[float, ...]
    is_right: bool


class Heard(NamedTuple):
    """A clip's sentences, in order."""

    recording: str
    is_taught: bool
    sentences: list[Sentence]

    @property
    def fold(self) -> int:
        """Which fifth of the recordings it is of."""
        return zlib.crc32(self.recording.encode()) % FOLDS


class Listening(Session):
    """A session that notes what it could say, and what speaks for it."""

    def __init__(self, stage: Stage, labels: frozenset[str], phrases: NDArray[np.float32]) -> None:
        super().__init__(stage.model, ASKED)
        self.noted: list[Sentence] = []
        self._limits = Limits.of(stage.model.thresholds, ASKED)
        self._names, self._asked, self._phrases = stage.names, labels, phrases

    def _describe(self, segment: Segment) -> list[Hypothesis]:
        offered = super()._describe(segment)
        evidence = segment.belief()
        found = choose(offered, evidence, self.labels, self._limits, NOTHING).candidate
        known = [label for label in found.labels if label < len(self._phrases)] if found else []
        place = next((one.semantic for one in offered if one.semantic.size), None)
        if found and known and place is not None:
            heard = evidence[: len(self._phrases)]
            best = max(known, key=lambda label: heard[label])
            near = self._phrases @ (place / max(float(np.linalg.norm(place)), 1e-6))
            others = np.delete(heard, known)
            grounds = (
                logit(heard[best]), logit(segment.latest[best]), logit(others.max()),
                float(np.log(heard.clip(1e-6, 1.0).sum())),
                float(near[best] - np.delete(near, best).max()),
            )  # fmt: skip
            is_right = bool(self._names(found.text) & self._asked)
            self.noted.append(Sentence(found.probability, grounds, is_right))
        return offered


def logit(p: float) -> float:
    """Log-odds, within reason."""
    p = min(max(float(p), 1e-4), 1 - 1e-4)
    return float(np.log(p / (1 - p)))


def hear(stage: Stage, clip: Clip, place: str, phrases: NDArray[np.float32]) -> Heard:
    """All that could be said of a clip in a place."""
    samples = rooms.compose(stage, rooms.Hearing(clip, rooms.PLACES[place], "val", 0))
    session = Listening(stage, frozenset(clip.labels), phrases)
    for start in range(0, len(samples), 3200):
        session.push(samples[start : start + 3200])
    session.finish()
    return Heard(clip.recording, bool({*clip.labels} & {*stage.model.labels.names}), session.noted)


class Map(NamedTuple):
    """Weights of some GROUNDS, moved and scaled to deviation one."""

    columns: list[int]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __call__(self, sentence: Sentence) -> float:
        """Its log-odds."""
        normal = (np.array(sentence.grounds)[self.columns] - self.mean) / self.deviation
        return float(self.weights[:-1] @ normal + self.weights[-1])


def fit(sentences: Sequence[Sentence], columns: Sequence[int]) -> Map:
    """Logistic regression with a ridge, by Newton's method."""
    x = np.array([one.grounds for one in sentences])[:, list(columns)]
    y = np.array([one.is_right for one in sentences], float)
    mean, deviation = x.mean(0), x.std(0) + 1e-9
    x = np.c_[(x - mean) / deviation, np.ones(len(x))]
    held = np.r_[np.full(len(columns), RIDGE), 1e-6]
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(held)
        weights -= np.linalg.solve(hessian, x.T @ (p - y) + held * weights)
    return Map([*columns], mean, deviation, weights)


def out_of_fold(heard: Sequence[Heard], columns: Sequence[int]) -> list[Map]:
    """A map for each fifth of the recordings, fitted to the others."""
    first = [(h.fold, next((s for s in h.sentences if s.shipped >= FITTED), None)) for h in heard]
    return [fit([s for at, s in first if s and at != fold], columns) for fold in range(FOLDS)]


def rows(name: str, heard: Sequence[Heard], maps: Sequence[Map] | None) -> list[str]:
    """A line for each share of the taught clips that is spoken of."""
    scored = [
        (h.is_taught, [(maps[h.fold](s) if maps else s.shipped, s.is_right) for s in h.sentences])
        for h in heard
    ]
    peaks = np.array([max((score for score, _ in said), default=-99.0) for _, said in scored])
    taught = np.array([is_taught for is_taught, _ in scored])
    lines = []
    for share in SHARES:
        least = np.quantile(peaks[taught], 1 - share)
        right, named = [], []
        for is_taught, said in scored:
            loud = [is_right for score, is_right in said if score >= least]
            if is_taught:
                named.append(any(loud))
                right += loud[:1]
        strange = float((peaks[~taught] >= least).mean()) if (~taught).any() else float("nan")
        lines.append(
            f"| {name} | {share:.2f} | {np.mean(right):.3f} | {np.mean(named):.3f} | {strange:.3f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="of decoded clips")
    parser.add_argument("--places", default="quiet, as recorded | in a room", help="| between")
    parser.add_argument("--clips", type=int, help="so many; else all")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    try:
        stage = open_stage(given.bundle, given.corpus, given.cache)
        said = [label.phrase.replace(" ,", ",") for label in Bundle.open(given.bundle).labels]
        phrases = np.asarray(sentence_model()(said), np.float32)
        with workers(given.bundle, given.corpus, given.cache, given.jobs) as pool:
            context = Context(stage, given.corpus, split="val", pool=pool, most=given.clips)
            places = [each.strip() for each in given.places.split("|")]
            heard = {
                place: context.each(partial(hear, place=place, phrases=phrases), context.clips, place)
                for place in places
            }
    except EdgecapError as error:
        sys.exit(f"{error}")
    everything = [one for some in heard.values() for one in some]
    for place, some in heard.items():
        print(f"\n{place}\n| confidence by | spoken of | first right | recall | untaught, spoken of |")
        print("|---|---:|---:|---:|---:|")
        print("\n".join(rows("as shipped", some, None)))
        for columns in SETS:
            name = ", ".join(GROUNDS[column] for column in columns)
            print("\n".join(rows(name, some, out_of_fold(everything, columns))), flush=True)


if __name__ == "__main__":
    main()
