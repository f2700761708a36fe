"""Labels: the known sounds, and which of them a sentence names, whatever its wording."""

from collections.abc import Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..events import Priority
from ..hearing.alarms import Known
from ..model.manifest import Cadence, Label
from .wording import content_words

MOST_SHARED = 5
"""A word in the names and phrases of more sounds than this ("runs", "plays") says how, not what; chosen
by hand on the phrases of room-small."""

ALARM = Label("alarm", "an alarm sounds", "alarms and signals", "urgent")
"""An alarm of whatever kind."""
LASTING = Label("lasting_alarm", "an alarm keeps sounding", "alarms and signals", "urgent")
"""One of no known cadence."""
CHIRP = Label(
    "battery_chirp",
    "something chirps once or twice a minute , perhaps a smoke alarm's battery",
    "alarms and signals",
    "ambient",
)
"""It goes on for weeks: named once, as a background is."""
BEAT_CATEGORIES, BEAT_LABELS = frozenset({"music", "animals"}), frozenset({"clock_tick"})
"""What beats evenly of itself, and is no alarm."""


class Meaning(NamedTuple):
    """What a sentence claims, as far as the known sounds can tell."""

    labels: frozenset[int]  # the sounds that it names; empty if it names none
    weakest: float  # the least evidence behind any word that names a sound, 0 to 1
    said: frozenset[str] = frozenset()  # its words that name sounds

    def support(self, evidence: NDArray[np.float32]) -> float:
        """The evidence for its best sound, 0 to 1; 0 where it names none. evidence: (sounds,)."""
        return max((float(evidence[label]) for label in self.labels), default=0.0)


