"""When it speaks: hypotheses about segments become caption events.

    no caption --- believed sentence ---> new
    caption    --- another meaning, better supported, same segment ---> update
    caption    --- another meaning, next segment ---> end, new
    caption    --- silence, fading, a gap, or its sounds no longer heard ---> end

Other words for the same meaning change nothing. Every `new` gets exactly one `end`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from .bundle import Calibration
from .decoder import Hypothesis
from .segment import HOLD_SAMPLES, Segment, cosine_distance
from .wording import content_words, hedged, sentence


class Sound(msgspec.Struct, frozen=True):
    """A known sound and how sure the encoder is of it, 0 to 1."""

    label: str
    score: float


class Caption(msgspec.Struct, frozen=True):
    """An event of a session: a caption appears, is revised, or ends. Times are in samples."""

    kind: Literal["new", "update", "end"]
    id: str
    text: str
    confidence: float
    sounds: tuple[Sound, ...]
    start: int
    end: int | None = None


FIRST_EMBEDDINGS = 3
"""A clear onset gets its first sentence after so many: 0.96 s, within the promised 1.5."""
STRONG_EMBEDDINGS = 2
"""The same where the evidence alone already reaches the threshold of confidence by a wide margin."""
STRONG = 0.9
PATIENT_EMBEDDINGS = 10
"""What did not begin clearly, but stayed when something else faded, may be that thing's echo in the
encoder's memory: 3.2 s."""
NAMED = 0.3
"""From this score on a sound is listed with the caption."""
MOST_NAMED = 5
MENTION = 0.1
"""A word that names a known sound needs at least this much evidence for one such sound."""
NEWS = 0.4
OLD_NEWS = 0.15
"""A sound joins the picture above NEWS and leaves it below OLD_NEWS: each is worth a new sentence."""
BETTER = 0.15
"""So much more evidence than at the last attempt is worth another."""
MARGIN = 0.05
"""Each revision of a caption makes the next one harder by this much support."""
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
        score = min(max(score, 1e-6), 1.0 - 1e-6)
        c = self.calibration
        x = c.bias + c.score * math.log(score / (1.0 - score)) + c.likelihood * log_prob
        return 1.0 / (1.0 + math.exp(-min(max(x, -50.0), 50.0)))


class Meaning(NamedTuple):
    """What a sentence claims, as far as the known sounds can tell."""

    labels: frozenset[int]  # the sounds that it names; empty if it names none
    weakest: float  # the least evidence behind any word that names a sound

    def support(self, evidence: NDArray[np.float32]) -> float:
        """The evidence for its best sound."""
        return max((float(evidence[label]) for label in self.labels), default=0.0)


class Sounds:
    """The known sounds, by the words that name them."""

    def __init__(self, labels: Sequence[str], phrases: Sequence[str]) -> None:
        """labels, phrases: columns of labels.csv ("dog_bark", "a dog barks"), row i for score i."""
        self.labels = tuple(labels)
        self._words = [
            content_words(f"{label.replace('_', ' ')} {phrase}")
            for label, phrase in zip(labels, phrases, strict=True)
        ]
        self._named_by: dict[str, list[int]] = {}
        for index, words in enumerate(self._words):
            for word in words:
                self._named_by.setdefault(word, []).append(index)

    def meaning(self, words: Sequence[str], evidence: NDArray[np.float32]) -> Meaning:
        """Which sounds the words of a sentence name, and how well each word is supported.

        A word shared by several sounds ("runs") names the one with most words in common with the
        sentence, then the one with most evidence.
        """
        said = content_words(words)
        named: set[int] = set()
        weakest = 1.0
        for word in sorted(said & self._named_by.keys()):
            candidates = self._named_by[word]
            weakest = min(weakest, max(float(evidence[i]) for i in candidates))
            named.add(max(candidates, key=lambda i: (len(self._words[i] & said), evidence[i], -i)))
        return Meaning(frozenset(named), weakest if named else 0.0)

    def heard(self, evidence: NDArray[np.float32]) -> tuple[Sound, ...]:
        """The sounds that stand out, surest first."""
        order = np.argsort(-evidence, kind="stable")[:MOST_NAMED].tolist()
        return tuple(
            Sound(self.labels[i], round(float(evidence[i]), 4)) for i in order if evidence[i] >= NAMED
        )


@dataclass
class _View:
    """What the last attempt at a sentence went by; another needs a reason."""

    segment: Segment
    sounds: frozenset[int]
    mean: NDArray[np.float32]
    best: float
    at: int
    backoff: int = 1


@dataclass
class _Open:
    """The caption that stands."""

    caption: Caption
    segment: Segment
    plain: str  # its text without "Possibly"
    meaning: Meaning
    log_prob: float
    supported_until: int
    revisions: int = 0


