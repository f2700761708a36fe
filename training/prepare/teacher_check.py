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

from ...runtime.audio import Samples
from ..data.corpus import Clip, Corpus
from ..room.teacher import Teacher, clip_vectors
from .compatible_classes import FORGIVEN, GENERIC, RIVALS
from .plan import Plan
from .play_plan import Renderer

# Scores are mn04's: sigmoid(its classifier of a mean vector), 0 to 1, one for each of AudioSet's 527 classes.
# The four constants were chosen by hand, and no trial of others was kept; `edgecap prepare --teacher` writes
# what comes of them into summary.json (dropped_clips; teacher.disagrees beside teacher.chance).
HEARD = 0.05
"""A class is heard in an event where its score, of the event's mean vector, is at least this."""
ABSENT = 0.01
CERTAIN = 0.6
"""A clip is contradicted where in its best 2 s no right class reaches ABSENT, and another reaches CERTAIN.

Or, of a pair that sounds alike (RIVALS), where the other is above CERTAIN and above 20 times its own.
"""
WINDOW = 6
"""Chunks (1.92 s) over which the teacher's vectors are averaged; every such window of a clip is scored."""


class Opinion(msgspec.Struct):
    """What the teacher says of some scenes: shares of events in which nothing forgiven is heard.

    disagrees: as they sound in their scenes, where others may cover them. alone: of these events, each
    played without the others: what is left is not covered but wrong, or unlike what the teacher knows.
    chance: for labels that were not played, in the same chunks: what a wrong pairing would give.
    by_label: events, the share in scenes, the share alone.
    """

    scenes: int
    events: int
    threshold: float
    disagrees: float
    alone: float
    chance: float
    by_label: dict[str, tuple[int, float, float]]


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
        wrong: dict[str, list[tuple[bool, bool]]] = collections.defaultdict(list)
        chance: list[bool] = []
        for done, plan in enumerate(plans, 1):
            scene = renderer.scene(plan)
            vectors = self._vectors(scene.samples)
            present = {sound.label for sound in plan.sounds}
            for sound, event in zip(plan.sounds, scene.events, strict=True):
                if sound.label not in self.forgiven or not event.active.any():
                    continue
                is_unheard = is_unheard_alone = not self._hears(sound.label, vectors, event.active)
                if is_unheard and len(plan.sounds) > 1:
                    bare = self._vectors(
                        renderer.scene(msgspec.structs.replace(plan, sounds=(sound,))).samples
                    )
                    is_unheard_alone = not self._hears(sound.label, bare, event.active)
                wrong[sound.label].append((is_unheard, is_unheard_alone))
                other = labels[int(rng.integers(len(labels)))]
                if other not in present:
                    chance.append(not self._hears(other, vectors, event.active))
            progress(done / len(plans))
        shares = {label: np.mean(events, axis=0) for label, events in wrong.items()}
        in_scenes, alone = np.mean([event for events in wrong.values() for event in events], axis=0)
        return Opinion(
            scenes=len(plans),
            events=sum(map(len, wrong.values())),
            threshold=HEARD,
            disagrees=round(float(in_scenes), 4),
            alone=round(float(alone), 4),
            chance=round(float(np.mean(chance)), 4),
            by_label={
                label: (
                    len(wrong[label]),
                    round(float(shares[label][0]), 3),
                    round(float(shares[label][1]), 3),
                )
                for label in sorted(wrong, key=lambda label: -float(shares[label].sum()))
            },
        )

    def _vectors(self, samples: Samples) -> NDArray[np.float32]:
        return np.asarray(self.teacher.sequence(torch.from_numpy(samples)[None])[0].numpy(), np.float32)

    def _hears(self, label: str, vectors: NDArray[np.float32], active: NDArray[np.bool_]) -> bool:
        active = active[: len(vectors)]
        if not active.any():
            return True  # it begins in the last chunk, of which the teacher has no vector
        scores = self.scores(vectors[: len(active)][active].mean(0))
        return bool(scores[self.forgiven[label]].max() >= HEARD)

    @torch.inference_mode()
    def contradicted(
        self, corpus: Corpus, clips: list[Clip], cache: Path,
        progress: Callable[[float, str], None] = lambda done, what: None,
    ) -> dict[str, str]:  # fmt: skip
        """Clip id -> what the teacher hears instead, for clips of which it hears nothing that is forgiven."""
        vectors = clip_vectors(self.teacher, corpus, clips, cache, progress)
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
