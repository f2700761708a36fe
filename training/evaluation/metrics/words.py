"""Which sounds a caption names, found in its words."""

import re
from collections.abc import Sequence

from ...data.corpus import Label
from ...prepare.parse import Parsed, parse
from ...sound.signals import PHRASES
from ...sound.taxonomy import RELATED
from ...sound.templates import sayable

JOINTS = re.compile(r"\b(?:while|then|or|possibly)\b|[,.]")
"""What stands between two clauses of ours, or before one."""


class Names:
    """Finds in a sentence the sounds that it names: the longest clauses first, each word once.

    What is said in other words than our clauses is read as `edgecap prepare` reads people's captions; a
    part of which it does not understand every word names nothing.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        """labels: the corpus's; the synthesised signals that it lacks are known too."""
        known = {label.name for label in labels}
        made = [Label(name, phrase, kind) for name, (phrase, kind) in PHRASES.items() if name not in known]
        self._known = known | {label.name for label in made}
        clauses = sayable([*labels, *made])
        # What has no phrase can't be said; an empty clause would be found between any two letters.
        self._clauses = sorted((item for item in clauses.items() if item[0]), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> frozenset[str]:
        """Labels that a caption names; a clause that several labels share names them all."""
        rest = text.lower()
        found: set[str] = set()
        for clause, labels in self._clauses:
            if clause in rest:
                rest = rest.replace(clause, " ")
                found.update(labels)
        for part in JOINTS.split(rest):
            understood = parse(part.strip()) if part.strip() else None
            if isinstance(understood, Parsed):
                # "horse/neigh" is the manner of a horse that the words ask for.
                found.update(sound.choices[0].partition("/")[0] for sound in understood.sounds)
        return frozenset(found & self._known)


def related(label: str) -> frozenset[str]:
    """The label and those that it does not deny: "someone is speaking" is true of a man who speaks."""
    return frozenset({label}.union(*(group for group in RELATED if label in group)))
