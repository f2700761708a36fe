"""What a recipe file says, and how it is read: `kind: room` for what ships, else the name of a paper."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from ..runtime.errors import ConfigError, InputMissingError
from .data.licences import Licence
from .models.gpt import GptSizes
from .models.see import AdapterConfig
from .papers import (
    blat_published,
    blat_small,
    clip_aac,
    clip_aac_published,
    edtc,
    retrieval,
    retrieval_published,
)
from .papers.blat import BlatRecipe, smoke_blat
from .papers.clip_aac import ClipAacRecipe
from .papers.edtc import EdtcRecipe, smoke_edtc
from .papers.order import Order
from .papers.retrieval import RetrievalRecipe
from .papers.see import PaperRecipe, smoke_see, train_paper
from .papers.smoke import Rehearsal
from .room.encoder import EncoderSettings
from .room.head import HeadSettings
from .room.opinion import OpinionSettings
from .room.see_stages import StageSettings
from .room.text_side import TextSettings


class Recipe(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="room"
):
    """Everything that decides a model, besides the sounds."""

    name: str
    version: str
    licence: str
    size: Literal["nano", "atto", "pico", "tiny"] = "atto"
    mels: int = 64
    sources: Licence = "shipping"
    """By licence: no derivatives forbidden and not research only; or free for any use; or all."""
    leave_out: tuple[str, ...] = ()
    """Labels that are not taught: of too few recordings to be told from a likely one (LOG, "A trunk for
    rooms": a crying adult, by five recordings, was heard in six babies of fourteen)."""
    hours: Annotated[float, Meta(gt=0)] = 20.0
    """Composed sound that stages 1 and 2 learn from."""
    adapter: AdapterConfig = AdapterConfig()
    decoder: GptSizes = GptSizes()
    """Its vocabulary comes from the captions."""
    encoder_stages: Annotated[tuple[EncoderSettings, ...], Meta(min_length=1)] = (EncoderSettings(),)
    """One after the other, each from where the last one came: first crowded scenes, then clear sounds."""
    head_stage: HeadSettings | None = None
    """The encoder's head fitted again, held back, once its trunk stands still."""
    opinion_stage: OpinionSettings | None = None
    """A second opinion: the teacher's net learns our sounds as a home has them, and goes along. Without one,
    or without a teacher, the bundle has none."""
    semantic_stage: StageSettings = StageSettings()
    decoder_stage: StageSettings = StageSettings(steps=3000)
    text_stage: TextSettings | None = None
    """A text encoder for search and alerts in plain words; without one the bundle has none."""
    confidence: Annotated[float, Meta(ge=0, le=1)] = 0.5
    hedge: Annotated[float, Meta(ge=0, le=1)] = 0.35
    """The thresholds that the bundle comes with: what is said plainly, and what with "Possibly"."""
    asks: Annotated[float, Meta(ge=0, le=1)] | None = None
    """The encoder's score from which on the second opinion is asked for."""
    urgent: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """The probability from which on what is urgent is said plainly, where that is above `confidence`."""
    opinion_weight: Annotated[float, Meta(ge=0)] = 1.0
    """How much it counts, where the encoder's evidence counts one."""
    opinion_db: float = -100.0
    """What it hears is raised to this loudness, dBFS, where it is fainter."""
    salient_db: float = 20.0
    faint: Annotated[float, Meta(ge=0)] = 0.0
    """What rises less than this above the room is doubted, by so much for each dB that it lacks: as in
    `SegmentThresholds`."""
    seed: int = 1


AnyRecipe = Recipe | PaperRecipe | RetrievalRecipe | EdtcRecipe | BlatRecipe | ClipAacRecipe


Training = Callable[[Any, Order], Path]


def by_corpora(published: Training, small: Training) -> Training:
    """As published where the recipe names public corpora; without any, on prepared scenes."""

    def train(recipe: Any, order: Order) -> Path:
        return (published if recipe.corpora else small)(recipe, order)

    return train


PAPERS: Mapping[type, Training] = {
    PaperRecipe: train_paper,
    EdtcRecipe: by_corpora(edtc.train_published, edtc.train_small),
    BlatRecipe: by_corpora(blat_published.train_published, blat_small.train_small),
    ClipAacRecipe: by_corpora(clip_aac_published.train_published, clip_aac.train_small),
    RetrievalRecipe: by_corpora(retrieval_published.train_published, retrieval.train_small),
}
"""Kind of recipe -> what trains it; returns the folder of what was made."""
SMOKES: Mapping[type, Callable[[Any], Iterator[Rehearsal]]] = {
    PaperRecipe: smoke_see,
    EdtcRecipe: smoke_edtc,
    BlatRecipe: smoke_blat,
    ClipAacRecipe: clip_aac_published.smoke_clip_aac,
    RetrievalRecipe: retrieval_published.smoke_retrieval,
}
"""Kind of recipe -> its stages, to be rehearsed on random features."""


def read_recipe(path: Path) -> AnyRecipe:
    """A recipe file, of the kind that it names: `room`, or a paper's.

    Raises InputMissingError, or ConfigError with the key's path where something in it is wrong.
    """
    if not path.is_file():
        raise InputMissingError(
            f"there is no recipe {path}", fix="see training/recipes for those that come along"
        )
    try:
        found: AnyRecipe = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), AnyRecipe)
        return found
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"{path} is not a recipe", why=str(error), fix="see the comments in training/recipes"
        ) from error