class Policy:
    """Decides when a sentence is worth asking for, and what is said."""

    def __init__(self, sounds: Sounds, limits: Limits) -> None:
        self._sounds, self._limits = sounds, limits
        self._open: _Open | None = None
        self._view: _View | None = None
        self._uttered = 0
        self._last_end = 0

    @property
    def live(self) -> Caption | None:
        """The caption that stands, as last said."""
        return self._open.caption if self._open else None

    def heard(self, segment: Segment, now: int) -> list[Caption]:
        """A chunk of the open segment went by: a caption whose sounds are gone ends."""
        if self._open is None:
            return []
        support = self._open.meaning.support(segment.evidence())
        if self._limits.probability(support, self._open.log_prob) >= self._limits.hedge / 2:
            self._open.supported_until = now
            return []
        if now - self._open.supported_until < HOLD_SAMPLES:
            return []
        return self._end(self._open.supported_until)

    def wants_sentence(self, segment: Segment, now: int) -> bool:
        """Whether the decoder should be asked. It costs as much as seconds of listening: rarely."""
        evidence = segment.evidence()
        best = float(evidence.max())
        possible = self._limits.probability(best, 0.0)  # no sentence is likelier than certain
        if possible < self._limits.hedge:
            return False
        view = self._view
        if view is None or view.segment is not segment:
            if not segment.is_onset:
                return segment.count >= PATIENT_EMBEDDINGS
            strong = possible >= max(STRONG, self._limits.confidence)
            return segment.count >= (STRONG_EMBEDDINGS if strong else FIRST_EMBEDDINGS)
        since = now - view.at
        if since < self._limits.interval_samples:
            return False
        if self._picture(evidence, view.sounds) != view.sounds:
            return True
        if since < self._limits.interval_samples * view.backoff:
            return False
        is_surer = self.live is None and best >= view.best + BETTER
        return is_surer or cosine_distance(segment.recent(), view.mean) > self._limits.novelty / 2

    def consider(self, hypotheses: Sequence[Hypothesis], segment: Segment, now: int) -> list[Caption]:
        """What the decoder offers, best first, becomes an event or nothing."""
        evidence = segment.evidence()
        events = self._consider(hypotheses, segment, evidence, now)
        before = self._view
        same = before is not None and before.segment is segment
        seen = before.sounds if before is not None and same else frozenset()
        picture = self._picture(evidence, seen)
        backoff = 1
        if before is not None and same and not events and picture == before.sounds:
            backoff = min(2 * before.backoff, MOST_BACKOFF)
        self._view = _View(segment, picture, segment.recent(), float(evidence.max()), now, backoff)
        return events

    def segment_ended(self, segment: Segment) -> list[Caption]:
        """Its caption ends with it, unless another situation follows at once: then until that is named."""
        if self._open is None or segment.ended_by == "change":
            return []
        return self._end(segment.end)

    def _consider(
        self, hypotheses: Sequence[Hypothesis], segment: Segment, evidence: NDArray[np.float32], now: int
    ) -> list[Caption]:
        for hypothesis in hypotheses:
            meaning = self._sounds.meaning(hypothesis.words, evidence)
            if meaning.weakest < MENTION:
                continue  # it names something that is not heard
            p = self._limits.probability(meaning.support(evidence), hypothesis.log_prob)
            if p >= self._limits.hedge:
                return self._say(hypothesis, meaning, p, segment, evidence, now)
        return []

    def _say(
        self,
        hypothesis: Hypothesis,
        meaning: Meaning,
        p: float,
        segment: Segment,
        evidence: NDArray[np.float32],
        now: int,
    ) -> list[Caption]:
        plain = sentence(hypothesis.words)
        is_sure = p >= self._limits.confidence
        text = plain if is_sure else hedged(plain)
        sounds = self._sounds.heard(evidence)
        standing = self._open
        if standing is None:
            start = max(segment.start, self._last_end)
            return [self._begin(text, plain, p, sounds, start, hypothesis, meaning, segment, now)]

        is_same = meaning.labels == standing.meaning.labels or plain == standing.plain
        was_sure = standing.caption.text == standing.plain
        if is_same and (was_sure or not is_sure):
            standing.segment = segment  # it goes on, by whatever words
            return []
        needed = standing.meaning.support(evidence) + (0.0 if is_same else MARGIN * standing.revisions)
        if (was_sure and not is_sure) or meaning.support(evidence) < needed:
            return []
        if standing.segment is not segment and not is_same:
            events = self._end(min(max(segment.start, standing.caption.start), now))
            start = max(segment.start, self._last_end)
            events.append(self._begin(text, plain, p, sounds, start, hypothesis, meaning, segment, now))
            return events
        standing.caption = msgspec.structs.replace(
            standing.caption, kind="update", text=text, confidence=round(p, 4), sounds=sounds
        )
        standing.segment, standing.plain, standing.meaning = segment, plain, meaning
        standing.log_prob, standing.supported_until = hypothesis.log_prob, now
        standing.revisions += 1
        return [standing.caption]

    def _begin(
        self,
        text: str,
        plain: str,
        p: float,
        sounds: tuple[Sound, ...],
        start: int,
        hypothesis: Hypothesis,
        meaning: Meaning,
        segment: Segment,
        now: int,
    ) -> Caption:
        self._uttered += 1
        caption = Caption("new", str(self._uttered), text, round(p, 4), sounds, start)
        self._open = _Open(caption, segment, plain, meaning, hypothesis.log_prob, now)
        return caption

    def _end(self, at: int) -> list[Caption]:
        if self._open is None:
            return []
        caption = self._open.caption
        self._last_end = max(at, caption.start)
        self._open = None
        return [msgspec.structs.replace(caption, kind="end", end=self._last_end)]

    def _picture(self, evidence: NDArray[np.float32], seen: frozenset[int]) -> frozenset[int]:
        """The sounds that make up what is heard, with hysteresis against those seen before."""
        return frozenset(np.flatnonzero(evidence >= NEWS).tolist()) | frozenset(
            label for label in seen if evidence[label] >= OLD_NEWS
        )
