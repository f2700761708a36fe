"""Choose: what may be said now. Sentences and evidence in, the one to say out, or why there is none.

Evidence, (sounds,) 0 to 1, judges: the encoder's scores are surer than the decoder's choice of words
(docs/decisions.md, "Of the beam, the best supported sentence").
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .decoder import BEAM, Hypothesis
from .labels import Labels, Meaning
from .limits import MENTION, Limits
from .wording import EITHER, WHILE, clauses, hedged, sentence

Evidence = NDArray[np.float32]
"""(sounds,) how sure each sound is, 0 to 1."""
Refusal = Literal["unlikely-words", "unheard", "threshold", "dull", "guess"]
"""events.Reason explains each."""
_REACHED: tuple[Refusal, ...] = ("unlikely-words", "unheard", "threshold")
"""What a sentence fails by, in the order of asking: the best of those refused tells why."""
NOWHERE = np.zeros(0, np.float32)
"""A sound's own phrase has no place in a sentence space."""


@dataclass(frozen=True)
class Candidate:
    """A sentence that could be said now."""

    plain: str
    """Without "Possibly"."""
    labels: frozenset[int]
    """What is news in it: that decides how long it stands and what replaces it."""
    named: frozenset[int]
    """All that it names."""
    probability: float
    is_sure: bool
    """Of a probability that is said plainly."""
    is_either: bool = False
    """One of two is meant, and it says so."""

    @property
    def text(self) -> str:
        """As it is said."""
        return self.plain if self.is_sure else hedged(self.plain)

    def support(self, evidence: Evidence) -> float:
        """The evidence for the best of what is news in it."""
        return Meaning(self.labels, 0.0).support(evidence)


class Choice(NamedTuple):
    """What may be said, or why nothing."""

    candidate: Candidate | None
    refusal: Refusal | None = None
    held: frozenset[int] = frozenset()
    """Sure, but suppressed: what would have been said, had it not been said so often."""


class Known(NamedTuple):
    """What listeners know already, as labels."""

    standing: frozenset[int] | None
    """The news of the caption that stands; None where none does."""
    no_guess: frozenset[int]
    suppressed: frozenset[int]
    """Of the cooldown."""


def choose(
    hypotheses: Sequence[Hypothesis], evidence: Evidence, labels: Labels, limits: Limits, known: Known
) -> Choice:
    """The sentence to say, of those offered, best first.

    Where nothing is sure, one of two sounds may be (`one_of_two`). Else the most probable, if it is news:
    what stands already may be said, else not what names suppressed sounds alone, nor, as a guess, what is
    not worth one. Where the most probable is no news but sure, the most probable that is sure of something
    else: over a background what is as sure as anything that is said; beside an event what is strong by
    itself, since a weaker one is most likely that event's look-alike.
    """
    evidence = labels.refined(evidence, limits.arrives)
    found = _most_probable(hypotheses, evidence, labels, limits, limits.hedge)
    candidate = found.candidate
    if candidate is None or candidate.probability < limits.confidence:
        either = one_of_two(evidence, labels, limits)
        if either and not either.labels & known.no_guess:
            return Choice(either)
    if candidate is None:
        return found
    old = known.suppressed if candidate.is_sure else known.no_guess
    if candidate.labels != known.standing and candidate.labels <= old:
        if not candidate.is_sure:
            return Choice(None, "guess")
        held = candidate.labels & known.suppressed
        is_background = candidate.labels <= labels.ambient
        least = limits.confidence if is_background else max(limits.confidence, limits.policy.strong)
        other = _most_probable(hypotheses, evidence, labels, limits, least, known.suppressed)
        return Choice(other.candidate, None if other.candidate else "dull", held)
    if not candidate.labels <= known.suppressed:
        candidate = replace(candidate, labels=candidate.labels - known.suppressed)
    return Choice(candidate)


