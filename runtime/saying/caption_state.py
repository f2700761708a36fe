"""The caption's state: sentences about segments become caption events. The policy.

At most one caption stands. It is `silent` until a sentence is believed (choose.py); the caption then `stands`
while its segment goes on, and `waits` where that is over but the caption is not: until the next situation
has a name, or because its sound came back once before and may come back again, as a CO alarm's bursts do
every 5 s.

What happens is one of four things. A `chunk` of 320 ms went by, heard or quiet. A `segment is over`:
faded, fallen silent, or followed at once by another. A `sentence` was chosen, of those that the decoder
was asked for (triggers.py says when). The stream was `cut`. TABLE says what is said then; of the rows for
a state and a happening the first whose guard holds is taken.

So every `new` gets exactly one `end`; other words for the same meaning change nothing; a sound that goes
on is one caption. What need not be said again (cooldown.py) is never chosen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from ..audio import RATE
from ..events import Caption, Priority, Reason, Sound
from ..hearing.segment import HOLD_SAMPLES, Segment
from .choose import Candidate, Evidence, Known, choose, one_of_two, sure_and_urgent
from .cooldown import Cooldown
from .decoder import Hypothesis, packed
from .labels import Labels
from .limits import Limits
from .triggers import ASK, Triggers

State = Literal["silent", "stands", "waits"]
Happening = Literal["chunk", "segment over", "sentence", "cut"]
Guard = Literal[
    "gone for longer than its patience", "another follows at once", "it came back before, and may again",
    "same meaning, and sure at last", "same meaning", "a guess, where plain words stand", "better supported",
    "otherwise",
]  # fmt: skip
Said = Literal["nothing", "new", "update", "end", "end, new"]


class Row(NamedTuple):
    """A transition. next: None stays in the state."""

    states: tuple[State, ...]
    happening: Happening
    guard: Guard
    said: Said
    next: State | None


SILENT: tuple[State, ...] = ("silent",)
STANDS: tuple[State, ...] = ("stands",)
WAITS: tuple[State, ...] = ("waits",)
OPEN = STANDS + WAITS

TABLE = (
    #   state   what happens    guard                                 what is said  next state
    Row(SILENT, "sentence",     "otherwise",                          "new",        "stands"),
    Row(SILENT, "chunk",        "otherwise",                          "nothing",    None),
    Row(SILENT, "segment over", "otherwise",                          "nothing",    None),
    Row(SILENT, "cut",          "otherwise",                          "nothing",    None),
    Row(OPEN,   "chunk",        "gone for longer than its patience",  "end",        "silent"),
    Row(OPEN,   "chunk",        "otherwise",                          "nothing",    None),
    Row(OPEN,   "segment over", "another follows at once",            "nothing",    "waits"),
    Row(OPEN,   "segment over", "it came back before, and may again", "nothing",    "waits"),
    Row(OPEN,   "segment over", "otherwise",                          "end",        "silent"),
    Row(OPEN,   "sentence",     "same meaning, and sure at last",     "update",     "stands"),
    Row(OPEN,   "sentence",     "same meaning",                       "nothing",    "stands"),
    Row(OPEN,   "sentence",     "a guess, where plain words stand",   "nothing",    None),
    Row(STANDS, "sentence",     "better supported",                   "update",     "stands"),
    Row(WAITS,  "sentence",     "better supported",                   "end, new",   "stands"),
    Row(OPEN,   "sentence",     "otherwise",                          "nothing",    None),
    Row(OPEN,   "cut",          "otherwise",                          "end",        "silent"),
)  # fmt: skip

MOST_NAMED = 5
"""Sounds that are listed with a caption."""
LONGEST_WAIT = 8 * RATE
"""A pause up to this long is one that a sound may return from."""
WAIT_SHARE = 3, 2
"""A sound that came back is waited for over half as long again as it was away."""

Describe = Callable[[], Sequence[Hypothesis]]
"""Asks the decoder about the open segment: sentences, best first."""


def transition(state: State, happening: Happening, holding: Set[Guard]) -> Row:
    """The row that is taken. holding: the guards that hold."""
    rows = (row for row in TABLE if state in row.states and row.happening == happening)
    return next(row for row in rows if row.guard == "otherwise" or row.guard in holding)


@dataclass
class _Open:
    """The caption that stands or waits."""

    caption: Caption
    candidate: Candidate
    supported_until: int
    """Sample up to which its sounds were heard."""
    patience: int = HOLD_SAMPLES
    """How long its sounds may be gone before it ends."""
    revisions: int = 0


class Policy:
    """Decides when a sentence is asked for, and what is said. Its whole state is here, in the triggers
    and in the cooldown; times are samples of the stream."""

    def __init__(self, labels: Labels, limits: Limits, holds_all: bool = False) -> None:
        """holds_all: what was said often is said again: a recording's captions, not a room's."""
        self._labels, self._limits = labels, limits
        self._cooldown = Cooldown(labels, limits.leaves, holds_all)
        self._triggers = Triggers(limits, self._cooldown)
        self._state: State = "silent"
        self._open: _Open | None = None
        self._uttered = 0
        self._last_end = 0
        self._last_labels: frozenset[int] = frozenset()
        self._held: Counter[int] = Counter()
        self._held_here: tuple[Segment | None, frozenset[int]] = None, frozenset()

    @property
    def live(self) -> Caption | None:
        """The caption that stands, as last said."""
        return self._open.caption if self._open else None

    @property
    def held(self) -> Mapping[str, int]:
        """Sound -> in how many situations it was sure, yet not said, since it was said so often before; the
        most frequent first."""
        return {self._labels.names[label]: times for label, times in self._held.most_common()}

    def step(
        self,
        now: int,
        segment: Segment | None,
        ended: Segment | None,
        describe: Describe,
        moved: Callable[[], None] = lambda: None,
        consult: Callable[[], None] = lambda: None,
    ) -> list[Caption]:
        """A chunk that ended at sample `now` went by.

        segment: the one that is open after it, None where it is quiet. ended: the one that it ended, if any.
        describe: called where a sentence about `segment` is worth its price. moved: called in its place where
        one would be, had not the caption that stands been sure to stay, whatever the words. consult: asks for
        a second opinion of `segment`, before either; where that leaves nothing to be said, neither is called.
        """
        events = self._over(ended) if ended else []
        events += self._chunk(segment, now)
        if segment is None:
            return events
        why, is_upheld = self._triggers.check(segment, now, self._open is None), self._is_upheld(segment)
        if why in ASK or is_upheld:
            least = self._limits.asks if segment.is_new else self._limits.named
            if is_upheld or why == "grown" or self._may_change(segment.evidence(), now, least):
                consult()
            belief = segment.belief()
            is_named = float(belief.max()) >= self._limits.named
            if not (is_named or one_of_two(belief, self._labels, self._limits)):
                self._triggers.attempted(segment, now, False, "threshold")
            elif self._may_change(belief, now, self._limits.named):
                events += self._sentence(describe(), segment, now)
            else:
                moved()
                self._triggers.attempted(segment, now, False, "outdone")
        return events

    def close(self, ended: Segment | None) -> list[Caption]:
        """The stream was cut or is over, and with it this segment: nothing will return."""
        if self._open and ended:
            self._open.supported_until = ended.end
        return self._end_if(self._take("cut"))

    def why_not(self, label: int, segment: Segment | None, now: int) -> Reason | None:
        """Why a sound is not said; None if the caption that stands names it. Changes nothing."""
        if self._open and label in self._open.candidate.named:
            return None
        if segment is None:
            return "quiet"
        return self._triggers.why_not(label, segment, now, self._open is None)

    # --- what happens -----------------------------------------------------------------------------

    def _over(self, ended: Segment) -> list[Caption]:
        holding: set[Guard] = set()
        if ended.ended_by == "change":
            holding.add("another follows at once")
        elif self._open:
            self._open.supported_until = ended.end
            if self._open.patience > HOLD_SAMPLES and ended.ended_by != "gap":
                holding.add("it came back before, and may again")
        return self._end_if(self._take("segment over", holding))

    def _chunk(self, segment: Segment | None, now: int) -> list[Caption]:
        if segment:
            self._triggers.heard(segment, now)
            if self._open and self._open.candidate.support(segment.latest) >= self._limits.leaves:
                self._open.supported_until = now
            self._cooldown.heard(segment.latest, now)
        holding: set[Guard] = set()
        if self._open and now - self._open.supported_until >= self._open.patience:
            holding.add("gone for longer than its patience")
        return self._end_if(self._take("chunk", holding))

    def _sentence(self, hypotheses: Sequence[Hypothesis], segment: Segment, now: int) -> list[Caption]:
        known = Known(
            self._open.candidate.labels if self._open else None,
            self._cooldown.no_guess(now),
            self._cooldown.suppressed(now),
        )
        choice = choose(hypotheses, segment.belief(), self._labels, self._limits, known)
        before = self._held_here[1] if self._held_here[0] is segment else frozenset()
        self._held.update(choice.held - before)  # once a situation, however often it is described
        self._held_here = segment, before | choice.held
        events: list[Caption] = []
        if choice.candidate:
            semantic = next((packed(each.semantic) for each in hypotheses if each.semantic.size), None)
            events = self._decide(choice.candidate, semantic, segment, now)
        self._triggers.attempted(segment, now, bool(events), choice.refusal or "outdone")
        return events

    def _decide(
        self, candidate: Candidate, semantic: bytes | None, segment: Segment, now: int
    ) -> list[Caption]:
        evidence = segment.belief()
        holding = set(self._comparison(candidate, self._open, evidence)) if self._open else set()
        said = self._take("sentence", holding)
        if said == "nothing":
            return []
        if said == "update" and self._open:
            return [self._update(self._open, candidate, semantic, evidence, now)]
        ended = self._end(segment.start) if said == "end, new" else []
        return [*ended, self._begin(candidate, semantic, segment, now)]

    def _take(self, happening: Happening, holding: Set[Guard] = frozenset()) -> Said:
        """Into the next state; returns what is said."""
        row = transition(self._state, happening, holding)
        self._state = row.next or self._state
        return row.said

    # --- a candidate against the caption ----------------------------------------------------------

    def _comparison(self, candidate: Candidate, opened: _Open, evidence: Evidence) -> Iterator[Guard]:
        before = opened.candidate
        decides = before.is_either and candidate.labels <= before.labels
        if candidate.labels == before.labels or candidate.plain == before.plain or decides:
            yield "same meaning"
            if candidate.is_sure and not before.is_sure:
                yield "same meaning, and sure at last"
        if before.is_sure and not candidate.is_sure:
            yield "a guess, where plain words stand"
        if self._is_better(candidate, opened, evidence):
            yield "better supported"

    def _is_upheld(self, segment: Segment) -> bool:
        """Whether what stands is upheld by an opinion of what was before, and by it alone."""
        return (
            self._open is not None
            and segment.has_moved_on
            and self._lacks_one(self._open.candidate, segment.evidence())
        )

    def _lacks_one(self, candidate: Candidate, evidence: Evidence) -> bool:
        """Whether something that is news in it has left."""
        return any(float(evidence[i]) < self._limits.leaves for i in candidate.labels)

    def _may_change(self, evidence: Evidence, now: int, least: float) -> bool:
        """Whether there is any sentence that would not leave things as they are.

        Of a plain caption that stands a sentence changes something only if it is `_is_better`: it adds a
        sound that is heard well enough (`least`) and not suppressed, or it leaves out one that has left.
        Where there is neither, neither a second opinion nor the decoder need be asked.
        """
        opened = self._open
        if opened is None or self._state != "stands" or not opened.candidate.is_sure:
            return True
        labels = opened.candidate.labels
        listed = frozenset(np.flatnonzero(evidence >= least).tolist())
        if listed - labels - self._cooldown.suppressed(now):
            return True
        return len(labels) > 1 and self._lacks_one(opened.candidate, evidence)

    def _is_better(self, candidate: Candidate, opened: _Open, evidence: Evidence) -> bool:
        """Whether what the candidate adds outweighs what it leaves out, or has only just arrived.

        gain: the best evidence of what it adds; loss: of what it leaves out. It is better if gain > loss +
        reluctance, which grows with each revision; or if the evidence of something added grew by more than
        `arrival` + reluctance since the last sentence; or if it is urgent, and nothing urgent is left out; or
        if it leaves out what has left, and nothing else.
        """
        policy = self._limits.policy
        added = candidate.labels - opened.candidate.labels
        dropped = opened.candidate.labels - candidate.labels
        if added & self._labels.cadences.keys():
            # A smoke alarm is an alarm, and keeps sounding: neither is taken back.
            dropped -= {self._labels.alarm, self._labels.lasting}
        elif self._labels.lasting in added:
            dropped -= {self._labels.alarm}
        gain = max((float(evidence[i]) for i in added), default=self._limits.leaves)
        loss = max((float(evidence[i]) for i in dropped), default=0.0)
        if added and gain < self._limits.named:
            return False
        if not added and loss < self._limits.leaves:
            return bool(dropped)
        urgent, lost = (
            sure_and_urgent(each, evidence, self._labels, self._limits) for each in (added, dropped)
        )
        if urgent and not lost:
            return True
        reluctance = policy.reluctance * opened.revisions
        if gain > loss + reluctance:
            return True
        seen = self._triggers.last_belief
        before = np.zeros_like(evidence) if seen is None else seen
        return any(float(evidence[i] - before[i]) > policy.arrival + reluctance for i in added)

    # --- what is said -----------------------------------------------------------------------------

    def _begin(self, candidate: Candidate, semantic: bytes | None, segment: Segment, now: int) -> Caption:
        self._uttered += 1
        start = max(self._triggers.evident_since or segment.start, self._last_end)
        caption = Caption(
            kind="new",
            id=str(self._uttered),
            text=candidate.text,
            confidence=round(candidate.probability, 4),
            sounds=self._listed(segment.belief(), candidate),
            start=start,
            priority=self._priority(candidate),
            semantic=semantic,
        )
        self._open = _Open(caption, candidate, supported_until=now)
        pause = start - self._last_end
        if candidate.labels == self._last_labels and pause <= LONGEST_WAIT:
            longer, than = WAIT_SHARE
            self._open.patience = min(max(pause * longer // than, HOLD_SAMPLES), LONGEST_WAIT)
        return caption

    def _update(
        self, opened: _Open, candidate: Candidate, semantic: bytes | None, evidence: Evidence, now: int
    ) -> Caption:
        opened.caption = msgspec.structs.replace(
            opened.caption,
            kind="update",
            text=candidate.text,
            confidence=round(candidate.probability, 4),
            sounds=self._listed(evidence, candidate),
            priority=self._priority(candidate),
            semantic=semantic,
        )
        if not candidate.labels < opened.candidate.labels:  # that something has left takes nothing back
            opened.revisions += 1
        opened.candidate, opened.supported_until = candidate, now
        return opened.caption

    def _end_if(self, said: Said) -> list[Caption]:
        return self._end() if said == "end" else []

    def _end(self, latest: int | None = None) -> list[Caption]:
        """Where its sounds were last heard, or at `latest`. That may lie before the caption's start,
        where a sound was over at once: then it ends there."""
        if self._open is None:
            return []
        caption, candidate, at = self._open.caption, self._open.candidate, self._open.supported_until
        at = at if latest is None else min(latest, at)
        self._open, self._last_labels = None, candidate.labels
        self._cooldown.said(candidate.labels, candidate.is_sure, caption.start, at)
        self._last_end = max(at, caption.start)
        return [msgspec.structs.replace(caption, kind="end", end=self._last_end)]

    def _priority(self, candidate: Candidate) -> Priority:
        of = self._labels.priority_of_either if candidate.is_either else self._labels.priority
        return of(candidate.named)

    def _listed(self, evidence: Evidence, candidate: Candidate) -> tuple[Sound, ...]:
        """The sounds that are listed with a caption, surest first."""
        order = np.argsort(-evidence, kind="stable")[:MOST_NAMED].tolist()
        either = candidate.named if candidate.is_either else frozenset()
        return tuple(
            Sound(self._labels.names[i], round(float(evidence[i]), 4))
            for i in order
            if evidence[i] >= self._limits.named or i in either
        )
