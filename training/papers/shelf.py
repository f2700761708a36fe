"""What the small tables have in common: scenes as frozen encoders heard them, sentences, and a place."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from ...runtime.model.bundle import Bundle
from .. import made_from
from ..data.corpus import Corpus, Split
from ..loop import Progress
from ..prepare.plan import Plan
from ..sentence import sentence_digest, sentence_model
from . import ears
from .ears import Ear
from .scenes import Scenes, Sentences, choose, hear, open_scenes


class Shelf:
    """Scenes and sentences, heard and embedded the first time they are asked for.

    corpus, plans: the clips, and a folder of train, val and test by `edgecap prepare`. weights: the folder of
    mn04 and YAMNet. count: so many scenes of each split; None: all.
    """

    def __init__(
        self, corpus: Corpus, plans: Path, weights: Path, bundle: Bundle, folder: Path,
        count: int | None = None, progress: Progress = lambda done, what: None,
    ) -> None:  # fmt: skip
        self.corpus, self.bundle, self.folder = corpus, bundle, folder
        self._folder_of_plans, self.weights, self._count, self._progress = plans, weights, count, progress

    ears = ("ours", "mn04", "yamnet")
    """The encoders that every paper may stand on."""

    def ear(self, name: str) -> Ear:
        """One of `ears`. Raises InputMissingError where its weights are not there."""
        makers: dict[str, Callable[[], Ear]] = {
            "ours": lambda: ears.ours(self.bundle),
            "mn04": lambda: ears.mn04(self.weights),
            "yamnet": lambda: ears.yamnet(self.weights),
        }
        return makers[name]()

    def plans(self, split: Split) -> list[Plan]:
        """A split's scenes, as planned."""
        return choose(self._folder_of_plans, split, self._count)

    def scenes(self, split: Split, names: Sequence[str], more: Sequence[Ear] = ()) -> Scenes:
        """A split's scenes as these encoders heard them, and `more`, which are a paper's own."""
        plans = self.plans(split)
        folder = self.folder / "heard" / split
        all_ears = [*(self.ear(name) for name in names), *more]
        hear(self.corpus, split, plans, all_ears, folder, self._progress)
        return open_scenes(split, plans, [one.name for one in all_ears], folder)

    def heard(self, splits: Sequence[Split], names: Sequence[str]) -> str:
        """A digest of what these encoders heard, of which plans: after `scenes`."""
        folders = [self.folder / "heard" / split / name for split in splits for name in names]
        return made_from.digest([made_from.of_files(folder / made_from.NOTE) for folder in folders])

    @cached_property
    def sentences(self) -> Sentences:
        """The packaged sentence model's vectors of texts."""
        return Sentences(self.folder / "heard" / "sentences.npz", sentence_model(), sentence_digest())
