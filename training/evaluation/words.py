"""Which sounds a caption names, found in its words."""

from collections.abc import Sequence

from ..captions import sayable
from ..data import Label
from ..scenes import RELATED
from ..signals import PHRASES


class Names:
    """Finds in a sentence the sounds that it names: the longest clauses first, each word once."""

    def __init__(self, labels: Sequence[Label]) -> None:
        """labels: the corpus's; the synthesised signals that it lacks are known too."""
        known = {label.name for label in labels}
        made = [Label(name, phrase, kind) for name, (phrase, kind) in PHRASES.items() if name not in known]
        self._clauses = sorted(sayable([*labels, *made]).items(), key=lambda item: -len(item[0]))

    def __call__(self, text: str) -> frozenset[str]:
        """Labels that a caption names; a clause that several labels share names them all."""
        rest = text.lower()
        found: set[str] = set()
        for clause, labels in self._clauses:
            if clause in rest:
                rest = rest.replace(clause, " ")
                found.update(labels)
        return frozenset(found)


def related(label: str) -> frozenset[str]:
    """The label and those that it does not deny: "someone is speaking" is true of a man who speaks."""
    return frozenset({label}.union(*(group for group in RELATED if label in group)))
