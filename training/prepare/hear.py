"""A teacher's second opinion: does mn04 hear what a scene says, and which clips does it contradict flatly?

The teacher knows AudioSet's 527 classes. For each of our labels some of them are right, or near enough that
hearing them is no contradiction; the threshold is low, for the question is not what stands out but whether
the named sound can be heard at all. A label that was not played, asked about in the same chunks, says how
easily that low threshold is met by chance.
"""

import collections
import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from ..data import Clip, Corpus
from ..teacher import Teacher, hear_clips
from .forgiven import FORGIVEN, GENERIC, RIVALS
from .plan import Plan
from .render import Renderer

HEARD = 0.05
"""A class is heard in an event where the teacher's score of it is at least this."""
ABSENT = 0.01
CERTAIN = 0.6
"""A clip is contradicted where nothing right is ever above ABSENT, and something else is above CERTAIN."""
WINDOW = 6
"""Chunks (2 s) over which the teacher's vectors are averaged, to find the best moment of a clip."""


class Opinion(msgspec.Struct):
    """What the teacher says of some scenes: shares of events in which nothing forgiven is heard.

    chance: the same for labels that were not played, in the same chunks: the most that a share could be.
    """

    scenes: int
    events: int
    threshold: float
    disagrees: float
    chance: float
    by_label: dict[str, tuple[int, float]]


class Ear:
    """mn04 as a judge of labels."""

    def __init__(self, folder: Path) -> None:
        self.teacher = Teacher(folder)
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            names = [row["display_name"] for row in csv.DictReader(file)]
        place = {name: i for i, name in enumerate(names)}
        self.names = names
        self.forgiven = {
            label: np.array(sorted({place[c] for c in classes.split("; ")}))
            for labels, classes in FORGIVEN.items()
            for label in labels.split()
        }
        self.rivals = {label: place[name] for label, name in RIVALS.items()}
        self.own = {
            label: place[RIVALS[other]] for label, other in zip(RIVALS, reversed(RIVALS), strict=True)
        }
        self.generic = np.array([place[name] for name in GENERIC])

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(…, 384) mean vectors -> (…, 527) scores."""
        heard = self.teacher.classify(torch.from_numpy(np.asarray(vectors, np.float32)))
        return np.asarray(torch.sigmoid(heard).numpy(), np.float32)

    @torch.inference_mode()
    def opinion(
        self, plans: Sequence[Plan], renderer: Renderer, progress: Callable[[float], None] = lambda done: None
    ) -> Opinion:
        """Play these scenes to the teacher and ask of each event whether it can be heard while it sounds."""
        rng = np.random.default_rng(0)
        labels = list(self.forgiven)
        heard: dict[str, list[bool]] = collections.defaultdict(list)
        chance: list[bool] = []
        for done, plan in enumerate(plans, 1):
            scene = renderer.scene(plan)
            vectors = self.teacher.sequence(torch.from_numpy(scene.samples)[None])[0].numpy()
            present = {sound.label for sound in plan.sounds}
            for sound, event in zip(plan.sounds, scene.events, strict=True):
                active = event.active[: len(vectors)]
                if sound.label not in self.forgiven or not active.any():
                    continue
                scores = self.scores(vectors[: len(active)][active].mean(0))
                heard[sound.label].append(bool(scores[self.forgiven[sound.label]].max() >= HEARD))
                other = labels[int(rng.integers(len(labels)))]
                if other not in present:
                    chance.append(bool(scores[self.forgiven[other]].max() >= HEARD))
            progress(done / len(plans))
        total = [one for all_ in heard.values() for one in all_]
        return Opinion(
            len(plans), len(total), HEARD,
            round(1 - float(np.mean(total)), 4), round(1 - float(np.mean(chance)), 4),
            {
                label: (len(all_), round(1 - float(np.mean(all_)), 3))
                for label, all_ in sorted(heard.items(), key=lambda item: -np.mean(np.logical_not(item[1])))
            },
        )  # fmt: skip

    @torch.inference_mode()
    def contradicted(
        self, corpus: Corpus, clips: list[Clip], cache: Path,
        progress: Callable[[float, str], None] = lambda done, what: None,
    ) -> dict[str, str]:  # fmt: skip
        """Clip id -> what the teacher hears instead, for clips of which it hears nothing that is forgiven."""
        vectors = hear_clips(self.teacher, corpus, clips, cache, progress)
        said = {clip.id: self._contradiction(clip.label, vectors[clip.id]) for clip in clips}
        return {clip: why for clip, why in said.items() if why}

    def _contradiction(self, label: str, vectors: NDArray[np.float16]) -> str:
        if label not in self.forgiven:
            return ""
        heard = vectors.astype(np.float32)
        sums = np.cumsum(np.concatenate([np.zeros_like(heard[:1]), heard]), axis=0)
        width = min(WINDOW, len(heard))
        scores = self.scores((sums[width:] - sums[:-width]) / width).max(0)
        rival = self.rivals.get(label)
        if rival is not None and scores[rival] > CERTAIN and scores[rival] > 20 * scores[self.own[label]]:
            return f"{self.names[rival]} {scores[rival]:.2f}"
        if scores[self.forgiven[label]].max() >= ABSENT:
            return ""
        scores[self.generic] = 0
        best = int(scores.argmax())
        return f"{self.names[best]} {scores[best]:.2f}" if scores[best] >= CERTAIN else ""
