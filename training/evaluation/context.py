"""What every part of an evaluation is given: the bundle, the sounds, the seed, and hands to work with."""

import multiprocessing
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from ...runtime.session import Model
from ..data.corpus import Clip, Corpus, Split, open_corpus
from ..sound.taxonomy import QUIET, UNLABELLED
from .captioned import open_model
from .metrics.words import Names

Progress = Callable[[float, str], None]
T = TypeVar("T")
R = TypeVar("R")


class Stage(NamedTuple):
    """What a worker works with; each process opens its own."""

    model: Model
    corpus: Corpus
    names: Names


@dataclass(frozen=True, eq=False)
class Context:
    """One evaluation of one bundle: what a question (suite.QUESTIONS) is given to find its figures.

    The bundle and the corpus (`stage`), which clips are held out (`split`), how much is heard, and the
    processes that hear it (`each`). Nothing in it changes while questions are asked.
    """

    stage: Stage
    folder: Path
    """The corpus's."""
    split: Split = "test"
    most: int | None = None
    """Hear so many of the split's clips, where there are more; None: all."""
    hours: float = 0.2
    """Hours of each sound that deserves silence, and of a sparse day; three times as many are heard for false
    alarms."""
    trials: int = 20
    """Scenes of each signal at each level over the noise, dB (questions/safety.py)."""
    seed: int = 0
    """Of every draw: the same seed asks the same."""
    peer: Path | None = None
    """Weights folder of mn04, to be heard on the same sounds."""
    progress: Progress = lambda done, what: None
    pool: Executor | None = None
    """Processes that opened the same stage (`workers`); None: this one does all."""
    scenes: int = 300
    """Held-out scenes to caption."""
    taught: int = 5000
    """Training scenes whose captions a scene's nearest are found among."""
    plans: Path | None = None
    """Scenes of human captions: a folder of test/, val/ and perhaps train/, each from `edgecap prepare`."""
    assets: Path | None = None
    """What SPICE and FENSE need."""
    sentences: Path | None = None
    """The sentence model; None: the packaged one."""
    wording: Literal["said", "free"] = "said"
    """Of scenes: what the session says, or the decoder's own best beam, believed or not."""

    @property
    def model(self) -> Model:
        """The bundle's."""
        return self.stage.model

    @property
    def corpus(self) -> Corpus:
        """All the clips, training's too."""
        return self.stage.corpus

    @cached_property
    def clips(self) -> list[Clip]:
        """The held-out clips of this split in which there is something to hear, known by name.

        Of `most`, always the same: those first in an order that only their names decide.
        """
        sounds = [c for c in self.corpus.split(self.split) if c.label not in (QUIET, UNLABELLED)]
        drawn = set(sorted(sounds, key=lambda clip: zlib.crc32(clip.id.encode()))[: self.most])
        return [clip for clip in sounds if clip in drawn]

    def each(self, work: Callable[[Stage, T], R], items: Sequence[T], what: str) -> list[R]:
        """work(stage, item) of every item, in order; what: the words for the progress.

        `work` is a function of a module, and items and results are small: they go between processes.
        """
        results: list[R] = []
        if self.pool is None:
            found: Iterator[R] = (work(self.stage, item) for item in items)
        else:
            found = self.pool.map(_work, [work] * len(items), items)
        for result in found:
            results.append(result)
            self.progress(len(results) / len(items), what)
        return results


@contextmanager
def workers(bundle: str, folder: Path, cache: Path, jobs: int) -> Iterator[Executor | None]:
    """So many processes, each with the bundle and the corpus open; None for one job."""
    if jobs < 2:
        yield None
        return
    # Spawned, not forked: ONNX Runtime's and torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_open, initargs=(bundle, folder, cache)) as pool:
        yield pool


def open_stage(bundle: str, folder: Path, cache: Path, progress: Progress = lambda done, what: None) -> Stage:
    """Open bundle and corpus; the corpus is decoded into `cache` the first time."""
    corpus = open_corpus(folder, cache, progress)
    return Stage(open_model(bundle), corpus, Names(corpus.labels))


_stage: Stage | None = None  # a worker process's own


def _open(bundle: str, folder: Path, cache: Path) -> None:
    global _stage
    _stage = open_stage(bundle, folder, cache)


def _work(work: Callable[[Stage, T], R], item: T) -> R:
    assert _stage is not None  # the pool's initializer opened it
    return work(_stage, item)
