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
        self.references = [(held.plans[row].caption, *held.plans[row].others) for row in self.asked]

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

    def say(self, speaker: Decoder, ear: str) -> list[str]:
        """What a captioner says of each scene that is asked for."""
        heard = (self.held.heard[ear][row][-LONGEST:].astype(np.float32) for row in self.asked)
        return [" ".join(speaker.describe(one)[0].words) for one in heard]

    def score(self, said: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """CIDEr-D of each scene that is asked for, and how many words all captions use."""
        words = [tokenise(one) for one in said]
        count = float(len({word for one in words for word in one}))
        references = [[tokenise(text) for text in some] for some in self.references]
        return {"CIDEr-D": cider_d(words, references), f"words{ONCE}": np.array([count])}
