"""Alarms: what their rhythm says, beside what the encoder hears.

The encoder knows an alarm's timbre, and errs where a timer has the same one, or a vacuum cleaner drowns it;
the cadence (cadence.py) errs where something else beats in three. Both together are wrong much more seldom;
and the cadence alone decides where it came twice, a period apart. They count for the stream, not for a
segment: an alarm goes on through whatever begins or ends beside it.

What sounds like an alarm and has not shown its cadence yet is "an alarm", and told as such at once. What no
standard describes and beats on and on (beat.py) is an alarm that keeps sounding, whatever the encoder makes
of it, unless that is what beats of itself: music, a bird. It is never called a smoke alarm for that. And a
chirp that keeps its clock (chirps.py) is told as one.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model.manifest import AlarmThresholds, Cadence
from .beat import Beat
from .cadence import NONE, PATTERNS, Listener, Match
from .chirps import Chirps, Clock
from .encoder import Embedding
from .frontend import LogMel
from .prominence import STEPS, Past, Recent, prominence

FAMILIAR, AGREEING = 24, 8
"""Chunks in which the encoder may have heard an alarm, about eight seconds; so many must agree."""
SOON, SOON_AGREEING = 16, 4
"""The same for "an alarm", which can still turn out to be something else."""
LASTING, LASTING_AGREEING = 40, 28
"""An alarm of no known cadence is one that has gone on for nine of thirteen seconds."""
HELD = {"T3": 17, "T4": 21}
"""Chunks for which a match holds: by then the next group has come, or the alarm is over."""
PERIOD = {"T3": (11, 14), "T4": (16, 20)}
"""Chunks from one match to the next group's, at least and at most: 4 s and 5.8 s, a tenth more or less."""
LOOK_EVERY = 3
"""Chunks between two looks for a beat."""
EVEN_LOOKS, MOST_LOOKS = 3, 4
"""So many even looks, less those that weren't, make an alarm that keeps sounding, some eight seconds after it
began; and no more than so many are counted."""
CHIRPED = 4
"""Chunks for which a chirp that kept its clock is told."""
CERTAIN = 0.97
"""The score of what physics alone has decided."""
FAINT = 0.02
"""Where the encoder has given no alarm this much lately, and none matched, there is nothing to weigh."""
USUAL = AlarmThresholds()


class Known(NamedTuple):
    """Which of the known sounds are alarms; sounds are numbers of labels."""

    cadences: Mapping[int, Cadence]
    """Alarm -> the name of its pattern, "T3"."""
    general: int
    """An alarm of whatever kind."""
    lasting: int
    """An alarm of no known cadence that keeps sounding."""
    chirp: int
    """One that wants a battery."""
    beats: frozenset[int] = frozenset()
    """What beats evenly of itself, and is no alarm."""


class AlarmState(NamedTuple):
    """What is remembered of a stream for its alarms' sake: 13 seconds, and the last chirps."""

    past: Past
    matches: tuple[tuple[Match, ...], ...]
    """Of each alarm those of the chunks in which one holds, and a period before; the newest last."""
    scores: NDArray[np.float32]
    """(LASTING, alarms) what the encoder heard, the newest last; zeros before the stream."""
    clock: Clock = ()
    chunks: int = 0
    """Of the stream so far."""
    even: int = 0
    """By how many looks the beat was even, less those by which it wasn't."""
    other: int = 0
    """The same of a beat that is quicker than any standard's."""
    chirped: int = -CHIRPED
    """The chunk in which a chirp last kept its clock."""


