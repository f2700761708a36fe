"""Triggers: whether the decoder should be asked for a sentence, and why or why not.

A sentence costs what seconds of listening cost, so it is asked for when something is heard well enough to
be said and is old enough to be judged; then again when the picture of what is heard changes, when words
failed, or when the embedding moves, at most once an interval. Sentences that change nothing are asked for
ever more rarely.
"""

from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from ..audio import CHUNK_SAMPLES, RATE
from ..events import Reason
from ..hearing.segment import Segment, cosine_distance
from .cooldown import Cooldown
from .limits import Limits

FIRST_EMBEDDINGS = 4
"""A clear onset gets its first sentence after so many: 1.28 s, within the promised 1.5."""
STRONG_EMBEDDINGS = 3
"""The same where the evidence alone is strong (`PolicyThresholds.strong`)."""
PROMPT_SAMPLES = 3 * RATE
"""A sound that is recognised within this time began when the segment did; a later one, lately
(training/LOG.md, "When to speak, of 1.5")."""
LATE_CHUNKS = 2
"""It has been heard for so many then: what the evidence takes to agree."""
MOST_BACKOFF = 8
"""Sentences that changed nothing are asked for ever more rarely, down to one in 8 intervals."""
MOVED = 0.5
"""At this share of the novelty that begins another situation, the embedding has moved; chosen by hand."""

Ask = Literal["first", "changed", "grown", "unsaid", "moved"]
"""Why to ask: it is the segment's first sentence; other sounds are heard than at the last one; there is twice
as much to have a second opinion of, and the first wasn't sure; a longer segment may find the words that
failed before; the embedding moved."""
Wait = Literal["threshold", "young", "interval", "no-change", "dull"]
"""Why not; events.Reason explains each."""
ASK: frozenset[str] = frozenset(get_args(Ask))


@dataclass
class _LastAttempt:
    """What the last attempt at a sentence went by; another needs a reason."""

    segment: Segment
    belief: NDArray[np.float32]
    picture: frozenset[int]
    """The sounds that made up what was heard."""
    mean: NDArray[np.float32]
    """(width,) embedding of its last second."""
    at: int
    backoff: int
    """Intervals to the next, where nothing changes."""
    refusal: Reason
    """Why it did not say what it did not say."""


class Triggers:
    """What is evident, since when, and what the last attempt went by."""

    def __init__(self, limits: Limits, cooldown: Cooldown) -> None:
        self._limits, self._cooldown = limits, cooldown
        self._last: _LastAttempt | None = None
        self._evident_since: int | None = None
        self._evident_chunks = 0  # begun ones too

    @property
    def evident_since(self) -> int | None:
        """From which sample on the evidence has been enough for a sentence; None while it isn't."""
        return self._evident_since

    @property
    def last_belief(self) -> NDArray[np.float32] | None:
        """(sounds,) of the last attempt, in whichever segment."""
        return self._last.belief if self._last else None

    def heard(self, segment: Segment, now: int) -> None:
        """A chunk of the open segment went by."""
        asks = self._limits.asks if segment.is_new else self._limits.named
        if float(segment.evidence().max()) < asks:
            self._evident_since = None
            if self._last:
                self._last.picture = frozenset()  # what sounds next has come back
        elif self._evident_since is None or self._evident_since < segment.start:
            is_prompt = now - segment.start <= PROMPT_SAMPLES
            self._evident_since = segment.start if is_prompt else now - LATE_CHUNKS * CHUNK_SAMPLES
            self._evident_chunks = segment.count if is_prompt else LATE_CHUNKS
        else:
            self._evident_chunks += 1

    def check(self, segment: Segment, now: int, is_silent: bool) -> Ask | Wait:
        """Whether to ask, after `heard`; changes nothing. is_silent: no caption stands."""
        limits, last = self._limits, self._last
        if self._evident_since is None:
            return "threshold"
        enough = STRONG_EMBEDDINGS if self._is_strong(segment.evidence()) else FIRST_EMBEDDINGS
        if last is None or last.segment is not segment:
            if not segment.is_onset:  # it may be the echo of what faded
                return "first" if segment.count >= limits.policy.echo_chunks else "young"
            return "first" if min(segment.count, self._evident_chunks) >= enough else "young"
        if is_silent and self._evident_chunks < enough:
            return "young"
        since = now - last.at
        if since < limits.interval_samples:
            return "interval"
        evidence = segment.evidence()
        picture = self._picture(evidence, last.picture)
        guesses = {label for label in self._cooldown.no_guess(now) if evidence[label] < limits.arrives}
        is_old = is_silent and bool(picture) and picture <= self._cooldown.suppressed(now) | guesses
        if picture != last.picture and not is_old:
            return "changed"
        if segment.has_grown and not self._is_strong(segment.belief()):
            return "grown"
        still: Wait = "dull" if is_old else "no-change"
        if since < limits.interval_samples * last.backoff:
            return still
        if is_silent and not is_old:
            return "unsaid"
        if cosine_distance(segment.recent(), last.mean) > limits.novelty * MOVED:
            return "moved"
        return still

    def attempted(self, segment: Segment, now: int, has_said: bool, refusal: Reason) -> None:
        """A sentence was asked for. has_said: an event came of it. refusal: why not, of whatever was not
        said."""
        evidence, belief = segment.evidence(), segment.belief()
        before = self._last if self._last and self._last.segment is segment else None
        picture = self._picture(evidence, before.picture if before else frozenset())
        backoff = 1
        if before and not has_said and picture == before.picture:
            backoff = min(2 * before.backoff, MOST_BACKOFF)
        self._last = _LastAttempt(segment, belief, picture, segment.recent(), now, backoff, refusal)

    def why_not(self, label: int, segment: Segment, now: int, is_silent: bool) -> Reason:
        """Why this sound, which no caption names, is not said."""
        belief, last = segment.belief(), self._last
        if belief[label] < self._limits.named:
            return "threshold"
        if label in self._cooldown.suppressed(now):
            return "dull"
        if label in self._cooldown.no_guess(now) and belief[label] < self._limits.arrives:
            return "guess"
        if last and last.segment is segment and last.belief[label] >= self._limits.named:
            return last.refusal
        answer = self.check(segment, now, is_silent)
        return "interval" if answer in ASK else cast(Wait, answer)  # it is about to be asked

    def _is_strong(self, heard: NDArray[np.float32]) -> bool:
        """Whether a sentence about this could be strong, were its words certain. heard: (sounds,)."""
        limits = self._limits
        highest = limits.calibration.probability(float(heard.max()), 0.0)
        return highest >= max(limits.policy.strong, limits.confidence)

    def _picture(self, evidence: NDArray[np.float32], seen: frozenset[int]) -> frozenset[int]:
        """The sounds that make up what is heard, with hysteresis against those seen before."""
        return frozenset(np.flatnonzero(evidence >= self._limits.arrives).tolist()) | frozenset(
            label for label in seen if evidence[label] >= self._limits.leaves
        )
