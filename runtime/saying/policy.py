"""When it speaks: hypotheses about segments become caption events.

    no caption --- believed sentence ---> new
    caption    --- another meaning, better supported, same segment ---> update
    caption    --- another meaning, next segment ---> end, new
    caption    --- silence, fading, a gap, or its sounds no longer heard ---> end

Other words for the same meaning change nothing. A sound that came back once is waited for, so that a
CO alarm's bursts, 5 s apart, don't become a caption each. What is no news (news.py) is not said again.
Every `new` gets exactly one `end`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..audio import CHUNK_SAMPLES, RATE
from ..events import Caption, Sound
from ..hearing.segment import HOLD_SAMPLES, Segment, cosine_distance
from ..model.manifest import Calibration
from .cooldown import News
from .decoder import Hypothesis
from .labels import Meaning, Sounds
from .wording import clauses, hedged, sentence

FIRST_EMBEDDINGS = 4
"""A clear onset gets its first sentence after so many: 1.28 s, within the promised 1.5."""
STRONG_EMBEDDINGS = 3
"""The same where the evidence alone already reaches the threshold of confidence by a wide margin."""
STRONG = 0.9
PATIENT_EMBEDDINGS = 10
"""What did not begin clearly, but stayed when something else faded, may be that thing's echo in the
encoder's memory: 3.2 s."""
MOST_NAMED = 5
PROMPT_SAMPLES = 3 * RATE
"""A sound that is recognised within this time began when the segment did; a later one, lately."""
ARRIVAL = 0.3
"""A sound whose evidence grew by this much since the last sentence has arrived: it is news, even where
an older one is still louder."""
LONGEST_WAIT = 8 * RATE
"""A pause up to this long is one that a sound may return from."""
MARGIN = 0.4
"""Each revision of a caption makes the next one harder by this much evidence."""
BADLY_PUT = -1.5
"""Mean log-probability of words below which a sentence is not trusted to be one ("someone knocks door"): the
sound's own phrase tells it better."""
MOST_BACKOFF = 8
"""Sentences that changed nothing are asked for ever more rarely, down to one in 8 intervals."""


@dataclass(frozen=True)
class Limits:
    """When something is said; the bundle's thresholds under the user's options."""

    confidence: float
    hedge: float
    interval_samples: int
    novelty: float
    calibration: Calibration

    def probability(self, score: float, log_prob: float) -> float:
        """That a caption is right, from its best sound's score and its mean token log-probability."""
        c = self.calibration
        return _sigmoid(c.bias + c.score * _logit(score) + c.likelihood * log_prob)

    def score_for(self, probability: float) -> float:
        """The score that a sound needs for this probability, were the sentence certain."""
        c = self.calibration
        return _sigmoid((_logit(probability) - c.bias) / max(c.score, 1e-3))

    @cached_property
    def named(self) -> float:
        """From this score on a sound is listed with the caption."""
        return self.score_for(self.hedge)

    @cached_property
    def mention(self) -> float:
        """A word that names a known sound needs at least this score for one such sound."""
        return self.score_for(self.hedge / 2)

    @cached_property
    def arrives(self) -> float:
        """A sound joins the picture at this score: worth a new sentence."""
        return self.score_for(self.confidence)

    @cached_property
    def leaves(self) -> float:
        """A sound leaves the picture below this score, and a caption that nothing else supports ends."""
        return self.mention


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1.0 - 1e-6)
    return math.log(p / (1.0 - p))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -50.0), 50.0)))


@dataclass
class _View:
    """What the last attempt at a sentence went by; another needs a reason."""

    segment: Segment
    evidence: NDArray[np.float32]
    sounds: frozenset[int]
    mean: NDArray[np.float32]
    at: int
    backoff: int = 1


@dataclass
class _Claim:
    """A sentence that could be said now."""

    plain: str  # without "Possibly"
    meaning: Meaning
    probability: float
    is_sure: bool
    sounds: tuple[Sound, ...]

    @property
    def text(self) -> str:
        """As it is said."""
        return self.plain if self.is_sure else hedged(self.plain)


@dataclass
class _Standing:
    """The caption that stands."""

    caption: Caption
    claim: _Claim
    segment: Segment
    supported_until: int
    patience: int = HOLD_SAMPLES
    """How long its sounds may be gone before it ends."""
    revisions: int = 0