class Alarms:
    """Gives the alarms among the scores what their rhythm makes of them.

        score = max(sigmoid(logit(familiar) + steepness · (match - likely)), lasting, twice)

    familiar: the mean of the AGREEING best of the encoder's last FAMILIAR scores, 0 to 1, and at least
    `unfamiliar` (the bundle's). match: the best
    correlation with the alarm's cadence (cadence.py), 0 to 1, of the last HELD chunks. steepness, likely: the
    bundle's (`AlarmThresholds`, where they were fitted). lasting: the least of the LASTING_AGREEING best of
    the last LASTING scores, which is high only where it was heard nearly all along, in whatever rhythm.
    twice: CERTAIN where two matches of at least `twice` (the bundle's) came in one band, a PERIOD apart.
    What beats evenly and quicker than a standard's period is none of them, whatever its timbre.
    "An alarm" gets the mean of the SOON_AGREEING best of the last SOON scores of the surest of them, as long
    as none of them is `known`, and none keeps sounding. A chunk is 320 ms.
    """

    def __init__(self, known: Known | None, mels: int, thresholds: AlarmThresholds = USUAL) -> None:
        """known: the alarms; None where the model knows none."""
        self._thresholds, self._known = thresholds, known
        cadences = known.cadences if known else {}
        self._labels = sorted(cadences)
        self._cadences = [cadences[label] for label in self._labels]
        self._beats = sorted(known.beats) if known else []
        self._listener = Listener([PATTERNS[name] for name in self._cadences])
        self._beat, self._chirps = Beat(mels), Chirps(mels)
        self._recent = Recent(max(self._listener.rows, self._beat.rows, self._chirps.rows), mels)

    def initial_state(self) -> AlarmState:
        """Before the stream's first chunk."""
        return AlarmState(
            self._recent.initial_state(),
            tuple((NONE,) * (HELD[name] + PERIOD[name][1]) for name in self._cadences),
            np.zeros((LASTING, len(self._labels)), np.float32),
        )

    def step(self, log_mel: LogMel, embedding: Embedding, state: AlarmState) -> tuple[Embedding, AlarmState]:
        """What the encoder made of a chunk -> the same, its alarms weighed, and the state after.

        log_mel: the chunk's, (32, mels) dB. The scores get the entries more that the model has no label for:
        an alarm of whatever kind, one that keeps sounding, a chirp.
        """
        known = self._known
        if known is None:
            return embedding, state
        past = self._recent.step(prominence(log_mel), state.past)
        state = self._listened(past, embedding.scores, state)
        scores = np.zeros(max(known.general, known.lasting, known.chirp) + 1, np.float32)
        scores[: len(embedding.scores)] = embedding.scores
        is_faint = float(state.scores.max()) < FAINT and all(
            held.count(NONE) == len(held) for held in state.matches
        )
        is_other = state.other >= EVEN_LOOKS
        scores[self._labels] = 0.0 if is_faint or is_other else self._by_cadence(state)
        # From there on it is no longer just an alarm.
        if float(scores[self._labels].max()) < self._thresholds.known:
            if state.even >= EVEN_LOOKS:
                scores[known.lasting] = CERTAIN
            elif not is_faint:
                soon = _mean_of_best(state.scores[-SOON:], SOON_AGREEING)
                scores[known.general] = max(float(scores[known.general]), float(soon.max()))
        if state.chunks - state.chirped < CHIRPED:
            scores[known.chirp] = CERTAIN
        return Embedding(embedding.vector, scores), state

    def _listened(self, past: Past, scores: NDArray[np.float32], state: AlarmState) -> AlarmState:
        """The state after a chunk that is the newest of this past."""
        chunks = state.chunks + 1
        found = self._listener.look(past)
        even, other = state.even, state.other
        if chunks % LOOK_EVERY == 0:
            short, long = self._beat.evenness(past)
            is_veto = scores[self._beats].max(initial=0.0) >= self._thresholds.veto
            even = _counted(even, max(short, long) >= self._thresholds.even and not is_veto)
            other = _counted(other, short >= self._thresholds.even)
        keeps_clock, clock = self._chirps.step(past, chunks * STEPS, state.clock)
        return AlarmState(
            past,
            tuple((*held[1:], match) for held, match in zip(state.matches, found, strict=True)),
            _pushed(state.scores, scores[self._labels]),
            clock,
            chunks,
            even,
            other,
            chunks if keeps_clock else state.chirped,
        )

    def _by_cadence(self, state: AlarmState) -> list[float]:
        """Each alarm's score."""
        familiar = _mean_of_best(state.scores[-FAMILIAR:], AGREEING)
        lasting = np.sort(state.scores, axis=0)[-LASTING_AGREEING]
        found = []
        for at, (name, matches) in enumerate(zip(self._cadences, state.matches, strict=True)):
            beyond = max(match.likeness for match in matches[-HELD[name] :]) - self._thresholds.likely(name)
            odds = (
                _logit(max(float(familiar[at]), self._thresholds.unfamiliar))
                + self._thresholds.steepness * beyond
            )
            score = max(1.0 / (1.0 + math.exp(-odds)), float(lasting[at]))
            came_twice = _twice(matches, name, self._thresholds.twice(name))
            found.append(max(score, CERTAIN) if came_twice else score)
        return found


def _twice(matches: tuple[Match, ...], name: Cadence, least: float) -> bool:
    """Whether two came a period apart in one band, the later one while a match holds."""
    shortest, longest = PERIOD[name]
    clear = [(at, match.band) for at, match in enumerate(matches) if match.likeness >= least]
    return any(
        shortest <= later - at <= longest and abs(band - other) <= 1.0 and later >= len(matches) - HELD[name]
        for at, band in clear
        for later, other in clear
    )


def _counted(looks: int, is_even: bool) -> int:
    """One look more."""
    return min(looks + 1, MOST_LOOKS) if is_even else max(looks - 1, 0)


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