class Labels:
    """The known sounds by their number, which is that of their score."""

    def __init__(self, rows: Sequence[Label]) -> None:
        """rows: of labels.csv, row i for score i.

        Where some are alarms told by their cadence, three more sounds are known: an alarm of whatever kind,
        unless the model has it as a label of its own; one that keeps sounding; and one that wants a battery.
        They come last, and only their own phrases name the last two.
        """
        self.cadences: dict[int, Cadence] = {i: row.cadence for i, row in enumerate(rows) if row.cadence}
        """Alarms that go on until somebody comes, and the cadence that tells each."""
        if self.cadences and all(row.label != ALARM.label for row in rows):
            rows = [*rows, ALARM]
        worded = rows
        if self.cadences:
            rows = [*rows, LASTING, CHIRP]
        self.names = tuple(row.label for row in rows)
        self.phrases = tuple(row.phrase for row in rows)
        self.alarm = self.names.index(ALARM.label) if self.cadences else None
        """An alarm whose cadence isn't known yet."""
        self.lasting = self.names.index(LASTING.label) if self.cadences else None
        """An alarm of no known cadence that keeps sounding."""
        told = (*self.cadences, self.alarm, self.lasting)
        self.alarms = frozenset(i for i in told if i is not None)
        """All alarms that rhythm tells."""
        self.by_rhythm = self.alarms | {i for i, name in enumerate(self.names) if name == CHIRP.label}
        """The same, and what wants a battery."""
        self.known_alarms = self._known_alarms(rows)
        """What rhythm tells; None where the model knows no alarm."""
        self.ambient = frozenset(i for i, row in enumerate(rows) if row.priority == "ambient")
        """Backgrounds that may go on for hours."""
        self.urgent = frozenset(i for i, row in enumerate(rows) if row.priority == "urgent")
        """What is said before all else, and each time; alarms among it."""
        self.calls = frozenset(i for i, row in enumerate(rows) if row.priority == "call")
        """What wants somebody to come."""
        self._words = [content_words(f"{row.label.replace('_', ' ')} {row.phrase}") for row in worded]
        self._narrower = [
            (broader, narrower)
            for broader, few in enumerate(self._words)
            for narrower, more in enumerate(self._words)
            if few and few < more and not {broader, narrower} & self.by_rhythm
        ]
        self._nested = frozenset(self._narrower)
        self._named_by: dict[str, list[int]] = {}
        for index, words in enumerate(self._words):
            for word in words:
                self._named_by.setdefault(word, []).append(index)
        for word in [word for word, sharers in self._named_by.items() if len(sharers) > MOST_SHARED]:
            del self._named_by[word]

    def _known_alarms(self, rows: Sequence[Label]) -> Known | None:
        if self.alarm is None or self.lasting is None:
            return None
        beats = (
            i for i, row in enumerate(rows) if row.category in BEAT_CATEGORIES or row.label in BEAT_LABELS
        )
        chirp = self.names.index(CHIRP.label)
        return Known(self.cadences, self.alarm, self.lasting, chirp, frozenset(beats))

    def priority(self, named: Set[int]) -> Priority:
        """Of a caption that names these: the highest; ambient only where all of them are."""
        if named & self.urgent:
            return "urgent"
        if named & self.calls:
            return "call"
        return "ambient" if named and named <= self.ambient else "normal"

    def priority_of_either(self, named: Set[int]) -> Priority:
        """Of a caption that leaves open which of these it is: what each of them is at least."""
        each = {self.priority({label}) for label in named}
        if len(each) == 1:
            return each.pop()
        return "call" if each == {"urgent", "call"} else "normal"

    def meaning(self, words: Sequence[str], evidence: NDArray[np.float32]) -> Meaning:
        """Which sounds the words of a sentence name, and how well each word is supported.

        words: lower case, without punctuation but ",". evidence: (sounds,) 0 to 1.
        A word shared by several sounds ("runs") names the one with most words in common with the
        sentence, then the one with most evidence. A word's support is the best evidence of all that share it.
        """
        said = content_words(words)
        named: set[int] = set()
        weakest = 1.0
        for word in sorted(said & self._named_by.keys()):
            candidates = self._named_by[word]
            weakest = min(weakest, max(float(evidence[i]) for i in candidates))
            named.add(max(candidates, key=lambda i: (len(self._words[i] & said), evidence[i], -i)))
        return Meaning(frozenset(named), weakest if named else 0.0, said)

    def own(self, sounds: Sequence[int], evidence: NDArray[np.float32]) -> Meaning:
        """What the phrases of these claim, one beside the other."""
        said = frozenset[str]().union(*(content_words(self.phrases[i]) for i in sounds))
        return Meaning(frozenset(sounds), min(float(evidence[i]) for i in sounds), said)

    def told(self, meaning: Meaning, evidence: NDArray[np.float32]) -> int:
        """How much a sentence says of its best sound: so many of the words for it. Of a man who speaks,
        "someone is speaking" says one, "a man is speaking" two."""
        best = max(meaning.labels, key=lambda i: float(evidence[i]), default=len(self._words))
        return len(self._words[best] & meaning.said) if best < len(self._words) else 0

    def rivals(self, evidence: NDArray[np.float32]) -> tuple[int, int] | None:
        """The surest sound and the surest of those that it rules out: a man who speaks rules out a woman, but
        not that someone does. None where there is no such, where rhythm tells one, or a phrase lacks."""
        first, *others = np.argsort(-evidence, kind="stable").tolist()
        for other in others:
            if not self._nested & {(first, other), (other, first)}:
                is_said = self.phrases[first] and self.phrases[other] and not {first, other} & self.by_rhythm
                return (first, other) if is_said else None
        return None

    def both(self, evidence: NDArray[np.float32], least: float) -> tuple[int, int] | None:
        """The two surest sounds of those that are sure (`least`) and have a phrase; None where there is but
        one. Somebody who speaks is no other than a man who does; an alarm, told by rhythm, stands alone."""
        order = np.argsort(-evidence, kind="stable").tolist()
        sure = [i for i in order if evidence[i] >= least and self.phrases[i] and i not in self.by_rhythm]
        told = [i for i in sure if not any((i, other) in self._nested for other in sure)]
        return (told[0], told[1]) if len(told) > 1 else None

    def refined(self, evidence: NDArray[np.float32], least: float) -> NDArray[np.float32]:
        """(sounds,) evidence in which a narrower sound that is heard well enough (`least`) is no less sure
        than the broader one: where somebody speaks, and a man is heard, surely a man speaks.

        A sound is narrower than another if its words are that one's and more; what rhythm tells is neither.
        """
        found = evidence
        for broader, narrower in self._narrower:
            if least <= evidence[narrower] < evidence[broader]:
                found = found.copy() if found is evidence else found
                found[narrower] = evidence[broader]
        return found