class Policy:
    """Decides when a sentence is worth asking for, and what is said."""

    def __init__(self, sounds: Sounds, limits: Limits) -> None:
        self._sounds, self._limits = sounds, limits
        self._standing: _Standing | None = None
        self._view: _View | None = None
        self._possible_since: int | None = None  # from where on a sentence has been possible
        self._possible_chunks = 0  # and for how many chunks, begun ones too
        self._uttered = 0
        self._last_end = 0
        self._last_labels: frozenset[int] = frozenset()
        self._news = News(sounds, limits.leaves)

    @property
    def live(self) -> Caption | None:
        """The caption that stands, as last said."""
        return self._standing.caption if self._standing else None

    def heard(self, segment: Segment, now: int) -> list[Caption]:
        """A chunk of the open segment went by: a caption ends once its sounds are gone for a while."""
        if self._possible(segment) < self._limits.hedge:
            self._possible_since = None
            if self._view:
                self._view.sounds = frozenset()  # what sounds next has come back
        elif self._possible_since is None or self._possible_since < segment.start:
            is_prompt = now - segment.start <= PROMPT_SAMPLES
            self._possible_since = segment.start if is_prompt else now - 2 * CHUNK_SAMPLES
            self._possible_chunks = segment.count if is_prompt else 2
        else:
            self._possible_chunks += 1
        standing = self._standing
        if standing and standing.claim.meaning.support(segment.latest) >= self._limits.leaves:
            standing.supported_until = now
        self._news.heard(segment.latest, now)
        return self.quiet(now)

    def quiet(self, now: int) -> list[Caption]:
        """A chunk went by without a sound: what is waited for in vain ends."""
        standing = self._standing
        if standing is None or now - standing.supported_until < standing.patience:
            return []
        return self._end(standing.supported_until)

    def wants_sentence(self, segment: Segment, now: int) -> bool:
        """Whether the decoder should be asked, after `heard`. It costs seconds of listening: rarely."""
        if self._possible_since is None:
            return False
        is_strong = self._possible(segment) >= max(STRONG, self._limits.confidence)
        enough = STRONG_EMBEDDINGS if is_strong else FIRST_EMBEDDINGS
        view = self._view
        if view is None or view.segment is not segment:
            if not segment.is_onset:
                return segment.count >= PATIENT_EMBEDDINGS
            return min(segment.count, self._possible_chunks) >= enough
        if self.live is None and self._possible_chunks < enough:
            return False
        since = now - view.at
        if since < self._limits.interval_samples:
            return False
        evidence = segment.evidence()
        picture = self._picture(evidence, view.sounds)
        guesses = {label for label in self._news.stale(now) if evidence[label] < self._limits.arrives}
        is_old = self.live is None and bool(picture) and picture <= self._news.dull(now) | guesses
        if picture != view.sounds and not is_old:
            return True
        if since < self._limits.interval_samples * view.backoff:
            return False
        if self.live is None and not is_old:
            return True  # a longer segment may find the words that failed before
        return cosine_distance(segment.recent(), view.mean) > self._limits.novelty / 2

    def consider(self, hypotheses: Sequence[Hypothesis], segment: Segment, now: int) -> list[Caption]:
        """What the decoder offers, best first, becomes an event or nothing."""
        evidence = segment.evidence()
        claim = self._believed(hypotheses, evidence)
        dull = self._news.dull(now)
        if claim and not self._is_news(claim, now):
            claim = self._believed(hypotheses, evidence, dull) if claim.is_sure else None
        elif claim and not claim.meaning.labels <= dull:  # what is news in it decides how long it stands
            claim.meaning = claim.meaning._replace(labels=claim.meaning.labels - dull)
        events = self._say(claim, segment, evidence, now) if claim else []
        before = self._view if self._view and self._view.segment is segment else None
        picture = self._picture(evidence, before.sounds if before else frozenset())
        backoff = 1
        if before and not events and picture == before.sounds:
            backoff = min(2 * before.backoff, MOST_BACKOFF)
        self._view = _View(segment, evidence, picture, segment.recent(), now, backoff)
        return events

    def segment_ended(self, segment: Segment) -> list[Caption]:
        """Its caption ends with it, unless another situation follows at once: then until that is named."""
        standing = self._standing
        if standing is None or segment.ended_by == "change":
            return []
        standing.supported_until = segment.end
        may_return = standing.patience > HOLD_SAMPLES and segment.ended_by != "gap"
        return [] if may_return else self._end(segment.end)

    def close(self) -> list[Caption]:
        """The stream was cut or is over: nothing will return."""
        return self._end(self._standing.supported_until) if self._standing else []

    def _possible(self, segment: Segment) -> float:
        """The most that a sentence about this could be believed, were its words certain."""
        return self._limits.probability(float(segment.evidence().max()), 0.0)

    def _urgent(self, labels: frozenset[int], evidence: NDArray[np.float32]) -> list[int]:
        """Those that are urgent and heard for sure."""
        return [i for i in labels & self._sounds.urgent if float(evidence[i]) >= self._limits.arrives]

    def _is_news(self, claim: _Claim, now: int) -> bool:
        """Not so where all that it names is dull, or is a guess that was made before."""
        if self._standing and self._standing.claim.meaning.labels == claim.meaning.labels:
            return True
        old = self._news.dull(now) if claim.is_sure else self._news.stale(now)
        return not claim.meaning.labels <= old

    def _believed(
        self,
        hypotheses: Sequence[Hypothesis],
        evidence: NDArray[np.float32],
        besides: frozenset[int] = frozenset(),
    ) -> _Claim | None:
        """What names only what is heard, and of that the most probable, if it may be said at all.

        Of sentences that are as probable, the one that names more of what is heard for sure.
        Of a sentence with two clauses, one of them alone will do: half a truth is one, half an error isn't.
        Whatever else sounds, what is urgent and heard for sure comes first: an alarm over loud music; and
        which alarm it is before that it is one.
        besides: it has to name something else than these, and to be sure of it.
        """
        best: _Claim | None = None
        first = (0, 0.0, 0)
        for hypothesis in hypotheses:
            if hypothesis.log_prob < BADLY_PUT:
                continue
            for words in (hypothesis.words, *clauses(hypothesis.words)):
                meaning = hypothesis.meaning or self._sounds.meaning(words, evidence)
                meant = meaning._replace(labels=meaning.labels - besides)
                p = self._limits.probability(meant.support(evidence), hypothesis.log_prob)
                least = self._limits.confidence if besides else self._limits.hedge
                if meaning.weakest < self._limits.mention or p < least:
                    continue
                sure = sum(float(evidence[label]) >= self._limits.arrives for label in meant.labels)
                urgent = self._urgent(meant.labels, evidence)
                order = (bool(urgent) + any(label in self._sounds.cadences for label in urgent), p, sure)
                if order > first:  # the decoder's own order where they are equal
                    is_sure = p >= self._limits.confidence
                    first, best = order, _Claim(sentence(words), meant, p, is_sure, self._named(evidence))
        return best

    def _say(self, claim: _Claim, segment: Segment, evidence: NDArray[np.float32], now: int) -> list[Caption]:
        standing = self._standing
        if standing is None:
            return [self._begin(claim, segment, now)]
        before = standing.claim
        if claim.meaning.labels == before.meaning.labels or claim.plain == before.plain:
            standing.segment = segment  # it goes on, by whatever words
            return self._revise(claim, now) if claim.is_sure and not before.is_sure else []
        if (before.is_sure and not claim.is_sure) or not self._is_better(claim, standing, evidence):
            return []
        if standing.segment is segment:
            return self._revise(claim, now)
        ended = self._end(min(segment.start, standing.supported_until))
        return [*ended, self._begin(claim, segment, now)]

    def _is_better(self, claim: _Claim, standing: _Standing, evidence: NDArray[np.float32]) -> bool:
        """Whether what the claim adds outweighs what it leaves out, or has only just arrived."""
        added = claim.meaning.labels - standing.claim.meaning.labels
        dropped = standing.claim.meaning.labels - claim.meaning.labels
        if added & self._sounds.cadences.keys():
            dropped -= {self._sounds.alarm}  # a smoke alarm is an alarm: that is not taken back
        gain = max((float(evidence[i]) for i in added), default=self._limits.leaves)
        loss = max((float(evidence[i]) for i in dropped), default=0.0)
        if added and gain < self._limits.named:
            return False
        if self._urgent(added, evidence) and not self._urgent(dropped, evidence):
            return True
        reluctance = MARGIN * standing.revisions
        if gain > loss + reluctance:
            return True
        seen = self._view.evidence if self._view else np.zeros_like(evidence)
        return any(float(evidence[i] - seen[i]) > ARRIVAL + reluctance for i in added)

    def _begin(self, claim: _Claim, segment: Segment, now: int) -> Caption:
        self._uttered += 1
        start = max(self._possible_since or segment.start, self._last_end)
        confidence = round(claim.probability, 4)
        caption = Caption("new", str(self._uttered), claim.text, confidence, claim.sounds, start)
        self._standing = _Standing(caption, claim, segment, now)
        pause = start - self._last_end
        if claim.meaning.labels == self._last_labels and pause <= LONGEST_WAIT:
            self._standing.patience = min(max(pause * 3 // 2, HOLD_SAMPLES), LONGEST_WAIT)
        return caption

    def _revise(self, claim: _Claim, now: int) -> list[Caption]:
        assert self._standing is not None
        standing = self._standing
        standing.caption = msgspec.structs.replace(
            standing.caption,
            kind="update",
            text=claim.text,
            confidence=round(claim.probability, 4),
            sounds=claim.sounds,
        )
        standing.claim, standing.supported_until = claim, now
        standing.revisions += 1
        return [standing.caption]

    def _end(self, at: int) -> list[Caption]:
        """`at` may lie before the caption's start, where a sound was over at once: then it ends there."""
        if self._standing is None:
            return []
        caption, claim = self._standing.caption, self._standing.claim
        self._standing, self._last_labels = None, claim.meaning.labels
        self._news.said(claim.meaning.labels, claim.is_sure, caption.start, at)
        self._last_end = max(at, caption.start)
        return [msgspec.structs.replace(caption, kind="end", end=self._last_end)]

    def _named(self, evidence: NDArray[np.float32]) -> tuple[Sound, ...]:
        """The sounds that are listed with a caption, surest first."""
        order = np.argsort(-evidence, kind="stable")[:MOST_NAMED].tolist()
        return tuple(
            Sound(self._sounds.labels[i], round(float(evidence[i]), 4))
            for i in order
            if evidence[i] >= self._limits.named
        )

    def _picture(self, evidence: NDArray[np.float32], seen: frozenset[int]) -> frozenset[int]:
        """The sounds that make up what is heard, with hysteresis against those seen before."""
        return frozenset(np.flatnonzero(evidence >= self._limits.arrives).tolist()) | frozenset(
            label for label in seen if evidence[label] >= self._limits.leaves
        )
