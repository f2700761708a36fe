"""Planned scenes as frozen encoders heard them, kept on the disk: what every paper trains on at our scale.

    plans (`edgecap prepare`) -> rendered -> each ear's vectors -> FOLDER/EAR/0000.npz, ...

A scene is heard as in a quiet room, and cut to where it sounds. Hearing goes on where it was stopped; an ear
that comes later hears the scenes without the others hearing them again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...runtime.audio import CHUNK_SAMPLES, RATE
from ...runtime.errors import InputMissingError
from .. import made_from
from ..data.corpus import Corpus, Split
from ..evaluation.sounds.scenes import Spec, make
from ..loop import Progress
from ..prepare.plan import Plan, open_plans
from ..sentence import Embed
from .ears import Ear

SHARD = 250
"""Scenes to a file."""
SEED = 0
"""Of the quiet room around the scenes."""

Vectors = list[NDArray[np.float16]]


class Scenes(NamedTuple):
    """A split's scenes: what is true of each, and what each ear heard of it, (steps, width)."""

    split: Split
    plans: list[Plan]
    heard: dict[str, Vectors]

    def some(self, count: int) -> "Scenes":
        """So many of them, always the same."""
        rows = sorted(np.random.default_rng(SEED).permutation(len(self.plans))[:count].tolist())
        heard = {ear: [vectors[row] for row in rows] for ear, vectors in self.heard.items()}
        return Scenes(self.split, [self.plans[row] for row in rows], heard)

    def captions(self, *, others: bool) -> tuple[list[str], NDArray[np.int64]]:
        """Sentences of people that are true of the scenes, and of which scene each is.

        others: with those that say the same in other words; else one a scene.
        """
        said = [
            (text, row)
            for row, plan in enumerate(self.plans)
            for text in ((plan.caption, *plan.others) if others else (plan.caption,))
        ]
        return [text for text, _ in said], np.array([row for _, row in said], np.int64)

    def alike(self) -> NDArray[np.int64]:
        """(scenes,) a number that scenes share where their captions were understood to say the same."""
        return np.unique([plan.says for plan in self.plans], return_inverse=True)[1].astype(np.int64)


def choose(plans: Path, split: Split, count: int | None) -> list[Plan]:
    """So many plans of FOLDER/SPLIT, always the same ones; None: all. In the order of their file."""
    found = open_plans(plans / split)
    if count is None or count >= len(found):
        return found
    return [found[i] for i in sorted(np.random.default_rng(SEED).permutation(len(found))[:count])]


def hear(
    corpus: Corpus, split: Split, plans: Sequence[Plan], ears: Sequence[Ear], folder: Path,
    progress: Progress = lambda done, what: None,
) -> None:  # fmt: skip
    """Let each ear hear the scenes that it did not hear yet. Each scene is rendered once for all of them.

    What another version of an ear heard, or of other plans, is heard anew. Raises DataError where the corpus
    lacks a recording.
    """
    for ear in ears:
        causes = {"ear": ear.digest, "plans": made_from.digest(list(plans)), "corpus": corpus.digest}
        made_from.claim(folder / ear.name, causes, anew=True)
    starts = range(0, len(plans), SHARD)
    for start in starts:
        lacking = [ear for ear in ears if not _shard(folder, ear.name, start).exists()]
        if not lacking:
            continue
        found: dict[str, Vectors] = {ear.name: [] for ear in lacking}
        for number, plan in enumerate(plans[start : start + SHARD], start):
            sounding = make(corpus, Spec(split, number, SEED, plan))
            begin_s = sounding.first * CHUNK_SAMPLES / RATE
            end_s = sounding.last * CHUNK_SAMPLES / RATE
            for ear in lacking:
                vectors = ear.hear(sounding.samples)
                first = min(round(begin_s / ear.step_s), len(vectors) - 1)
                last = max(first + 1, round(end_s / ear.step_s))
                found[ear.name].append(vectors[first:last].astype(np.float16))
            progress((number + 1) / len(plans), f"{', '.join(found)} hear the scenes of {split}")
        for name, vectors_of in found.items():
            path = _shard(folder, name, start)
            beside = path.with_suffix(".tmp.npz")
            ends = np.cumsum([len(vectors) for vectors in vectors_of])
            np.savez(beside, vectors=np.concatenate(vectors_of), ends=ends)
            beside.replace(path)


def open_scenes(split: Split, plans: Sequence[Plan], ears: Sequence[str], folder: Path) -> Scenes:
    """What `hear` left of these plans. Raises InputMissingError for an ear that did not hear all."""
    heard: dict[str, Vectors] = {}
    for name in ears:
        heard[name] = []
        for start in range(0, len(plans), SHARD):
            path = _shard(folder, name, start)
            if not path.exists():
                raise InputMissingError(f"{name} has not heard the scenes of {split}", why=f"no {path}")
            with np.load(path) as stored:
                heard[name] += np.split(stored["vectors"], stored["ends"][:-1])
    return Scenes(split, list(plans), heard)


def _shard(folder: Path, name: str, start: int) -> Path:
    return folder / name / f"{start // SHARD:04}.npz"


class Sentences:
    """Sentence vectors of texts, each of length 1, kept in a file; a new text is embedded and kept."""

    def __init__(self, path: Path, embed: Embed, digest: str) -> None:
        """digest: of the sentence model. What another one said goes."""
        self._path, self._embed, self._causes = path, embed, {"sentences": digest}
        self._known = self._kept()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(texts, d) float32."""
        if set(texts) - self._known.keys():
            with made_from.alone(self._path):
                self._learn(texts)
        return torch.from_numpy(np.stack([self._known[text] for text in texts])).float()

    def _kept(self) -> dict[str, NDArray[np.float16]]:
        """Text -> vector, of the file."""
        if not made_from.is_current(self._path, self._causes):
            return {}
        with np.load(self._path) as stored:
            return dict(zip(stored["texts"].tolist(), stored["vectors"], strict=True))

    def _learn(self, texts: Sequence[str]) -> None:
        """Take in what another process has kept meanwhile, and embed and keep what is still new."""
        self._known |= self._kept()
        new = sorted(set(texts) - self._known.keys())
        if not new:
            return
        self._known.update(zip(new, self._embed(new).numpy().astype(np.float16), strict=True))
        made_from.begin(self._path)
        beside = self._path.with_suffix(".tmp.npz")
        vectors = np.stack(list(self._known.values()))
        np.savez(beside, texts=np.array(list(self._known)), vectors=vectors)
        beside.replace(self._path)
        made_from.done(self._path, self._causes)


def padded(vectors: Sequence[NDArray[np.float16]], longest: int | None = None) -> tuple[Tensor, Tensor]:
    """(B, n, width) float32 and valid (B, n) bool. longest: of a longer scene the last steps are taken."""
    rows = [torch.from_numpy(one[-longest:] if longest else one).float() for one in vectors]
    lengths = torch.tensor([len(row) for row in rows])
    x = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return x, torch.arange(x.shape[1]) < lengths[:, None]
