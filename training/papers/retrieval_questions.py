"""What held-out scenes are asked of an embedding: captions for their scene, and words for alerts."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.model.engine import Engine
from ...runtime.model.text import TextEncoder, has_text
from ..data.corpus import Label
from ..evaluation.questions.retrieval import of_each_query
from ..models.convnext import CausalConvNeXt
from ..room.warm_start import begin_from, of_bundle
from .ears import CHUNK_S
from .scenes import Scenes
from .shelf import Shelf
from .trial import ONCE

ALERTS = 20
"""Sounds that an alert is asked for in words: the most usual of those that the bundle knows."""
FOUND = 0.8
"""Recall at which false alerts are counted."""

InText = Callable[[Tensor], NDArray[np.float32]]
"""Sentence vectors (n, d_text) -> where an embedding has them, (n, d)."""


class Questions:
    """Every caption that is true of a scene, as a question for it; the same of every row of a table."""

    def __init__(self, shelf: Shelf, scenes: Scenes) -> None:
        self.scenes = scenes
        texts, row_of = scenes.captions(others=True)
        self._asked = {"": shelf.sentences(texts)}
        embed = shelf.sentences
        if has_text(shelf.bundle):  # as the edge asks
            edge = TextEncoder(shelf.bundle)
            distinct = sorted(set(texts))
            place = dict(zip(distinct, edge.embed(distinct), strict=True))
            self._asked["by the bundle's text encoder"] = torch.from_numpy(
                np.stack([place[text] for text in texts])
            )
        alike = scenes.alike()
        self.group = alike[row_of]
        """(questions,) what each was understood to say: equal ones are one observation."""
        self._own = row_of[:, None] == np.arange(len(scenes.plans))[None]
        self._says = self.group[:, None] == alike[None]
        phrases = {label.name: label.phrase for label in shelf.corpus.labels}
        sounding = [{sound.label for sound in plan.sounds} for plan in scenes.plans]
        counted = {name: sum(name in some for some in sounding) for name in phrases}
        known = {label.label for label in shelf.bundle.labels} & {name for name in counted if counted[name]}
        self.labels = sorted(known, key=lambda name: (-counted[name], name))[:ALERTS]
        words = [phrases[name] for name in self.labels]
        self._alerts = torch.from_numpy(edge.embed(words)) if has_text(shelf.bundle) else embed(words)
        self._sounds = np.array([[name in some for some in sounding] for name in self.labels])
        self._hours = np.array([plan.chunks for plan in scenes.plans]) * CHUNK_S / 3600

    def score(self, sounds: NDArray[np.float32], in_text: InText) -> dict[str, NDArray[np.float64]]:
        """Figures of scenes at `sounds` (scenes, d).

        mAP10 and R@k: a caption's own scene is right, as in papers; "same sounds": every scene that was
        understood to say the same.
        """
        queries = in_text(self._asked[""])
        own = of_each_query(queries, sounds, self._own)
        scores = {"mAP10": own["mAP@10"]} | {name: own[name] for name in ("R@1", "R@5", "R@10")}
        for name, vectors in self._asked.items():
            found = of_each_query(in_text(vectors), sounds, self._says)["mAP@10"]
            scores[f"same sounds mAP@10{', ' if name else ''}{name}"] = found
        unit = sounds / np.linalg.norm(sounds, axis=1, keepdims=True)
        return scores | self.false_alerts(in_text(self._alerts) @ unit.T)

    def false_alerts(self, scores: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """scores (alerts, scenes) -> false ones an hour where FOUND are found, the median over alerts."""
        false = []
        for row, sounding in zip(scores, self._sounds, strict=True):
            at = np.quantile(row[sounding], 1 - FOUND, method="lower")
            false.append(((row >= at) & ~sounding).sum() / max(self._hours[~sounding].sum(), 1e-9))
        return {f"false alerts an hour{ONCE}": np.array([np.median(false)])} if false else {}


EDGE = "same sounds mAP@10, by the bundle's text encoder"
"""The figure that decides whether an embedding ships."""


def semantic(shelf: Shelf, scenes: Scenes) -> NDArray[np.float32]:
    """(scenes, d_text): where the bundle's adapter puts each scene."""
    adapter = Engine("adapter", shelf.bundle.graph("adapter"), shelf.bundle.manifest.graphs["adapter"])
    heard = [vectors.astype(np.float32)[None] for vectors in scenes.heard["ours"]]
    return np.concatenate([adapter.run({"embeddings": one})["semantic"] for one in heard])


@torch.inference_mode()
def label_scores(shelf: Shelf, questions: Questions) -> NDArray[np.float32]:
    """(alerts, scenes): the best score that the bundle's encoder gives each alert's label."""
    bundle = shelf.bundle
    labels = [Label(label.label, label.phrase, label.category) for label in bundle.labels]
    encoder = CausalConvNeXt("atto", bundle.manifest.audio.mels, len(labels))
    begin_from(encoder, of_bundle(bundle, encoder), labels)
    wanted = [[label.name for label in labels].index(name) for name in questions.labels]
    heard = (torch.from_numpy(vectors).float() for vectors in questions.scenes.heard["ours"])
    best = [torch.sigmoid(encoder.eval().classify(one))[:, wanted].amax(0) for one in heard]
    return torch.stack(best, 1).numpy()
