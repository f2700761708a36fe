"""Limits: from which score or probability on something is said, of the bundle's thresholds and the user's
options.

A score is the encoder's, 0 to 1; a probability is that a caption is right. The bundle's calibration maps
one to the other, so that a user's "0.5" means the same of every model.
"""

from dataclasses import dataclass, field
from functools import cached_property

from ..audio import RATE
from ..errors import ConfigError
from ..model.manifest import Calibration, PolicyThresholds, Thresholds
from ..options import Captions

MENTION = 0.5
"""A sound may be named beside a surer one at this share of the probability at which it would be said by
itself; chosen by hand."""


@dataclass(frozen=True)
class Limits:
    """When something is said; the bundle's thresholds under the user's options."""

    confidence: float
    """The probability from which on a sentence is said plainly."""
    hedge: float
    """And from which on with "Possibly"; below, nothing is said."""
    interval_samples: int
    """Between two sentences asked for, at the least."""
    novelty: float
    """Cosine distance of embeddings at which a situation is another one, 0 to 2."""
    calibration: Calibration
    policy: PolicyThresholds = field(default_factory=PolicyThresholds)

    @classmethod
    def of(cls, thresholds: Thresholds, options: Captions) -> "Limits":
        """The user's options over the bundle's thresholds; what is None there is the bundle's.

        Raises ConfigError for a hedge that was given and lies above the confidence.
        """
        confidence = thresholds.confidence if options.confidence is None else options.confidence
        hedge = thresholds.hedge if options.hedge is None else options.hedge
        if options.hedge is not None and hedge > confidence:
            whose = "the bundle's own" if options.confidence is None else "as given"
            raise ConfigError(
                f"captions.hedge {hedge:g} is above confidence {confidence:g}, {whose}",
                why="what is hedged is less sure than what is said plainly",
                fix="lower hedge or raise confidence",
            )
        return cls(
            confidence=confidence,
            # A user who lowers confidence alone means hedge to follow.
            hedge=min(hedge, confidence),
            interval_samples=round(options.interval * RATE),
            novelty=thresholds.novelty,
            calibration=thresholds.calibration,
            policy=thresholds.policy,
        )

    @cached_property
    def asks(self) -> float:
        """From this score on it is worth to ask whether anything may be said of a new segment: the bundle's,
        where a second opinion may make more of it; else that of `hedge`, below which nothing is said anyway,
        and so it is once a segment has settled: of hours of nothing some moment sounds like thunder."""
        named = self.calibration.score_for(self.hedge)
        return named if self.policy.asks is None else min(self.policy.asks, named)

    @cached_property
    def named(self) -> float:
        """From this score on a sound is listed with the caption: that of `hedge`."""
        return self.calibration.score_for(self.hedge)

    @cached_property
    def mention(self) -> float:
        """A word that names a known sound needs at least this score for one such sound: that of half of
        `hedge`, since a sentence is only as likely as its best sound and may name a fainter one
        besides."""
        return self.calibration.score_for(self.hedge * MENTION)

    @cached_property
    def arrives(self) -> float:
        """A sound joins the picture at this score, worth a new sentence: that of `confidence`."""
        return self.calibration.score_for(self.confidence)

    @cached_property
    def urgent(self) -> float:
        """From this score on what is urgent is heard for sure, where no rhythm tells it too: that of the
        bundle's `urgent`, or of `confidence`, the higher."""
        return self.calibration.score_for(max(self.confidence, self.policy.urgent))

    @cached_property
    def leaves(self) -> float:
        """A sound leaves the picture below this score, and a caption that nothing else supports ends."""
        return self.mention
