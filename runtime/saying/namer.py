"""The namer: a sound by its own phrase, where no sentence of a decoder names it, or there is no decoder."""

import numpy as np
from numpy.typing import NDArray

from .decoder import BEAM, Hypothesis
from .labels import Meaning, Sounds

NOWHERE = np.zeros(0, np.float32)
"""Its sentences have no place in a sentence space."""


def name_sounds(sounds: Sounds, evidence: NDArray[np.float32]) -> list[Hypothesis]:
    """The phrases of the best supported sounds, best first; a sound without a phrase is never named.

    evidence: (sounds,) 0 to 1. The words are certain, so confidence is the sound's alone.
    """
    order = [i for i in np.argsort(-evidence, kind="stable").tolist() if sounds.phrases[i]]
    return [
        Hypothesis(
            tuple(sounds.phrases[i].split()), 0.0, NOWHERE, Meaning(frozenset({i}), float(evidence[i]))
        )
        for i in order[:BEAM]
    ]
