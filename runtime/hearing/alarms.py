"""Alarms: what their cadence says, beside what the encoder hears.

The encoder knows an alarm's timbre, and errs where a timer has the same one, or a vacuum cleaner drowns it;
the cadence errs where something else beats in three. Both together are wrong much more seldom. They count
for the stream, not for a segment: an alarm goes on through whatever begins or ends beside it.

What sounds like an alarm and has not shown its cadence yet is "an alarm", and told as such at once.
"""

import math
from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..model.manifest import AlarmThresholds, Cadence
from .cadence import PATTERNS, Listener, prominence
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


class Alarms:
    """Gives the alarms among the scores what their cadence makes of them. Remembers 13 seconds."""

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
        self._matches = [deque([0.0], maxlen=HELD[name]) for name in self._cadences]
        self._scores: deque[NDArray[np.float32]] = deque(maxlen=LASTING)

    def step(self, log_mel: LogMel, embedding: Embedding) -> Embedding:
        """One chunk's log-mel, (32, mels), and what the encoder made of it -> the same, its alarms weighed.

        The scores get one entry more, for an alarm of whatever kind, where the model has no such label.
        """
        if self._general is None:  # a model that knows no alarm
            return embedding
        scores = np.zeros(max(self._general + 1, len(embedding.scores)), np.float32)
        scores[: len(embedding.scores)] = embedding.scores
        self._scores.append(embedding.scores[self._labels])
        for matches, match in zip(self._matches, self._listener.step(prominence(log_mel)), strict=True):
            matches.append(match)
        heard = np.stack(self._scores)
        soon = _mean_of_best(heard[-SOON:], SOON_AGREEING)
        familiar = _mean_of_best(heard[-FAMILIAR:], AGREEING)
        lasting = np.zeros(len(self._labels))
        if len(heard) >= LASTING_AGREEING:
            lasting = np.sort(heard, axis=0)[-LASTING_AGREEING]
        for at, label in enumerate(self._labels):
            name = self._cadences[at]
            beyond = max(self._matches[at]) - self._thresholds.likely(name)
            odds = _logit(float(familiar[at])) + self._thresholds.steepness * beyond
            scores[label] = max(1.0 / (1.0 + math.exp(-odds)), float(lasting[at]))
        # From there on it is no longer just an alarm.
        if float(scores[self._labels].max()) < self._thresholds.known:
            scores[self._general] = max(float(scores[self._general]), float(soon.max()))
        return Embedding(embedding.vector, scores)


def _mean_of_best(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(chunks, sounds) -> (sounds,). Chunks that are not there yet count as zero."""
    best = np.sort(scores, axis=0)[-count:]
    mean: NDArray[np.float32] = best.sum(axis=0) / np.float32(count)
    return mean


def _logit(p: float) -> float:
    p = min(max(p, 1e-3), 1.0 - 1e-3)
    return math.log(p / (1.0 - p))
