"""Captioners on planned scenes: what all rows of a table are taught, and how they are scored."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.saying.decoder import Decoder
from ..evaluation.metrics.text import cider_d, tokenise
from ..tokenizer import build_tokenizer
from .scenes import Scenes
from .trial import ONCE

LONGEST = 32
"""Steps of a scene that are heard: 10 s of ours."""
LEAST_COUNT = 3
"""A word that comes less often in the captions taught is unknown."""
SCORED = 300
"""Scenes of the held-out split that are captioned."""


class Taught:
    """Training's scenes and words, and the held-out scenes that are captioned: the same in every row."""

    def __init__(self, taught: Scenes, held: Scenes) -> None:
        self.taught, self.held = taught, held
        self.said = [(plan.caption, *plan.others) for plan in taught.plans]
        self.tokenizer = build_tokenizer((text for some in self.said for text in some), LEAST_COUNT)
        self.asked = np.random.default_rng(0).permutation(len(held.plans))[:SCORED].tolist()
        self.references = [
            [tokenise(text) for text in (held.plans[row].caption, *held.plans[row].others)]
            for row in self.asked
        ]

    def width(self, ear: str) -> int:
        """Numbers of a step of what an ear heard."""
        return int(self.taught.heard[ear][0].shape[1])

    def draw(self, seed: Sequence[int], batch: int) -> Iterator[tuple[list[int], list[str]]]:
        """Scenes, all of them before one comes again, each with one of its captions."""
        rng = np.random.default_rng(list(seed))
        while True:
            for rows in np.array_split(rng.permutation(len(self.said)), max(1, len(self.said) // batch)):
                yield (
                    rows.tolist(),
                    [self.said[row][int(rng.integers(len(self.said[row])))] for row in rows],
                )

    def score(self, speaker: Decoder, ear: str) -> dict[str, NDArray[np.float64]]:
        """CIDEr-D of each scene that is captioned, and how many words all captions use."""
        heard = (self.held.heard[ear][row][-LONGEST:].astype(np.float32) for row in self.asked)
        said = [tokenise(" ".join(speaker.describe(one)[0].words)) for one in heard]
        words = len({word for one in said for word in one})
        return {"CIDEr-D": cider_d(said, self.references), f"words{ONCE}": np.array([float(words)])}
