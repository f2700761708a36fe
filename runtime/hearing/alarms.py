"""Alarms: what their cadence says, beside what the encoder hears.

The encoder knows an alarm's timbre, and errs where a timer has the same one, or a vacuum cleaner drowns it;
the cadence errs where something else beats in three. Both together are wrong much more seldom. They count
for the stream, not for a segment: an alarm goes on through whatever begins or ends beside it.

What sounds like an alarm and has not shown its cadence yet is "an alarm", and told as such at once.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model.manifest import AlarmThresholds, Cadence
from .cadence import PATTERNS, Listener, Past, prominence
from .encoder import Embedding
from .frontend import LogMel

FAMILIAR, AGREEING = 24, 8
"""Chunks in which the encoder may have heard an alarm, about eight seconds; so many must agree."""
SOON, SOON_AGREEING = 16, 4
"""The same for "an alarm", which can still turn out to be something else."""
LASTING, LASTING_AGREEING = 40, 28
"""An alarm of no known cadence is one that has gone on for nine of thirteen seconds."""
HELD = {"T3": 17, "T4": 21}
"""Chunks for which a match holds: by then the next group has come, or the alarm is over."""
USUAL = AlarmThresholds()


class AlarmState(NamedTuple):
    """What is remembered of a stream for its alarms' sake: 13 seconds."""

    past: Past
    matches: tuple[NDArray[np.float64], ...]
    """Of each alarm, (HELD,) the newest last."""
    scores: NDArray[np.float32]
    """(LASTING, alarms) what the encoder heard, the newest last; zeros before the stream."""


class Alarms:
    """Gives the alarms among the scores what their cadence makes of them.

        score = max(sigmoid(logit(familiar) + steepness · (match - likely)), lasting)

    familiar: the mean of the AGREEING best of the encoder's last FAMILIAR scores, 0 to 1. match: the best
    correlation with the alarm's cadence (cadence.py), 0 to 1, of the last HELD chunks. steepness, likely: the
    bundle's (`AlarmThresholds`, where they were fitted). lasting: the least of the LASTING_AGREEING best of
    the last LASTING scores, which is high only where it was heard nearly all along, in whatever rhythm.
    "An alarm" gets the mean of the SOON_AGREEING best of the last SOON scores of the surest of them, as long
    as none of them is `known`. A chunk is 320 ms.
    """

    def __init__(
        self,
        cadences: Mapping[int, Cadence],
        general: int | None,
        mels: int,
        thresholds: AlarmThresholds = USUAL,
    ) -> None:
        """cadences: sound -> the name of its pattern, "T3". general: "an alarm"; None where none is known."""
        self._thresholds = thresholds
        self._general = general
        self._labels = sorted(cadences)
        self._cadences = [cadences[label] for label in self._labels]
        self._listener = Listener([PATTERNS[name] for name in self._cadences], mels)

    def initial_state(self) -> AlarmState:
        """Before the stream's first chunk."""
        return AlarmState(
            self._listener.initial_state(),
            tuple(np.zeros(HELD[name]) for name in self._cadences),
            np.zeros((LASTING, len(self._labels)), np.float32),
        )

    def step(self, log_mel: LogMel, embedding: Embedding, state: AlarmState) -> tuple[Embedding, AlarmState]:
        """What the encoder made of a chunk -> the same, its alarms weighed, and the state after.

        log_mel: the chunk's, (32, mels) dB. The scores get one entry more, for an alarm of whatever kind,
        where the model has no such label.
        """
        if self._general is None:  # a model that knows no alarm
            return embedding, state
        found, past = self._listener.step(prominence(log_mel), state.past)
        matches = tuple(_pushed(held, match) for held, match in zip(state.matches, found, strict=True))
        heard = _pushed(state.scores, embedding.scores[self._labels])
        scores = np.zeros(max(self._general + 1, len(embedding.scores)), np.float32)
        scores[: len(embedding.scores)] = embedding.scores
        familiar = _mean_of_best(heard[-FAMILIAR:], AGREEING)
        lasting = np.sort(heard, axis=0)[-LASTING_AGREEING]
        for at, label in enumerate(self._labels):
            beyond = float(matches[at].max()) - self._thresholds.likely(self._cadences[at])
            odds = _logit(float(familiar[at])) + self._thresholds.steepness * beyond
            scores[label] = max(1.0 / (1.0 + math.exp(-odds)), float(lasting[at]))
        # From there on it is no longer just an alarm.
        if float(scores[self._labels].max()) < self._thresholds.known:
            soon = _mean_of_best(heard[-SOON:], SOON_AGREEING)
            scores[self._general] = max(float(scores[self._general]), float(soon.max()))
        return Embedding(embedding.vector, scores), AlarmState(past, matches, heard)


def _pushed(held: NDArray[Any], newest: Any) -> NDArray[Any]:
    """One more at the end, one less at the beginning."""
    pushed = np.empty_like(held)
    pushed[:-1], pushed[-1] = held[1:], newest
    return pushed


def _mean_of_best(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(chunks, sounds) -> (sounds,) the mean of each sound's `count` best."""
    best = np.sort(scores, axis=0)[-count:]
    mean: NDArray[np.float32] = best.sum(axis=0) / np.float32(count)
    return mean


def _logit(p: float) -> float:
    p = min(max(p, 1e-3), 1.0 - 1e-3)
    return math.log(p / (1.0 - p))