def _most_probable(
    hypotheses: Sequence[Hypothesis],
    evidence: Evidence,
    labels: Labels,
    limits: Limits,
    least: float,
    besides: frozenset[int] = frozenset(),
) -> Choice:
    """What names only what is heard, and of that the most probable, if it reaches `least`.

    Of sentences that are as probable, the one that may be said plainly, that names more of what is heard for
    sure, and that says more of its best sound.
    Of a sentence with two clauses, one of them alone will do: half a truth is one, half an error isn't.
    Whatever else sounds, what is urgent and heard for sure comes first: an alarm over loud music; and
    which alarm it is before that it is one.
    besides: what it names of these counts for nothing.
    """
    best: Candidate | None = None
    first = (0, 0.0, False, 0, 0)
    reached = 0
    for hypothesis in hypotheses:
        if hypothesis.log_prob < limits.policy.least_log_prob:
            continue
        for words in (hypothesis.words, *clauses(hypothesis.words)):
            meaning = hypothesis.meaning or labels.meaning(words, evidence)
            meant = meaning._replace(labels=meaning.labels - besides)
            p = limits.calibration.probability(meant.support(evidence), hypothesis.log_prob)
            is_heard = meaning.weakest >= limits.mention
            reached = max(reached, 2 if is_heard else 1)
            if not is_heard or p < least:
                continue
            sure = sum(float(evidence[label]) >= limits.arrives for label in meant.labels)
            urgent = sure_and_urgent(meaning.labels, evidence, labels, limits)
            is_sure = p >= limits.confidence and meaning.labels & labels.urgent == urgent
            urgent &= meant.labels
            told = labels.told(meant, evidence)
            order = (bool(urgent) + bool(urgent & labels.cadences.keys()), p, is_sure, sure, told)
            if order > first:  # the decoder's own order where they are equal
                first, best = order, Candidate(sentence(words), meant.labels, meaning.labels, p, is_sure)
    return Choice(best) if best else Choice(None, _REACHED[reached])


def sure_and_urgent(among: Set[int], evidence: Evidence, labels: Labels, limits: Limits) -> frozenset[int]:
    """Those of them that are urgent and heard for sure; an alarm is told by its rhythm besides."""
    return frozenset(
        i
        for i in labels.urgent & among
        if float(evidence[i]) >= (limits.arrives if i in labels.alarms else limits.urgent)
    )


def one_of_two(evidence: Evidence, labels: Labels, limits: Limits) -> Candidate | None:
    """A guess, "a cello plays or a saxophone plays": the surest sound and its rival, where neither is sure.

    They rule each other out, so the evidence that it is one of them is the sum of both. A rival has half of
    the surest sound's evidence at least; a fainter one would open what is said and hardly ever be right
    (training/LOG.md, "One of two").
    """
    rivals = labels.rivals(evidence)
    if rivals is None or float(evidence[rivals[1]]) < MENTION * float(evidence[rivals[0]]):
        return None
    evident = min(float(evidence[list(rivals)].sum()), 1.0)
    p = limits.calibration.probability(evident, 0.0)
    if p < limits.hedge:
        return None
    one, other = (labels.phrases[i].split() for i in rivals)
    named = frozenset(rivals)
    return Candidate(sentence([*one, EITHER, *other]), named, named, p, is_sure=False, is_either=True)


def own_phrases(labels: Labels, evidence: Evidence, limits: Limits) -> list[Hypothesis]:
    """The phrases of the best supported sounds, best first; a sound without a phrase is never named. And of
    two that are sure, one while the other: of what has come to a louder background no sentence may tell.

    Offered beside the decoder's sentences, where none of those names the surest sound, or in their place
    where there is no decoder. Their words are certain, so confidence is the sound's alone.
    """
    order = [i for i in np.argsort(-evidence, kind="stable").tolist() if labels.phrases[i]]
    both = labels.both(labels.refined(evidence, limits.arrives), limits.arrives)
    said = [*([both] if both else []), *((i,) for i in order[:BEAM])]
    return [
        Hypothesis(
            tuple(f" {WHILE} ".join(labels.phrases[i] for i in sounds).split()), 0.0, NOWHERE,
            labels.own(sounds, evidence),
        )
        for sounds in said
    ]  # fmt: skip
