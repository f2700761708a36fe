"""Meaning: which of the known sounds a sentence names, whatever its wording."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..hearing.cadence import PATTERNS
from .wording import content_words

MOST_SHARED = 5
"""A word in the phrases of more sounds than this ("runs", "plays") says how, not what."""

ALARM, ALARM_PHRASE = "alarm", "an alarm sounds"


class Meaning(NamedTuple):
    """What a sentence claims, as far as the known sounds can tell."""

    labels: frozenset[int]  # the sounds that it names; empty if it names none
    weakest: float  # the least evidence behind any word that names a sound

    def support(self, evidence: NDArray[np.float32]) -> float:
        """The evidence for its best sound."""
        return max((float(evidence[label]) for label in self.labels), default=0.0)


class Sounds:
    """The known sounds, by the words that name them."""

    def __init__(self, labels: Sequence[str], phrases: Sequence[str], manners: Sequence[str] = ()) -> None:
        """Columns of labels.csv ("dog_bark", "a dog barks", "urgent"), row i for score i.

        Where some are alarms told by their cadence, one more sound is known: an alarm of whatever kind.
        """
        self.cadences = {i: manner for i, manner in enumerate(manners) if manner in PATTERNS}
        """Alarms that go on until somebody comes, and the cadence that tells each."""
        self.alarm: int | None = None
        """An alarm whose cadence isn't known yet."""
        if self.cadences and ALARM not in labels:
            labels, phrases, manners = [*labels, ALARM], [*phrases, ALARM_PHRASE], [*manners, "urgent"]
        if self.cadences:
            self.alarm = list(labels).index(ALARM)
        self.labels, self.phrases = tuple(labels), tuple(phrases)
        self.ambient = frozenset(i for i, manner in enumerate(manners) if manner == "ambient")
        """Backgrounds that may go on for hours."""
        self.urgent = frozenset(self.cadences) | {i for i, m in enumerate(manners) if m == "urgent"}
        """What is said before all else, and each time; alarms among it."""
        self._words = [
            content_words(f"{label.replace('_', ' ')} {phrase}")
            for label, phrase in zip(self.labels, self.phrases, strict=True)
        ]
        self._named_by: dict[str, list[int]] = {}
        for index, words in enumerate(self._words):
            for word in words:
                self._named_by.setdefault(word, []).append(index)
        for word in [word for word, sharers in self._named_by.items() if len(sharers) > MOST_SHARED]:
            del self._named_by[word]

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
